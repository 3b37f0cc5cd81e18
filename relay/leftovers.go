package relay

import (
	"context"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
)

const (
	// How many withdrawals are remembered before new mail is refused unread, and how many
	// contents to release.
	mostToRepeat = 10_000
	// How long one of the releases may take.
	repeatTimeout = 5 * time.Second
)

// Leftovers are what a process has yet to write about mail that it does not have. They
// outlast the queue of one life, since a submission may end after it: the next life
// withdraws what this one has refused. One queue at a time works on them.
type leftovers struct {
	mu       sync.Mutex
	arriving map[mailbox.MessageID]struct{} // messages not yet accepted, or refused and not withdrawn: a load leaves them alone
	withdraw []withdrawal
	unneeded []mailbox.MessageID // whose content is to be released
}

// A withdrawal is a message that was refused although it may be in the journal.
type withdrawal struct {
	id      mailbox.MessageID
	in      Segment
	entries int // that are reserved, where the segment is still that of its queue
}

func newLeftovers() *leftovers {
	return &leftovers{arriving: make(map[mailbox.MessageID]struct{})}
}

func (l *leftovers) arrives(id mailbox.MessageID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arriving[id] = struct{}{}
}

func (l *leftovers) arrived(id mailbox.MessageID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.arriving, id)
}

// has reports whether a message is arriving.
func (l *leftovers) has(id mailbox.MessageID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, arriving := l.arriving[id]
	return arriving
}

// refuse sees to it that a refused message is not sent after all.
func (l *leftovers) refuse(w withdrawal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.withdraw = append(l.withdraw, w)
}

func (l *leftovers) toWithdraw() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.withdraw)
}

// nextWithdrawals are some that can be written together.
func (l *leftovers) nextWithdrawals() []withdrawal {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < min(len(l.withdraw), MaxBatch) && l.withdraw[n].in == l.withdraw[0].in {
		n++
	}
	return slices.Clone(l.withdraw[:n])
}

// withdrawn forgets the first of them.
func (l *leftovers) withdrawn(first []withdrawal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.withdraw = slices.Delete(l.withdraw, 0, len(first))
	for _, w := range first {
		delete(l.arriving, w.id)
	}
}

// unneed has contents be released later, as many as there is room for. Others are left to
// the sweep.
func (l *leftovers) unneed(ids []mailbox.MessageID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unneeded = append(l.unneeded, ids[:min(len(ids), mostToRepeat-len(l.unneeded))]...)
}

func (l *leftovers) toRelease() []mailbox.MessageID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.unneeded[:min(len(l.unneeded), releaseAtOnce)])
}

// released forgets the first of them.
func (l *leftovers) released(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unneeded = slices.Delete(l.unneeded, 0, n)
}

// withdrawAgain writes that refused messages were, until that fails.
func (q *Queue) withdrawAgain(ctx context.Context) {
	data, err := Encode(CancelledData{By: "refused"})
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		some := q.leftovers.nextWithdrawals()
		if len(some) == 0 {
			return
		}
		events := make([]Event, len(some))
		for i, w := range some {
			events[i] = q.event(w.id, Whole, Cancelled, 0, data)
			events[i].Last = true
		}
		if err := q.newSegment(some[0].in, false).writer.append(events...); err != nil {
			return
		}
		q.withdrawn(some)
	}
}

func (q *Queue) withdrawn(some []withdrawal) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leftovers.withdrawn(some)
	for _, w := range some {
		s := q.segments[w.in]
		if s == nil {
			continue
		}
		s.finish(w.id) // a load may have read it before
		if s.own {     // else it was reserved in another life
			q.unreserve(s, w.entries)
		}
	}
}

// release lets go of the content of a message for which nothing is left to do, or sees
// to it that this is done later.
func (q *Queue) release(ids ...mailbox.MessageID) {
	if err := q.releaseNow(ids); err != nil {
		q.options.Log.Warn("content not released yet", "messages", len(ids), "err", err)
		q.leftovers.unneed(ids)
	}
}

func (q *Queue) releaseNow(ids []mailbox.MessageID) error {
	ctx, cancel := context.WithTimeout(context.Background(), repeatTimeout)
	defer cancel()
	contents := make([]mailbox.Message, len(ids))
	for i, id := range ids {
		contents[i] = mailbox.Message{ID: id, Recipients: 1}
	}
	return q.options.Contents.Release(ctx, mailbox.Outbound, contents...)
}

// releaseAtOnce is how many contents are released in one call.
const releaseAtOnce = 500

func (q *Queue) releaseAgain(ctx context.Context) {
	for ctx.Err() == nil {
		ids := q.leftovers.toRelease()
		if len(ids) == 0 || q.releaseNow(ids) != nil {
			return
		}
		q.leftovers.released(len(ids))
	}
}
