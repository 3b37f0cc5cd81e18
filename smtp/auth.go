package smtp

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/emersion/go-sasl"

	"restante/auth"
)

// AuthMechanisms are those in the reply to EHLO. go-smtp leaves them out before
// TLS, unless Options.InsecureAuth allows it.
func (s *session) AuthMechanisms() []string {
	if s.server.opts.Kind != Submission {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
}

// Auth begins to log in (RFC 4954). Nobody can do that twice, or without it begin
// a message, so there is no transaction now.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	switch mechanism {
	case sasl.Plain:
		return plainServer{sasl.NewPlainServer(s.login)}, nil
	case sasl.Login:
		return &loginServer{login: s.login}, nil
	}
	return nil, errMechanism
}

// login checks a user's password. Nobody may act for somebody else, so the
// authorization identity is empty or the user (RFC 4616, section 2).
func (s *session) login(identity, user, password string) (err error) {
	defer s.guard(&err)
	if !utf8.ValidString(identity + user + password) { // RFC 4616, section 2
		return s.loggedIn("refused", errResponse)
	}
	if identity != "" && identity != user {
		return s.loggedIn("refused", errCredentials)
	}
	ctx, cancel := context.WithTimeout(s.wire.ctx, s.server.opts.StoreTimeout)
	defer cancel()
	who, err := s.server.opts.Verifier.Verify(ctx, auth.Attempt{User: user, Password: password, Remote: s.wire.remote})
	if err != nil {
		return s.loginFailed(fmt.Errorf("verify: %w", err))
	}
	s.identity = &who
	return s.loggedIn("ok", nil)
}

func (s *session) loginFailed(err error) error {
	if reply, expected := s.status(err); expected {
		return s.loggedIn("refused", reply)
	}
	s.wire.log.Error("login failed", "err", err)
	return s.loggedIn("failed", answer(454, 4, 7, 0, "try again later ("+s.wire.id+")"))
}

func (s *session) loggedIn(result string, err error) error {
	s.server.metrics.logins.WithLabelValues(result).Inc()
	return err
}

// A plainServer is the server of PLAIN with the reply for a response that is
// none.
type plainServer struct{ sasl.Server }

func (p plainServer) Next(response []byte) ([]byte, bool, error) {
	challenge, done, err := p.Server.Next(response)
	if err != nil && !done {
		err = errResponse
	}
	return challenge, done, err
}

var errResponse = answer(501, 5, 5, 2, "malformed authentication response")

// A loginServer is the server of LOGIN, which is obsolete, never became an RFC,
// and is all that some clients know.
type loginServer struct {
	login func(identity, user, password string) error
	user  string
	step  int
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	l.step++
	if l.step == 1 && response == nil {
		return []byte("Username:"), false, nil
	}
	if l.user == "" {
		if len(response) == 0 {
			return nil, false, errResponse
		}
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.login("", l.user, string(response))
}
