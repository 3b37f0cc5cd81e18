package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"restante/auth"
	"restante/mailbox"
)

// maxMaildrops bounds what the aliases of one message may lead to.
const maxMaildrops = 10000

// A session is what go-smtp calls for the commands of a client that has said
// hello. Like its conn, it belongs to one goroutine.
type session struct {
	server   *Server
	wire     *wire
	conn     *conn
	client   *gosmtp.Conn
	identity *auth.Identity // who logged in; nil before
	mail     *transaction   // nil outside of one
}

// A transaction is what belongs to one message.
type transaction struct {
	trace      trace
	utf8       bool
	paths      int // RCPT commands accepted
	recipients []mailbox.Recipient
	known      map[mailbox.MaildropID]bool // those of recipients
	letter     *Letter                     // nil where nobody submits
	addressees int                         // octets of those of the letter
}

var _ gosmtp.AuthSession = (*session)(nil)

// Mail begins a message (RFC 5321, section 3.3).
func (s *session) Mail(_ string, opts *gosmtp.MailOptions) (err error) {
	defer s.guard(&err)
	if s.mail != nil {
		return errNested
	}
	from := s.conn.path
	if !opts.UTF8 && !from.IsASCII() {
		return errNeedsUTF8
	}
	if err := s.mayUse(from); err != nil {
		return err
	}
	s.mail = &transaction{utf8: opts.UTF8, known: make(map[mailbox.MaildropID]bool), letter: s.letter(from, opts), trace: trace{
		helo:     s.client.Hostname(),
		remote:   s.wire.remote,
		hostname: s.server.opts.Hostname,
		protocol: protocol(s.server.opts.Kind, s.conn.extended, s.wire.encrypted(), s.identity != nil, opts.UTF8),
		id:       s.wire.id,
		tls:      s.wire.tlsState(),
		reverse:  from,
	}}
	return nil
}

// mayUse holds a user to reverse-paths that lead back to him: his address, with
// any detail, and aliases he is behind (RFC 6409, section 6.1). The null one is
// for notifications, which programs on the user's side send too (RFC 8098,
// section 3).
func (s *session) mayUse(from mailbox.Address) error {
	if s.server.opts.Kind != Submission {
		return nil
	}
	if s.identity == nil {
		return errNotLoggedIn
	}
	if from.IsZero() || from.Canonical() == s.identity.Address {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.wire.ctx, s.server.opts.StoreTimeout)
	defer cancel()
	mine, err := mailbox.LeadsTo(ctx, s.server.opts.Router, from, s.identity.Maildrop)
	switch {
	case err != nil:
		return s.refuse(err)
	case !mine:
		return errNotYours
	}
	return nil
}

// Rcpt adds a recipient.
func (s *session) Rcpt(_ string, opts *gosmtp.RcptOptions) (err error) {
	defer s.guard(&err)
	t, to := s.mail, s.conn.path
	if !t.utf8 && !to.IsASCII() {
		return errNeedsUTF8
	}
	behind, err := s.behind(to)
	if err != nil {
		return s.refuse(fmt.Errorf("resolve recipient %s: %w", to, err))
	}
	// Whoever is refused is sent to again, and must not be left a part of the first.
	fresh := slices.DeleteFunc(slices.Clone(behind), func(r mailbox.Recipient) bool { return t.known[r.Maildrop] })
	if len(t.recipients)+len(fresh) > maxMaildrops || t.letter != nil && !t.address(to, behind, opts) {
		return errTooMany
	}
	for _, r := range fresh {
		if !t.known[r.Maildrop] {
			t.known[r.Maildrop] = true
			t.recipients = append(t.recipients, r)
		}
	}
	if t.paths++; t.paths == 1 {
		t.trace.forward = &to
	} else {
		t.trace.forward = nil
	}
	return nil
}

