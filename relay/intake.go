package relay

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"restante/internal/spool"
	"restante/mailbox"
)

// A Letter is the envelope of what a user submits.
type Letter struct {
	Account    mailbox.Address // who submits it
	From       mailbox.Address // reverse-path, which the user may use; zero: the null one
	Recipients []Addressee
	EnvelopeID string // ENVID (RFC 3461, section 4.4)
	FullReturn bool   // RET=FULL (RFC 3461, section 4.3)
	UTF8       bool   // SMTPUTF8 (RFC 6531) was declared: the mail may need it, or not
	Class      Class
}

// An Addressee is a forward-path of a letter.
type Addressee struct {
	Address   mailbox.Address
	Notify    Notify
	Original  string              // ORCPT, with its type; empty: none
	Maildrops []mailbox.Recipient // who is behind the address, if it is ours; none: it is not
}

// An Intake takes what users submit (RFC 6409): it completes the header, signs, delivers
// to our own and gives the queue the rest. It is safe for concurrent use.
type Intake struct {
	Hostname     string // in the Message-ID of messages that have none
	Deliverer    Deliverer
	Outbox       Outbox
	Notifier     *Notifier
	Suppressions Suppressions // nil: nobody is suppressed
	DKIM         *DKIM        // nil: nothing is signed
	IDs          *mailbox.MessageIDs
	Spool        string // directory of large messages on their way; empty: that of the system
	Log          *slog.Logger
	Now          func() time.Time // nil means time.Now
}

// Submit reads content, whose lines end in CRLF, to its end. When it returns nil
// everything that was promised is durable: the message is listed for our own, the rest is
// in the queue, and of recipients that are suppressed the sender has been told. When it
// fails, the client tries again; the message may then have been delivered to our own
// already, because the queue comes last. It fails with ErrHeader, and otherwise as the
// content, the store or the queue do.
func (in *Intake) Submit(ctx context.Context, l Letter, content io.Reader) (mailbox.MessageID, error) {
	id, now := in.IDs.Next(), in.now()
	m := &submitted{spool: submissionSpool{Spool: spool.Spool{Dir: in.Spool, Memory: spoolMemory}}}
	defer m.spool.Close()
	if err := in.prepare(m, l, id, now, content); err != nil {
		return mailbox.MessageID{}, fmt.Errorf("relay: prepare message of %s: %w", l.Account, err)
	}
	sub := m.submission(l, now)
	suppressed, err := in.suppressed(ctx, &sub, now)
	if err != nil {
		return mailbox.MessageID{}, err
	}

	if err := in.deliver(ctx, l, m); err != nil {
		return mailbox.MessageID{}, err
	}
	n := Notice{Message: id, Action: ActionFailed, Submission: &sub, Open: m.reopen}
	for _, i := range slices.Sorted(maps.Keys(suppressed)) {
		n.Recipients = append(n.Recipients, Fate{Recipient: i, Outcome: suppressed[i]})
	}
	if err := in.Notifier.tell(ctx, n); err != nil {
		return mailbox.MessageID{}, err
	}
	if rest := sub.without(suppressed); len(rest.Recipients) > 0 {
		if id, err = in.Outbox.Submit(ctx, rest, m.open()); err != nil {
			return mailbox.MessageID{}, fmt.Errorf("relay: queue message of %s: %w", l.Account, err)
		}
	}
	in.confirm(ctx, l, m, id, now)
	return id, nil
}

// A submitted message is one on its way through an Intake.
type submitted struct {
	header     *header
	signatures string
	spool      submissionSpool
}

// prepare completes the header and spools the message.
func (in *Intake) prepare(m *submitted, l Letter, id mailbox.MessageID, now time.Time, content io.Reader) error {
	h, body, err := readHeader(content)
	if err != nil {
		return err
	}
	if err := h.complete(id, in.Hostname, now); err != nil {
		return err
	}
	m.header = h
	s, err := newSignatures(h, in.keys(l, h.authorDomain()))
	if err != nil {
		return err
	}
	defer s.close()
	w := io.MultiWriter(&m.spool, s)
	if _, err := h.WriteTo(w); err != nil {
		return err
	}
	if _, err := io.Copy(w, body); err != nil {
		return err
	}
	m.signatures, err = s.fields()
	return err
}

// keys are those to sign with. What says that it is of a domain that is neither the
// account's nor that of the reverse-path is not signed: one user could have it signed for
// another's.
func (in *Intake) keys(l Letter, author string) []DKIMKey {
	if author != l.Account.Domain && author != l.From.Domain {
		return nil
	}
	return in.DKIM.Keys(author)
}

func (m *submitted) open() io.Reader {
	return io.MultiReader(strings.NewReader(m.signatures), m.spool.Open())
}

func (m *submitted) reopen(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(m.open()), nil
}

