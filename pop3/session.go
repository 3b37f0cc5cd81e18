package pop3

import (
	"context"
	"net/netip"
	"strings"
	"unicode/utf8"

	"restante/mailbox"
)

// A state of RFC 1939, section 3; a set of them in the table of commands. The
// UPDATE state has no commands: QUIT enters it and its reply ends it.
type state uint8

const (
	authorization state = 1 << iota
	transaction
	update
)

// A policy is what all sessions of a server have in common.
type policy struct {
	backend        Backend
	starttls       bool // STLS can be had
	insecureAuth   bool // passwords may come in clear text
	expiring       bool // some maildrops keep mail for a limited time
	implementation string
}

// A session is the state machine of one connection. It is used by one goroutine
// and must be closed.
type session struct {
	*policy
	id     string
	remote netip.Addr

	state  state
	secure bool
	client client
	drop   Maildrop // in the TRANSACTION state and after
	mail   mail
	args   [3]string // of the current command
}

// A client is what is known of the other side before it logs in. STLS forgets
// it (RFC 2595, section 4).
type client struct {
	name  string // of USER
	plain bool   // AUTH PLAIN waits for its response
	utf8  bool
}

// A mail is the transaction: what was listed at login and what was marked since.
type mail struct {
	messages []mailbox.Message
	octets   int64 // of all messages
	marks    marks
}

// marks are the messages that DELE marked. The zero value is none, so RSET is
// one assignment.
type marks struct {
	marked []bool
	count  int
	octets int64
}

func newSession(p *policy, id string, remote netip.Addr, secure bool) *session {
	return &session{policy: p, id: id, remote: remote, secure: secure, state: authorization}
}

// close ends the session without the UPDATE state.
func (s *session) close() error {
	if s.drop == nil {
		return nil
	}
	return s.drop.Close()
}

// secured starts the session again under TLS: what the client said before may
// have been said by somebody else (RFC 2595, section 4).
func (s *session) secured() {
	s.secure = true
	s.client = client{}
}

// expectsLong reports whether the next line may be long (RFC 5034, section 4).
func (s *session) expectsLong() bool { return s.client.plain }

// tooLong answers a line that was thrown away. An exchange of AUTH ends by it.
func (s *session) tooLong() reply {
	s.client.plain = false
	return mistaken("line too long")
}

// A request is a line that was understood, or refused already.
type request struct {
	command *command // nil: none that we know
	args    []string
	refusal reply // unless its status is empty, the answer
}

func (s *session) answer(ctx context.Context, r request) reply {
	if r.refusal.status != "" {
		return r.refusal
	}
	return r.command.run(s, ctx, r.args)
}

// parse finds the command and checks what its entry in the table says.
func (s *session) parse(line string) request {
	if s.client.plain {
		s.args[0] = line
		return request{command: &plainResponse, args: s.args[:1]}
	}
	if why := s.illegible(line); why != "" {
		return request{refusal: mistaken(why)}
	}
	verb, rest, more := strings.Cut(line, " ")
	cmd := commands[strings.ToUpper(verb)]
	if cmd == nil {
		return request{refusal: unknown(verb)}
	}
	args, fits := s.arguments(cmd, rest, more)
	switch {
	case s.state&cmd.in == 0:
		return request{command: cmd, refusal: mistaken(cmd.name + " is not for this state")}
	case !fits:
		return request{command: cmd, refusal: mistaken("usage: " + cmd.usage)}
	}
	return request{command: cmd, args: args}
}

// illegible says why a line cannot be a command, or nothing. Octets above 127
// are UTF-8, and wait for UTF8 but in names and passwords (RFC 6856, sections 2.1
// and 2.2).
func (s *session) illegible(line string) string {
	ascii := true
	for i := range len(line) {
		switch c := line[i]; {
		case c < ' ' || c == 0x7f:
			return "control character in the line"
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	switch {
	case ascii:
		return ""
	case !s.client.utf8 && !authenticates(line):
		return "octets above 127 need UTF8"
	case !utf8.ValidString(line):
		return "not UTF-8"
	}
	return ""
}

// authenticates reports whether a line is a command that UTF8 USER allows UTF-8 in.
func authenticates(line string) bool {
	verb, _, _ := strings.Cut(line, " ")
	return strings.EqualFold(verb, "USER") || strings.EqualFold(verb, "PASS")
}

// unknown answers a verb that is not in the table. A browser that was tricked
// into sending HTTP here gets no second line (RFC 1939 has no command that is
// also a method of HTTP).
func unknown(verb string) reply {
	r := mistaken("unknown command")
	switch verb {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI":
		r.text = "this is a POP3 server"
		r.then = hangUp
	}
	return r
}

// arguments splits the rest of a line. Spaces around arguments are forgiven
// except where the argument is the rest of the line as it stands.
func (s *session) arguments(cmd *command, rest string, more bool) (args []string, fits bool) {
	n := 0
	if cmd.raw {
		if more {
			s.args[0] = rest
			n = 1
		}
	} else {
		for arg := range strings.FieldsSeq(rest) {
			if n == cmd.max {
				return nil, false
			}
			s.args[n] = arg
			n++
		}
	}
	return s.args[:n], cmd.min <= n && n <= cmd.max
}