// behind is who receives mail for a forward-path here: nobody, where the mail is for
// elsewhere and there is somebody to send it. That is for accounts: anybody can make
// himself a temporary address with its password.
func (s *session) behind(to mailbox.Address) ([]mailbox.Recipient, error) {
	if s.server.opts.Kind == Relay {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(s.wire.ctx, s.server.opts.StoreTimeout)
	defer cancel()
	behind, err := s.server.opts.Router.Resolve(ctx, to)
	if s.mail.letter != nil && errors.Is(err, mailbox.ErrNotLocal) && !s.identity.Maildrop.Temporary() {
		return nil, nil
	}
	return behind, err
}

// Data takes the content of DATA or BDAT, which it reads from the conn, past
// go-smtp. Its error is the reply, the one that says the message is kept
// included: go-smtp would say less.
//
// LMTP asks for a reply per recipient (RFC 2033, section 4.2). They are all the
// same here, since a message is kept for all its recipients or for none, so
// go-smtp may repeat this one.
func (s *session) Data(io.Reader) (err error) {
	defer s.guard(&err)
	t, begun := s.mail, time.Now()
	t.trace.at = begun
	fields := t.trace.fields()
	if t.letter != nil {
		fields = t.trace.received(nil)
	}
	c, ctx := s.wire.newContent(fields, s.conn.content())
	defer c.close()

	id, err := s.keep(ctx, t, c)
	switch {
	case c.err != nil:
		err = c.err
	case err != nil:
		err = fmt.Errorf("deliver: %w", err)
	case c.ended.IsZero():
		err = errors.New("deliver: kept without being read to the end")
	}
	if !c.ended.IsZero() {
		s.server.metrics.keep.Observe(time.Since(c.ended).Seconds())
	}
	s.conn.endContent(c)
	s.server.metrics.octets.Add(float64(c.octets))

	recipients := len(t.recipients)
	if t.letter != nil {
		recipients = len(t.letter.Recipients)
	}
	log := s.wire.log.With("octets", c.octets, "recipients", recipients, "from", t.trace.reverse.String(),
		"duration", time.Since(begun))
	return s.outcome(log, id, err, c)
}

// keep hands a message over to who keeps it.
func (s *session) keep(ctx context.Context, t *transaction, c *content) (mailbox.MessageID, error) {
	if t.letter != nil {
		return s.server.opts.Submitter.Submit(ctx, *t.letter, c)
	}
	m, err := s.server.opts.Deliverer.Deliver(ctx, mailbox.Envelope{ReversePath: t.trace.reverse, Recipients: t.recipients}, c)
	return m.ID, err
}

// outcome counts and logs what became of a message, and is the reply.
func (s *session) outcome(log *slog.Logger, id mailbox.MessageID, err error, c *content) error {
	good := answer(250, 2, 0, 0, id.String()+" kept")
	var said Reply
	if c.err == nil && errors.As(err, &said) && said.Code/100 == 2 {
		good, err = said.answer(), nil
	}
	if err == nil {
		s.wire.messages++
		s.wire.errors = max(0, s.wire.errors-keptRefund)
		s.server.metrics.deliveries.WithLabelValues("kept").Inc()
		log.Info("message kept", "message", id)
		return good
	}
	reply, expected := s.status(err)
	switch {
	case c.err != nil && !expected:
		log.Info("message broke off", "err", err)
		s.server.metrics.deliveries.WithLabelValues("broken_off").Inc()
		return s.conn.lost(err)
	case expected:
		log.Info("message refused", "err", err)
		s.server.metrics.deliveries.WithLabelValues("refused").Inc()
	default:
		log.Error("message not kept", "err", err)
		s.server.metrics.deliveries.WithLabelValues("failed").Inc()
	}
	return reply
}

// Reset ends the transaction.
func (s *session) Reset() { s.mail = nil }

// Logout ends the session.
func (s *session) Logout() error { return nil }

// refuse translates the error of a command, and logs it where it is ours.
func (s *session) refuse(err error) error {
	reply, expected := s.status(err)
	if !expected {
		s.wire.log.Error("command failed", "err", err)
	}
	return reply
}

// guard turns a panic into the end of this session only.
func (s *session) guard(err *error) {
	if v := recover(); v != nil {
		s.server.metrics.panics.Inc()
		s.wire.log.Error("panic", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		s.conn.hangUp()
		*err = answer(421, 4, 3, 0, "internal error ("+s.wire.id+")")
	}
}
