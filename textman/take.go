package textman

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
)

const (
	// maxTexts and maxOctets bound one Take. What is left is there for the next.
	maxTexts  = 1000
	maxOctets = 4 << 20 // of texts

	// openAtOnce is how many texts are opened at the same time: each is a question
	// to another machine where the store is one.
	openAtOnce = 16

	// removeTimeout bounds the removal, which goes on when the caller has gone: then
	// some would be removed and nobody would have them.
	removeTimeout = 10 * time.Second
)

// Take returns the texts of a user whose time is not over, the newest first, at most
// 1,000 and about 4 MiB, and removes those and no others. A text that cannot be
// opened just now is left for the next Take.
//
// A text is returned at least once. Takes of one user in one process take turns, and
// none returns what another did. Two servers that are asked at the same time may
// return the same text, and a text whose removal failed is returned now and may be
// returned again.
//
// Take fails with an [InvalidError], and with mailbox.ErrUnavailable where there may
// be texts and none can be had. Mail that came to the user's address is a text under
// an id that is new each time it is returned.
func (s *Service) Take(ctx context.Context, user string) ([]Text, error) {
	address, why := s.address(user)
	if why != "" {
		return nil, &InvalidError{User: why}
	}
	texts, err := s.take(ctx, dropOf(address))
	s.metrics.take(len(texts), err)
	if err != nil {
		return nil, fmt.Errorf("textman: take: %w", err)
	}
	return texts, nil
}

// An opened text is one with its line in the listing.
type opened struct {
	text    Text
	message mailbox.Message
	err     error
}

func (s *Service) take(ctx context.Context, drop mailbox.MaildropID) ([]Text, error) {
	done, err := s.turns.take(ctx, drop)
	if err != nil {
		return nil, err
	}
	defer done()
	listed, err := s.Maildrops.Newest(ctx, drop, mailbox.MessageID{}, maxTexts)
	if err != nil || len(listed) == 0 {
		return nil, err
	}
	found, err := s.open(ctx, listed)
	found = slices.DeleteFunc(found, s.over)
	if len(found) == 0 || ctx.Err() != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	if err != nil {
		s.Log.Warn("texts left for later", "maildrop", drop, "err", err)
	}
	s.remove(ctx, drop, found)
	found = slices.DeleteFunc(found, s.over)
	texts := make([]Text, len(found))
	for i, o := range found {
		texts[i] = o.text
	}
	return texts, nil
}

// over reports whether the time of a text has ended: also of one that was listed a
// moment ago.
func (s *Service) over(o opened) bool {
	return !o.message.Expires.IsZero() && !s.Now().Before(o.message.Expires)
}

// open reads texts until they are enough. The error is that of the first that is
// there and cannot be opened.
func (s *Service) open(ctx context.Context, listed []mailbox.Message) (found []opened, err error) {
	octets := 0
	for chunk := range slices.Chunk(listed, openAtOnce) {
		for _, o := range s.openChunk(ctx, chunk) {
			if o.err != nil {
				s.metrics.deferred.Inc()
			}
			switch {
			case errors.Is(o.err, mailbox.ErrNotFound):
				continue // somebody else has just taken it
			case o.err != nil:
				if err == nil {
					err = o.err
				}
				continue
			}
			if octets += len(o.text.Text); octets > maxOctets && len(found) > 0 {
				return found, err
			}
			found = append(found, o)
		}
	}
	return found, err
}

func (s *Service) openChunk(ctx context.Context, chunk []mailbox.Message) []opened {
	found := make([]opened, len(chunk))
	var others sync.WaitGroup
	for i, m := range chunk[1:] {
		others.Go(func() { found[1+i] = s.openOne(ctx, m) })
	}
	found[0] = s.openOne(ctx, chunk[0])
	others.Wait()
	return found
}

func (s *Service) openOne(ctx context.Context, m mailbox.Message) opened {
	r, err := s.Contents.Open(ctx, m)
	if err != nil {
		return opened{err: fmt.Errorf("open %s: %w", m.ID, err)}
	}
	defer r.Close()
	t, err := read(r)
	if err == nil && t.ID == 0 {
		t.ID, err = s.ids.mint(ctx)
	}
	if err != nil {
		return opened{err: fmt.Errorf("read %s: %w", m.ID, err)}
	}
	return opened{text: t, message: m}
}

// remove takes off the listing what is returned. Where that fails, the texts are
// returned nevertheless: any of them may be gone.
func (s *Service) remove(ctx context.Context, drop mailbox.MaildropID, found []opened) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	messages := make([]mailbox.Message, len(found))
	for i, o := range found {
		messages[i] = o.message
	}
	if err := s.Deliveries.Expunge(ctx, drop, messages...); err != nil {
		s.Log.Warn("texts returned but perhaps not removed", "maildrop", drop, "messages", len(messages), "err", err)
	}
}

// Waiting reports whether a user has texts to take. It takes none.
func (s *Service) Waiting(ctx context.Context, user string) (bool, error) {
	address, why := s.address(user)
	if why != "" {
		return false, &InvalidError{User: why}
	}
	listed, err := s.Maildrops.Newest(ctx, dropOf(address), mailbox.MessageID{}, 1)
	if err != nil {
		return false, fmt.Errorf("textman: look: %w", err)
	}
	return len(listed) > 0, nil
}
