package pop3

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"
)

// capa lists what this connection can do in its present state (RFC 2449,
// section 5). USER and SASL are left out where a password would go in clear
// text.
func (s *session) capa(context.Context, []string) reply {
	r := ok("capabilities follow")
	r.list = func(w *bufio.Writer) {
		line := func(capability string) { _, _ = w.WriteString(capability + "\r\n") }
		line("TOP")
		line("UIDL")
		line("RESP-CODES")
		line("AUTH-RESP-CODE")
		line("PIPELINING")
		line("EXPIRE " + s.expiry())
		if s.starttls && !s.secure {
			line("STLS")
		}
		if s.mayLogIn() {
			line("USER")
			line("SASL PLAIN")
		}
		line("UTF8 USER")
		line("LANG")
		line("IMPLEMENTATION " + s.implementation)
	}
	return r
}

// expiry is the argument of EXPIRE (RFC 2449, section 6.7): before login the
// least that any user gets, after it the least that a message in this maildrop
// gets, in whole days. The next one of a temporary address may get less than a day.
func (s *session) expiry() string {
	if s.state == authorization {
		if s.expiring {
			return "0 USER"
		}
		return "NEVER"
	}
	expires, least := false, time.Duration(0)
	for i := range s.mail.messages {
		m := &s.mail.messages[i]
		if m.Expires.IsZero() {
			continue
		}
		if kept := m.Expires.Sub(m.ID.Time()); !expires || kept < least {
			expires, least = true, kept
		}
	}
	switch {
	case !expires && s.drop.ID().Temporary():
		return "0"
	case !expires:
		return "NEVER"
	}
	return fmt.Sprint(max(0, int(least.Hours()/24)))
}

// lang answers LANG (RFC 6856, section 3). There is English, which is also the
// default; "*" asks for what the server likes best.
func (s *session) lang(_ context.Context, args []string) reply {
	if len(args) == 0 {
		r := ok("languages follow")
		r.list = func(w *bufio.Writer) {
			_, _ = w.WriteString("en English\r\ni-default Default\r\n")
		}
		return r
	}
	switch strings.ToLower(args[0]) {
	case "*", "en":
		return ok("en English")
	case "i-default":
		return ok("i-default Default")
	}
	return refuse("that language is not spoken here")
}
