package pop3

import "context"

// A command is one entry of the table: where it is valid, what it takes, and
// the handler, which runs only if both hold.
type command struct {
	name     string
	usage    string
	in       state
	min, max int  // how many arguments it takes
	raw      bool // the argument is the rest of the line, spaces included
	waits    bool // for a store or a password hash; its context has a time limit
	run      func(*session, context.Context, []string) reply
}

// commands are all there are, by name.
var commands = index(
	command{name: "USER", usage: "USER name", in: authorization, min: 1, max: 1, raw: true, run: (*session).user},
	command{name: "PASS", usage: "PASS password", in: authorization, min: 1, max: 1, raw: true, waits: true, run: (*session).pass},
	command{name: "AUTH", usage: "AUTH [mechanism [initial-response]]", in: authorization, max: 2, waits: true, run: (*session).auth},
	command{name: "STLS", usage: "STLS", in: authorization, run: (*session).stls},
	command{name: "STAT", usage: "STAT", in: transaction, run: (*session).stat},
	command{name: "LIST", usage: "LIST [message-number]", in: transaction, max: 1, run: (*session).listing},
	command{name: "UIDL", usage: "UIDL [message-number]", in: transaction, max: 1, run: (*session).uidl},
	command{name: "RETR", usage: "RETR message-number", in: transaction, min: 1, max: 1, waits: true, run: (*session).retr},
	command{name: "TOP", usage: "TOP message-number lines", in: transaction, min: 2, max: 2, waits: true, run: (*session).top},
	command{name: "DELE", usage: "DELE message-number", in: transaction, min: 1, max: 1, run: (*session).dele},
	command{name: "RSET", usage: "RSET", in: transaction, run: (*session).rset},
	command{name: "NOOP", usage: "NOOP", in: transaction, run: (*session).noop},
	command{name: "CAPA", usage: "CAPA", in: authorization | transaction, run: (*session).capa},
	// RFC 6856 has UTF8 before login; a well-known client sends it after, where
	// it changes nothing that matters.
	command{name: "UTF8", usage: "UTF8", in: authorization | transaction, run: (*session).utf8},
	command{name: "LANG", usage: "LANG [language]", in: authorization | transaction, max: 1, run: (*session).lang},
	command{name: "QUIT", usage: "QUIT", in: authorization | transaction, waits: true, run: (*session).quit},
)

// plainResponse is the line that answers the challenge of AUTH PLAIN.
var plainResponse = command{name: "AUTH", waits: true, run: (*session).plainResponse}

func index(list ...command) map[string]*command {
	m := make(map[string]*command, len(list))
	for i := range list {
		m[list[i].name] = &list[i]
	}
	return m
}
