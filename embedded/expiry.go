package embedded

import (
	"context"
	"slices"
	"time"

	"restante/mailbox"
)

const (
	// expireEvery is how often the store looks for what has expired. Readers do not
	// see it any more; it is the disk that is given back.
	expireEvery = time.Minute
	// expirySlack is how long after its time something may come that has expired then.
	// What comes later waits for the daily sweep.
	expirySlack = 5 * time.Minute
	// expireChunk is how many keys of expiry are worked on at a time. Writers to the
	// maildrops in question wait for it, a millisecond or a few.
	expireChunk = 64
)

// expire removes what has expired, from time to time, until the context ends. It does
// not walk over what it removed before, which Pebble may not have tidied up yet.
func (s *Store) expire(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	from := []byte{prefixExpiry}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		began := s.now()
		var stats SweepStats
		err := s.sweepExpiredFrom(ctx, from, &stats)
		if err == nil {
			from = expiryPrefix(uint64(max(began.Add(-expirySlack).Unix(), 0)))
		} else if ctx.Err() == nil {
			s.log.Warn("what has expired is not removed yet", "err", err)
		}
	}
}

// sweepExpired removes the lines and the contents that expired, and forgets addresses
// and what else has an end.
//
// It leaves no record of a removal as others do: what is listed late will have expired
// too. So nothing need be durable before it is done, and an expiry that a crash undoes
// is done again.
func (s *Store) sweepExpired(ctx context.Context, stats *SweepStats) error {
	return s.sweepExpiredFrom(ctx, []byte{prefixExpiry}, stats)
}

func (s *Store) sweepExpiredFrom(ctx context.Context, from []byte, stats *SweepStats) error {
	now := s.now()
	end := expiryPrefix(uint64(max(now.Unix(), 0)) + 1)
	return s.pages(ctx, from, end, func(keys [][]byte) error {
		for chunk := range slices.Chunk(keys, expireChunk) {
			start := time.Now()
			if err := s.expireKeys(ctx, chunk, now, stats); err != nil {
				return err
			}
			if err := rest(ctx, time.Since(start)); err != nil {
				return err
			}
		}
		return nil
	})
}

// expireKeys removes what some keys name if it has expired: it may have been added again
// with another time. The keys are of no use afterwards.
func (s *Store) expireKeys(ctx context.Context, keys [][]byte, now time.Time, stats *SweepStats) error {
	round := expiryRound{store: s, now: now, contents: make(map[mailbox.MessageID]*expiringContent)}
	for _, key := range keys {
		e, err := decodeExpiry(key)
		if err != nil {
			return err
		}
		if e.kind == expiryPerishable {
			forgotten, err := s.perishables.forget(ctx, []byte(e.key), key, now)
			if err != nil {
				return err
			}
			if forgotten {
				stats.Ended++
			}
			continue
		}
		if e.kind != expiryAddress {
			round.due = append(round.due, e)
			round.keys = append(round.keys, key)
			continue
		}
		forgotten, err := s.addresses.forget(ctx, e.address, key, now)
		if err != nil {
			return err
		}
		if forgotten {
			stats.Forgotten++
			s.metrics.forgotten.Inc()
		}
	}
	if len(round.due) == 0 {
		return nil
	}
	expired, err := round.run(ctx)
	stats.Expired += expired
	s.metrics.expired.Add(float64(expired))
	return err
}

// An expiryRound removes lines and contents in one batch.
type expiryRound struct {
	store    *Store
	now      time.Time
	due      []expiry
	keys     [][]byte // of expiry
	contents map[mailbox.MessageID]*expiringContent
	expired  int
}

// An expiringContent is what is to become of a content.
type expiringContent struct {
	record  record
	found   bool
	changed bool // a maildrop released it
	over    bool // it expired itself
}

func (r *expiryRound) run(ctx context.Context) (expired int, err error) {
	s := r.store
	if err := s.enterWrite(ctx); err != nil {
		return 0, err
	}
	defer s.leaveWrite()
	s.contents.releasing.Lock()
	defer s.contents.releasing.Unlock()
	byDrop := make(map[mailbox.MaildropID][]expiry)
	var drops []mailbox.MaildropID
	for _, e := range r.due {
		if e.kind != expiryContent {
			byDrop[e.drop] = append(byDrop[e.drop], e)
			drops = append(drops, e.drop)
		}
	}
	held := s.maildrops.cache.hold(sortedDrops(drops))
	defer s.maildrops.cache.releaseStrangers(held)
	for _, l := range held { // in the order of the maildrops, so that nobody waits in a circle
		l.mu.Lock()
		defer l.mu.Unlock()
	}

	b := s.batch(0)
	for _, key := range r.keys {
		b.delete(key) // before another may be set for the same
	}
	for _, e := range r.due {
		if e.kind == expiryContent {
			if err := r.expireContent(e.id); err != nil {
				return 0, err
			}
		}
	}
	// Whatever may fail comes before anything in memory is changed.
	dying := make([]expiringListing, len(held))
	for i, l := range held {
		if dying[i], err = r.expireLines(l, byDrop[l.drop]); err != nil {
			return 0, err
		}
		if err := s.maildrops.readExpiring(ctx, &dying[i]); err != nil {
			return 0, err
		}
	}
	for _, l := range dying {
		s.maildrops.buryExpired(b, l)
	}
	r.settleContents(b)
	if err := s.commitUnsynced(b); err != nil {
		return 0, err
	}
	for _, l := range dying {
		if l.loaded && len(l.gone) > 0 {
			l.removed(l.gone)
		}
	}
	return r.expired, nil
}

// content is what is to become of a content.
func (r *expiryRound) content(id mailbox.MessageID) (*expiringContent, error) {
	if c := r.contents[id]; c != nil {
		return c, nil
	}
	record, found, err := r.store.contents.recordOf(id)
	if err != nil {
		return nil, err
	}
	c := &expiringContent{record: record, found: found}
	r.contents[id] = c
	return c, nil
}

func (r *expiryRound) expireContent(id mailbox.MessageID) error {
	c, err := r.content(id)
	if err != nil {
		return err
	}
	if expires := c.record.expires; c.found && !expires.IsZero() && !r.now.Before(expires) {
		c.over = true
		r.expired++
	}
	return nil
}

// expireLines says which lines of a maildrop go, and lets go of their contents.
func (r *expiryRound) expireLines(l *listing, due []expiry) (expiringListing, error) {
	dying := expiringListing{listing: l, gone: make(map[mailbox.MessageID]bool)}
	for _, e := range due {
		if e.kind == expiryHead {
			dying.headDue = true
			continue
		}
		message, found, err := r.store.maildrops.rowOf(l, e.id)
		if err != nil {
			return dying, err
		}
		if !found || dying.gone[e.id] || unexpired(message, r.now) {
			continue
		}
		dying.gone[e.id] = true
		dying.dying = append(dying.dying, message)
		r.expired++
		c, err := r.content(e.id)
		if err != nil {
			return dying, err
		}
		released, changed := c.record.without(l.drop)
		c.record, c.changed = released, c.changed || changed
	}
	return dying, nil
}

// settleContents removes the contents that nobody needs any more.
func (r *expiryRound) settleContents(b *batch) {
	for id, c := range r.contents {
		switch {
		case !c.found:
		case c.over, c.changed && len(c.record.drops) == 0:
			r.store.contents.removeIn(b, id, c.record)
		case c.changed:
			b.set(contentKey(id), appendRecord(nil, c.record))
			b.set(watchKey(id), nil) // as release does
		}
	}
}