// submission is the envelope of what is not for our own.
func (m *submitted) submission(l Letter, now time.Time) Submission {
	s := Submission{
		Account: l.Account, From: l.From, EnvelopeID: l.EnvelopeID, FullReturn: l.FullReturn,
		EightBit: m.spool.eightBit, Signed: m.header.sealed(),
		Octets: int64(len(m.signatures)) + m.spool.Octets(), HeaderID: m.header.messageID(), Class: l.Class, Accepted: now,
	}
	known := make(map[mailbox.Address]bool)
	for _, a := range l.Recipients {
		if len(a.Maildrops) == 0 && !known[a.Address] {
			known[a.Address] = true
			s.add(a.Address, a.Notify, a.Original)
		}
	}
	s.UTF8 = l.UTF8 && (!m.header.isASCII() || !s.From.IsASCII() || slices.ContainsFunc(s.Recipients, isInternational))
	return s
}

// isInternational reports whether an address takes SMTPUTF8 (RFC 6531) to be said. What a
// client has declared says little: many declare all that a server knows, and a next hop
// that knows less would refuse mail that has no need of it.
func isInternational(a mailbox.Address) bool { return !a.IsASCII() }

// add adds a recipient. Lists that would say nothing are left out.
func (s *Submission) add(a mailbox.Address, notify Notify, original string) {
	s.Recipients = append(s.Recipients, a)
	n := len(s.Recipients)
	if notify != 0 || s.Notify != nil {
		s.Notify = append(append(s.Notify, make([]Notify, n-1-len(s.Notify))...), notify)
	}
	if original != "" || s.Original != nil {
		s.Original = append(append(s.Original, make([]string, n-1-len(s.Original))...), original)
	}
}

// without is the submission without some recipients.
func (s Submission) without(some map[int]Outcome) Submission {
	rest := s
	rest.Recipients, rest.Notify, rest.Original = nil, nil, nil
	for i, a := range s.Recipients {
		if _, without := some[i]; !without {
			rest.add(a, s.notify(i), s.original(i))
		}
	}
	return rest
}

// suppressed are the recipients that are not tried, with why.
func (in *Intake) suppressed(ctx context.Context, s *Submission, now time.Time) (map[int]Outcome, error) {
	if in.Suppressions == nil || len(s.Recipients) == 0 {
		return nil, nil
	}
	asked := make([]mailbox.Address, len(s.Recipients))
	for i, a := range s.Recipients {
		asked[i] = a.Canonical()
	}
	found, err := in.Suppressions.Suppressed(ctx, s.Account, now, asked)
	if err != nil {
		return nil, fmt.Errorf("relay: look for suppressed recipients of %s: %w", s.Account, err)
	}
	suppressed := make(map[int]Outcome, len(found))
	for _, f := range found {
		text := "not tried: there was no such mailbox on " + f.Since.UTC().Format(time.DateOnly) + ": " + said(f.Outcome)
		for i, a := range asked {
			if a == f.Address {
				suppressed[i] = Outcome{Result: BadRecipient, Enhanced: "5.1.1", Text: text}
			}
		}
	}
	return suppressed, nil
}

// deliver gives the message to our own.
func (in *Intake) deliver(ctx context.Context, l Letter, m *submitted) error {
	env := mailbox.Envelope{ReversePath: l.From}
	for _, a := range l.Recipients {
		env.Recipients = append(env.Recipients, a.Maildrops...)
	}
	if len(env.Recipients) == 0 {
		return nil
	}
	path := "Return-Path: <" + l.From.String() + ">\r\n" // RFC 5321, section 4.4
	if _, err := in.Deliverer.Deliver(ctx, env, io.MultiReader(strings.NewReader(path), m.open())); err != nil {
		return fmt.Errorf("relay: deliver message of %s: %w", l.Account, err)
	}
	return nil
}

// confirm tells senders who asked for it that the message is with our own. It has been
// accepted by now, so that a failure is the operator's to hear of.
func (in *Intake) confirm(ctx context.Context, l Letter, m *submitted, id mailbox.MessageID, now time.Time) {
	s := m.submission(l, now)
	s.Recipients, s.Notify, s.Original = nil, nil, nil
	n := Notice{Message: id, Action: ActionDelivered, Submission: &s, Open: m.reopen}
	for _, a := range l.Recipients {
		if len(a.Maildrops) > 0 {
			n.Recipients = append(n.Recipients, Fate{Recipient: len(s.Recipients)})
			s.add(a.Address, a.Notify, a.Original)
		}
	}
	if err := in.Notifier.tell(ctx, n); err != nil {
		in.Log.Error("sender not told of the delivery", "message", id, "err", err)
	}
}

func (in *Intake) now() time.Time {
	if in.Now != nil {
		return in.Now()
	}
	return time.Now()
}
