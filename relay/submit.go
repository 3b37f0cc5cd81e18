package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"restante/mailbox"
)

// Submit reads content to its end and takes the message on for all recipients. When it
// returns nil the message is durable, and every recipient gets it or the sender hears of
// it. It fails with mailbox.ErrUnavailable where trying again may help, with
// mailbox.ErrFull where too much waits or the store is full, and with ErrBatch where the
// envelope is too large; then nothing is sent, unless this process dies at that moment or
// the store cannot be reached from here until another has taken over.
//
// Where the submission does not say when it was accepted, it is now; where it does not
// say when it expires, its class does. Octets are counted.
func (q *Queue) Submit(ctx context.Context, s Submission, content io.Reader) (mailbox.MessageID, error) {
	if err := s.whole(); err != nil {
		return mailbox.MessageID{}, fmt.Errorf("relay: submit: %w: %w", ErrBatch, err)
	}
	if err := q.takesMail(len(s.Recipients)); err != nil {
		return mailbox.MessageID{}, err
	}
	id := q.options.IDs.Next()
	short, err := q.keep(ctx, id, &s, content)
	if err != nil {
		return mailbox.MessageID{}, fmt.Errorf("relay: store content of %s: %w", id, err)
	}
	if int(s.Class) >= len(classNames) {
		s.Class = Normal
	}
	if s.Accepted.IsZero() {
		s.Accepted = q.now().time()
	}
	if s.Expires.IsZero() {
		s.Expires = s.Accepted.Add(q.options.Policies.of(s.Class).Expires)
	}
	if err := q.accept(ctx, id, s, short); err != nil {
		if !s.Journalled {
			q.release(id)
		}
		return mailbox.MessageID{}, err
	}
	q.metrics.accepted.WithLabelValues(classNames[s.Class]).Inc()
	return id, nil
}

// keep reads a content and stores it, unless it is so short that it is written with the
// event: then it is returned.
func (q *Queue) keep(ctx context.Context, id mailbox.MessageID, s *Submission, content io.Reader) (short []byte, err error) {
	begin, err := io.ReadAll(io.LimitReader(content, MaxContent+1))
	if err != nil {
		return nil, err
	}
	if s.Journalled = len(begin) <= MaxContent; s.Journalled {
		s.Octets = int64(len(begin))
		return begin, nil
	}
	out := mailbox.Content{ID: id, Maildrops: []mailbox.MaildropID{mailbox.Outbound}}
	s.Octets, err = q.options.Contents.Put(ctx, out, io.MultiReader(bytes.NewReader(begin), content))
	return nil, err
}

// takesMail fails where a message for so many would be refused.
func (q *Queue) takesMail(recipients int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !q.running:
		return fmt.Errorf("relay: submit: the queue does not run: %w", mailbox.ErrUnavailable)
	case !q.ours():
		return fmt.Errorf("relay: submit: %w: %w", mailbox.ErrUnavailable, ErrLease)
	case q.pending+recipients > q.options.Most:
		return fmt.Errorf("relay: submit: %d wait already: %w", q.pending, mailbox.ErrFull)
	}
	if n := q.leftovers.toWithdraw(); n >= mostToRepeat {
		return fmt.Errorf("relay: submit: %d refused before are to be withdrawn: %w", n, mailbox.ErrUnavailable)
	}
	return nil
}

// accept makes a message durable, whose content is or is short, and takes it into the
// queue.
func (q *Queue) accept(ctx context.Context, id mailbox.MessageID, s Submission, short []byte) error {
	data, err := Encode(s)
	if err != nil {
		return err
	}
	in, err := q.reserve(ctx, len(s.Recipients), len(short))
	if err != nil {
		return err
	}
	q.leftovers.arrives(id)
	accepted := q.event(id, Whole, Accepted, 0, data)
	accepted.Content = short
	err = in.writer.offer(accepted)
	if err == nil && !q.ours() {
		err = ErrLease // another may have read the segment before this was in it
	}
	if err != nil {
		q.metrics.refused.Inc()
		q.leftovers.refuse(withdrawal{id, in.Segment, len(s.Recipients)})
		if !errors.Is(err, mailbox.ErrUnavailable) {
			err = fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
		}
		return fmt.Errorf("relay: accept %s: %w", id, err)
	}
	m := q.newMessage(id, in, &s)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leftovers.arrived(id)
	if !in.gone { // else who has the segment now has read this too, as the lease was ours
		in.messages[id] = m
		if s.Journalled {
			q.fresh.keep(id, short)
		}
		q.place(m, 0)
	}
	return nil
}
