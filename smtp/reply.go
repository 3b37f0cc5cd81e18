package smtp

import (
	"errors"

	gosmtp "github.com/emersion/go-smtp"

	"restante/auth"
	"restante/mailbox"
)

// answer is a reply, as go-smtp takes it.
func answer(code int, class, subject, detail int, text string) *gosmtp.SMTPError {
	return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode{class, subject, detail}, Message: text}
}

func (r Reply) answer() *gosmtp.SMTPError {
	return answer(r.Code, r.Enhanced[0], r.Enhanced[1], r.Enhanced[2], r.Text)
}

// Refusals that depend on nothing but the rules.
var (
	errNested      = answer(503, 5, 5, 1, "a message is under way: RSET comes first")
	errNotLoggedIn = answer(530, 5, 7, 0, "authentication required")
	errNotYours    = answer(550, 5, 7, 1, "this sender address does not belong to the account")
	errNeedsUTF8   = answer(553, 5, 6, 7, "an address beyond ASCII needs SMTPUTF8")
	errNoPerson    = answer(550, 5, 1, 1, "nobody here has this address")
	errBadAddress  = answer(501, 5, 1, 3, "malformed address")
	errTooMany     = answer(452, 4, 5, 3, "too many recipients")
	errMechanism   = answer(504, 5, 5, 4, "unknown authentication mechanism")
	errCredentials = answer(535, 5, 7, 8, "wrong user name or password")
)

// notLocal is the refusal of mail for other servers.
func (k Kind) notLocal() *gosmtp.SMTPError {
	switch k {
	case Submission:
		return answer(550, 5, 7, 1, "this server delivers to its own domains only; it does not send mail elsewhere")
	case LMTP:
		return answer(550, 5, 1, 2, "this domain is not served here")
	}
	return answer(550, 5, 7, 1, "relaying denied")
}

// status is the one place where an error becomes something a client reads. It
// reports false where the operator has to know: the client is then told nothing
// but the id of the session.
func (s *session) status(err error) (reply *gosmtp.SMTPError, expected bool) {
	id := " (" + s.wire.id + ")"
	var said Reply
	switch {
	case errors.As(err, &said) && said == Reply{}:
		s.conn.fallSilent()
		return answer(421, 4, 4, 2, "no answer"), true
	case errors.As(err, &said):
		return said.answer(), true
	case errors.Is(err, mailbox.ErrNotFound):
		return errNoPerson, true
	case errors.Is(err, mailbox.ErrNotLocal):
		return s.server.opts.Kind.notLocal(), true
	case errors.Is(err, mailbox.ErrAddress):
		return errBadAddress, true
	case errors.Is(err, auth.ErrCredentials):
		return errCredentials, true
	case errors.Is(err, errTooLarge):
		return answer(552, 5, 3, 4, "message too large"), true
	case errors.Is(err, ErrHeader):
		return answer(552, 5, 3, 4, "header too large"), true
	case errors.Is(err, errHops):
		return answer(554, 5, 4, 6, "too many hops: this message goes in circles"), true
	case errors.Is(err, mailbox.ErrTooFar):
		return answer(451, 4, 3, 5, "the alias leads to too many"+id), false
	case errors.Is(err, mailbox.ErrFull):
		return answer(452, 4, 3, 1, "no room left, try again later"+id), false
	}
	return answer(451, 4, 3, 0, "try again later"+id), false
}
