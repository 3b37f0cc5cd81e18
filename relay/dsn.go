package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"restante/mailbox"
)

// A Notice is what there is to tell about a message and some of its recipients.
type Notice struct {
	Message    mailbox.MessageID
	Submission *Submission
	Recipients []Fate // of whom there is at least one
	Action     Action
	Expired    bool // given up because the time was over, whatever was said

	// Open is the content, as in [Mail]. Where it fails with mailbox.ErrNotFound the
	// notice goes without; nil is the same.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// A Fate is how it came to what became of the message for a recipient.
type Fate struct {
	Recipient int       // its number in the submission
	Outcome   Outcome   // what was said last
	Service   string    // that said it; empty: none
	Attempted time.Time // when; zero: never
}

// An Action is what became of the message (RFC 3464, section 2.3.3).
type Action uint8

const (
	ActionFailed    Action = iota + 1 // given up
	ActionDelayed                     // not yet handed over, and tried until the submission expires
	ActionRelayed                     // handed to a next hop that tells no more about it
	ActionDelivered                   // in a maildrop of ours
)

func (a Action) String() string {
	return [...]string{"", "failed", "delayed", "relayed", "delivered"}[a]
}

// A Router says who is behind an address. mailbox.Directory is one.
type Router interface {
	// Resolve fails with mailbox.ErrNotLocal, ErrNotFound, ErrTooFar, ErrFull or
	// ErrUnavailable.
	Resolve(ctx context.Context, a mailbox.Address) ([]mailbox.Recipient, error)
}

// A Deliverer keeps messages for our own. mailbox.Deliveries is one.
type Deliverer interface {
	Deliver(ctx context.Context, env mailbox.Envelope, content io.Reader) (mailbox.Message, error)
	DeliverAs(ctx context.Context, id mailbox.MessageID, env mailbox.Envelope, content io.Reader) (mailbox.Message, error)
}

// An Outbox takes mail for the outside. The queue is one.
type Outbox interface {
	// Submit reads content to its end. When it returns nil the message is durable and
	// will be sent, or its sender told.
	Submit(ctx context.Context, s Submission, content io.Reader) (mailbox.MessageID, error)
}

// A Notifier tells senders what became of their mail, in delivery status notifications
// (RFC 3464), as far as they want to hear it (RFC 3461, section 4.1). It is safe for
// concurrent use.
type Notifier struct {
	Hostname     string // of this server
	Router       Router
	Deliverer    Deliverer
	Outbox       Outbox       // for senders who are not ours; nil: they are not told
	Suppressions Suppressions // learns of recipients that do not exist; nil: nobody does
	Log          *slog.Logger
	Now          func() time.Time // nil means time.Now
}

// Notify tells the sender, in one notification for all recipients. When it returns nil
// that is durable, or there is none to make: nobody is told who does not want to hear it or
// who is not there, and what has the null reverse-path is not answered, since it may be a
// notification itself. A notice that is repeated is the same message, whose id is derived
// from the message, the recipients and the action; unless the message has become an hour
// older in between, counted in whole hours, or the sender is not ours.
//
// Recipients that failed because there is no such mailbox are put on the list of
// suppressed ones before.
func (n *Notifier) Notify(ctx context.Context, notice Notice) error {
	for _, f := range notice.Recipients {
		if err := n.suppress(ctx, notice, f); err != nil {
			return err
		}
	}
	return n.tell(ctx, notice)
}

// suppress remembers a recipient that does not exist.
func (n *Notifier) suppress(ctx context.Context, notice Notice, f Fate) error {
	if n.Suppressions == nil || notice.Action != ActionFailed || notice.Expired || !f.Outcome.NoSuchMailbox() {
		return nil
	}
	s, now := notice.Submission, n.now()
	err := n.Suppressions.Suppress(ctx, s.Account, Suppression{
		Address: s.Recipients[f.Recipient].Canonical(), Since: now, Until: now.Add(SuppressedFor), Outcome: f.Outcome,
	})
	if err != nil {
		return fmt.Errorf("relay: suppress recipient of %s: %w", notice.Message, err)
	}
	return nil
}

// tell is Notify without the list of suppressed recipients.
func (n *Notifier) tell(ctx context.Context, notice Notice) error {
	notice.Recipients = slices.DeleteFunc(slices.Clone(notice.Recipients), func(f Fate) bool { return !notice.wanted(f) })
	if len(notice.Recipients) == 0 {
		return nil
	}
	sender, now := notice.Submission.From, n.now()
	behind, err := n.Router.Resolve(ctx, sender)
	away := errors.Is(err, mailbox.ErrNotLocal)
	switch {
	case errors.Is(err, mailbox.ErrNotFound), away && n.Outbox == nil:
		n.Log.Warn("nobody to notify", "message", notice.Message, "action", notice.Action.String(), "err", err)
		return nil
	case err != nil && !away:
		return fmt.Errorf("relay: resolve sender of %s: %w", notice.Message, err)
	}

	id := notice.id(now)
	var b bytes.Buffer
	if !away {
		b.WriteString("Return-Path: <>\r\n") // final delivery adds it (RFC 5321, section 4.4)
	}
	if err := n.compose(ctx, &b, notice, id, now); err != nil {
		return fmt.Errorf("relay: notify of %s: %w", notice.Message, err)
	}
	if away {
		_, err = n.Outbox.Submit(ctx, notice.reply(id, n.Hostname, b.Bytes(), now), &b)
	} else {
		_, err = n.Deliverer.DeliverAs(ctx, id, mailbox.Envelope{Recipients: behind}, &b)
	}
	if err != nil {
		return fmt.Errorf("relay: notify of %s: %w", notice.Message, err)
	}
	n.Log.Info("sender notified", "message", notice.Message, "action", notice.Action.String(), "notification", id)
	return nil
}

// wanted reports whether the sender wants to hear of a recipient (RFC 3461, section 4.1):
// failure and delay unless he said otherwise, success only where he said so.
func (n Notice) wanted(f Fate) bool {
	if n.Submission.From.IsZero() {
		return false
	}
	wants := n.Submission.notify(f.Recipient)
	switch n.Action {
	case ActionFailed:
		return wants == 0 || wants&NotifyFailure != 0
	case ActionDelayed:
		return wants == 0 || wants&NotifyDelay != 0
	}
	return wants&NotifySuccess != 0
}

// notify is what the sender wants to hear of a recipient.
func (s *Submission) notify(recipient int) Notify {
	if s.Notify == nil {
		return 0
	}
	return s.Notify[recipient]
}

// original is the ORCPT of a recipient, or empty.
func (s *Submission) original(recipient int) string {
	if s.Original == nil {
		return ""
	}
	return s.Original[recipient]
}

// reply is the envelope of a notification that leaves this server. It is lost rather
// than answered (RFC 3461, section 6.2).
func (n Notice) reply(id mailbox.MessageID, hostname string, content []byte, now time.Time) Submission {
	s := n.Submission
	return Submission{
		Account: s.Account, Recipients: []mailbox.Address{s.From}, Notify: []Notify{NotifyNever},
		UTF8: s.UTF8, EightBit: !mailbox.IsASCII(content), Octets: int64(len(content)), HeaderID: headerID(id, hostname), Accepted: now,
	}
}

func (n *Notifier) now() time.Time {
	if n.Now != nil {
		return n.Now()
	}
	return time.Now()
}
