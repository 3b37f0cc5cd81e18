package embedded

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"restante/mailbox"
)

// SweepStats say what a sweep removed.
type SweepStats struct {
	Unlisted    int // contents that no maildrop lists
	Uncommitted int // contents whose Put did not end
	Unreleased  int // contents that a maildrop had removed and not released
	Expired     int // lines of listings, and contents, whose time was over
	Forgotten   int // temporary addresses that ended long ago
	Ended       int // services that were removed, and recipients that may be tried again
	Segments    int // pieces of the journal of outbound mail that nobody closed
	Days        int // half days of removals that were forgotten
}

// What a sweep leaves alone.
const (
	// orphanAge is how old a message is before it is an orphan: no delivery
	// takes this long between its content and its listing.
	orphanAge = 24 * time.Hour
	// removalAge is how long a removal is remembered, at least.
	removalAge = 24 * time.Hour
)

// sweepPage is how many keys a sweep looks at before it rests.
const sweepPage = 256

// Sweep removes what nobody can reach: content that was never listed or was left
// behind, messages whose time is over, and the memory of old removals. It may
// run at any time, beside everything else: it rests as long as it works. Its
// cost is what there is to remove, not what is stored. Repeating it is harmless,
// and so is ending it half-way.
func (s *Store) Sweep(ctx context.Context) (stats SweepStats, err error) {
	for _, step := range []func(context.Context, *SweepStats) error{
		s.sweepExpired, s.sweepWatched, s.sweepRemovals, s.sweepJournal,
	} {
		if err := step(ctx, &stats); err != nil {
			return stats, fmt.Errorf("embedded: sweep: %w", err)
		}
	}
	return stats, nil
}

// pages goes through the keys from one to before another, page by page, with
// nothing of the store held while a page is worked on, and rests between two.
func (s *Store) pages(ctx context.Context, from, end []byte, work func(keys [][]byte) error) error {
	for from != nil {
		start := time.Now()
		var keys [][]byte
		if err := s.enter(ctx); err != nil {
			return err
		}
		err := s.scanKeys(ctx, from, end, func(key []byte) bool {
			keys = append(keys, bytes.Clone(key))
			return len(keys) < sweepPage
		})
		s.leave()
		if err != nil {
			return err
		}
		from = nil
		if len(keys) == sweepPage {
			from = append(keys[len(keys)-1], 0) // the next key there can be
		}
		if err := work(keys); err != nil {
			return err
		}
		if from != nil {
			if err := rest(ctx, time.Since(start)); err != nil {
				return err
			}
		}
	}
	return nil
}

// rest waits for some time.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, ctx.Err())
	}
}

// sweepWatched looks at the contents on watch that are old enough.
func (s *Store) sweepWatched(ctx context.Context, stats *SweepStats) error {
	old := s.now().Add(-orphanAge)
	return s.pages(ctx, []byte{prefixWatch}, []byte{prefixWatch + 1}, func(keys [][]byte) error {
		for _, key := range keys {
			id := decodeID(key[1:])
			if id.Time().After(old) || s.contents.puts.has(id) {
				continue
			}
			if err := s.sweepContent(ctx, id, stats); err != nil {
				return err
			}
		}
		return nil
	})
}

// sweepContent takes a content off the watch: it is listed, or it goes.
func (s *Store) sweepContent(ctx context.Context, id mailbox.MessageID, stats *SweepStats) error {
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.leaveWrite()
	s.contents.releasing.Lock()
	defer s.contents.releasing.Unlock()
	r, committed, err := s.contents.recordOf(id)
	if err != nil {
		return err
	}
	if slices.Contains(r.drops, mailbox.Outbound) && s.now().Sub(id.Time()) < mailbox.OutboundKept {
		return nil // it has no listing to be looked at
	}
	// With the maildrops locked, no addition comes between look and removal.
	held := s.maildrops.cache.hold(sortedDrops(r.drops))
	defer s.maildrops.cache.release(held)
	listed := false
	for _, l := range held {
		l.mu.Lock()
		defer l.mu.Unlock()
		_, found, err := s.maildrops.rowOf(l, id)
		if err != nil {
			return err
		}
		listed = listed || found
	}
	b := s.batch(0)
	b.delete(watchKey(id))
	switch {
	case listed:
	case committed:
		s.contents.removeIn(b, id, r)
		stats.Unlisted++
	default:
		found, err := s.removeParts(ctx, b, id)
		if err != nil {
			return err
		}
		if found {
			stats.Uncommitted++
		}
	}
	return s.commitUnsynced(b)
}

// removeParts adds to a batch the removal of parts without a commit record.
func (s *Store) removeParts(ctx context.Context, b *batch, id mailbox.MessageID) (found bool, err error) {
	prefix := appendID([]byte{prefixPart}, id)
	err = s.scanKeys(ctx, prefix, after(prefix), func(key []byte) bool {
		b.delete(bytes.Clone(key))
		found = true
		return true
	})
	return found, err
}

// sweepRemovals forgets old removals, after a last look at whether the content
// of each was released.
func (s *Store) sweepRemovals(ctx context.Context, stats *SweepStats) error {
	before := s.now().Add(-removalAge)
	for _, day := range *s.maildrops.days.Load() {
		if day >= dayOf(before) {
			return nil
		}
		prefix := removalDayPrefix(day)
		err := s.pages(ctx, prefix, after(prefix), func(keys [][]byte) error {
			for _, key := range keys {
				drop, id, err := decodeRemoval(key)
				if err != nil {
					return err
				}
				removed, err := s.contents.release(ctx, drop, []mailbox.MessageID{id})
				if err != nil {
					return err
				}
				stats.Unreleased += removed
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.maildrops.closeDay(ctx, day); err != nil {
			return err
		}
		stats.Days++
	}
	return nil
}
