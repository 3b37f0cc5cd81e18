package relay

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
)

const (
	// How many Appends of one segment are under way at a time. While fewer are, what
	// comes is written at once; what comes meanwhile shares the next.
	appendsAtOnce = 4
	// How many writes of new mail may wait. Beyond it is better refused than late.
	mostWaiting = 1024
)

// A writer appends to a segment what several have to say at a time, together. It has no
// goroutine of its own: of those who wait, the first does the work and wakes the next.
type writer struct {
	journal Journal
	segment Segment
	timeout time.Duration // of one Append
	metrics *metrics

	mu      sync.Mutex
	waiting []*write
	leaders int // that append, or were woken to
}

// A write is what one caller has to say. It is appended as a whole.
type write struct {
	events []Event
	octets int
	lead   chan []*write // has room; what to append, this write among it
	done   chan error    // has room; what came of it, where another appended it
}

// append is Journal.Append with the writes of others. It takes as long as those before
// it and itself need.
func (w *writer) append(events ...Event) error { return w.write(false, events) }

// offer is append for new mail, which is refused where too much waits already.
func (w *writer) offer(events ...Event) error { return w.write(true, events) }

// appendMany is append of more than one Append may take; where it fails, the first of
// them may have been written.
func (w *writer) appendMany(events []Event) error {
	for len(events) > 0 {
		n, octets := 0, 0
		for n < min(len(events), MaxBatch) && (n == 0 || octets+events[n].octets() <= MaxBatchOctets) {
			octets += events[n].octets()
			n++
		}
		if err := w.append(events[:n]...); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func (w *writer) write(mayRefuse bool, events []Event) error {
	if err := CheckBatch(events); err != nil {
		return err
	}
	mine := &write{events: events, lead: make(chan []*write, 1), done: make(chan error, 1)}
	for _, e := range events {
		mine.octets += e.octets()
	}
	w.mu.Lock()
	switch {
	case w.leaders < appendsAtOnce: // so nobody waits
		w.leaders++
		w.mu.Unlock()
		return w.appendAll([]*write{mine})
	case mayRefuse && len(w.waiting) >= mostWaiting:
		w.mu.Unlock()
		return fmt.Errorf("relay: append to %s: too many wait: %w", w.segment.ID, mailbox.ErrUnavailable)
	}
	w.waiting = append(w.waiting, mine)
	w.mu.Unlock()
	select {
	case err := <-mine.done:
		return err
	case batch := <-mine.lead:
		return w.appendAll(batch)
	}
}

// appendAll appends writes, the first of which is the caller's own, and hands what waits
// to the first who does.
func (w *writer) appendAll(batch []*write) error {
	var events []Event
	for _, one := range batch {
		events = append(events, one.events...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.timeout)
	defer cancel()
	began := time.Now()
	err := w.journal.Append(ctx, w.segment, events...)
	w.metrics.appended(time.Since(began), len(events), err)
	for _, one := range batch[1:] {
		one.done <- err
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if next := w.take(); len(next) > 0 {
		next[0].lead <- next
	} else {
		w.leaders--
	}
	return err
}

// take is as much of what waits as one Append takes.
func (w *writer) take() []*write {
	n, events, octets := 0, 0, 0
	for _, one := range w.waiting {
		events, octets = events+len(one.events), octets+one.octets
		if events > MaxBatch || octets > MaxBatchOctets {
			break
		}
		n++
	}
	batch := slices.Clone(w.waiting[:n])
	w.waiting = slices.Delete(w.waiting, 0, n)
	return batch
}
