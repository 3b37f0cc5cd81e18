package pop3

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"restante/auth"
)

// user remembers the name for PASS. Every name is welcome: whether it exists is
// not told before the password (RFC 1939, section 7).
func (s *session) user(_ context.Context, args []string) reply {
	if !s.mayLogIn() {
		return needsTLS
	}
	if args[0] == "" {
		return mistaken("usage: USER name")
	}
	s.client.name = args[0]
	return ok("send PASS")
}

// pass takes the rest of the line as it stands, since passwords have spaces
// (RFC 1939, section 7). A name is good for one attempt.
func (s *session) pass(ctx context.Context, args []string) reply {
	if !s.mayLogIn() {
		return needsTLS
	}
	name := s.client.name
	if name == "" {
		return mistaken("USER comes first")
	}
	s.client.name = ""
	return s.login(ctx, name, args[0])
}

var needsTLS = mistaken("passwords need TLS here")

// mayLogIn reports whether a password may be asked for on this connection
// (RFC 2595, section 2.2).
func (s *session) mayLogIn() bool { return s.secure || s.insecureAuth }

// login enters the TRANSACTION state.
func (s *session) login(ctx context.Context, name, password string) reply {
	drop, err := s.backend.Login(ctx, auth.Attempt{User: name, Password: password, Remote: s.remote})
	if err != nil {
		return s.failed(err)
	}
	s.drop, s.state = drop, transaction
	s.mail = mail{messages: drop.List()}
	for i := range s.mail.messages {
		s.mail.octets += s.mail.messages[i].Octets
	}
	return ok(s.mail.summary())
}

// auth is AUTH PLAIN, with an initial response or without. AUTH alone lists the
// mechanisms, as clients older than CAPA ask for them.
func (s *session) auth(ctx context.Context, args []string) reply {
	if len(args) == 0 {
		r := ok("mechanisms follow")
		r.list = func(w *bufio.Writer) {
			if s.mayLogIn() {
				_, _ = w.WriteString("PLAIN\r\n")
			}
		}
		return r
	}
	switch {
	case !strings.EqualFold(args[0], "PLAIN"):
		return mistaken("unknown mechanism")
	case !s.mayLogIn():
		return needsTLS
	case len(args) == 1:
		s.client.plain = true
		return reply{status: challenge}
	case args[1] == "=": // an initial response that is empty
		args[1] = ""
	}
	return s.plain(ctx, args[1])
}

// plainResponse goes on with AUTH PLAIN. A single star cancels (RFC 5034,
// section 4).
func (s *session) plainResponse(ctx context.Context, args []string) reply {
	s.client.plain = false
	if args[0] == "*" {
		return refuse("authentication cancelled")
	}
	return s.plain(ctx, args[0])
}

// plain checks a response of the PLAIN mechanism (RFC 4616, section 2): whom to
// act as, who it is, and the password, with NULs between.
func (s *session) plain(ctx context.Context, response string) reply {
	message, err := base64.StdEncoding.Strict().DecodeString(response)
	if err != nil || strings.ContainsAny(response, "\r\n") {
		return mistaken("response is not base64")
	}
	authzid, rest, _ := strings.Cut(string(message), "\x00")
	name, password, found := strings.Cut(rest, "\x00")
	switch {
	case !found || name == "" || strings.Contains(password, "\x00"):
		return mistaken("malformed PLAIN response")
	case !utf8.Valid(message) || strings.ContainsFunc(name, unicode.IsControl):
		return mistaken("malformed PLAIN response")
	case authzid != "" && authzid != name:
		return s.failed(fmt.Errorf("acting as another user: %w", auth.ErrCredentials))
	}
	return s.login(ctx, name, password)
}

// stls begins TLS (RFC 2595, section 4).
func (s *session) stls(context.Context, []string) reply {
	switch {
	case s.secure:
		return mistaken("TLS is active already")
	case !s.starttls:
		return refuse("TLS is not available")
	}
	r := ok("begin TLS")
	r.then = handshake
	return r
}

// utf8 lets UTF-8 into commands (RFC 6856, section 2). Messages are sent as they
// are stored, with it or without: a downgraded copy would have another size and
// break signatures.
func (s *session) utf8(context.Context, []string) reply {
	s.client.utf8 = true
	return ok("UTF-8 it is")
}

// quit ends the session. In the TRANSACTION state it removes what is marked, and
// says so if that fails (RFC 1939, section 6).
func (s *session) quit(ctx context.Context, _ []string) reply {
	bye := ok("bye")
	if s.state == transaction {
		s.state = update
		if marked := s.mail.marked(); len(marked) > 0 {
			if err := s.drop.Update(ctx, marked); err != nil {
				bye = s.failed(err)
				bye.text = fmt.Sprintf("[SYS/TEMP] some deleted messages not removed (%s)", s.id)
				bye.fault = err
			}
		}
	}
	bye.then = hangUp
	return bye
}
