package pool

import (
	"fmt"
	"slices"
	"time"
)

// A Transition is a change of the state of a service.
type Transition struct {
	Seq     uint64    `json:"seq"`     // one more each time
	Service string    `json:"service"` // empty: the pool as a whole, which is up or down
	From    State     `json:"from"`
	To      State     `json:"to"`
	Removed bool      `json:"removed,omitempty"` // the service is gone; its states are the last one
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

const (
	keptTransitions   = 256 // to look back at
	queuedTransitions = 256 // that a subscriber may be behind
	maxSubscribers    = 64
)

// events hand transitions out in their order. The lock of the pool guards them.
type events struct {
	seq         uint64
	kept        []Transition
	subscribers map[chan Transition]struct{}
	lost        uint64 // subscribers that were too slow
}

func (e *events) add(t Transition) {
	e.seq++
	t.Seq = e.seq
	if e.kept = append(e.kept, t); len(e.kept) > 2*keptTransitions {
		e.kept = slices.Clone(e.kept[len(e.kept)-keptTransitions:])
	}
	for c := range e.subscribers {
		select {
		case c <- t:
		default:
			delete(e.subscribers, c)
			close(c)
			e.lost++
		}
	}
}

func (e *events) close() {
	for c := range e.subscribers {
		close(c)
	}
	e.subscribers = nil
}

// Subscribe returns what is kept of the transitions until now and, without a gap, those
// that follow, in their order. The channel is closed when the pool ends, and for a
// subscriber that is too far behind, who may subscribe again. The caller stops it, once or
// more often. It fails with ErrRate where there are too many.
func (p *Pool) Subscribe() (kept []Transition, next <-chan Transition, stop func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.events.subscribers) >= maxSubscribers {
		return nil, nil, nil, fmt.Errorf("pool: subscribe: %w", ErrRate)
	}
	c := make(chan Transition, queuedTransitions)
	if p.closed {
		close(c)
		return p.events.last(), c, func() {}, nil
	}
	if p.events.subscribers == nil {
		p.events.subscribers = make(map[chan Transition]struct{})
	}
	p.events.subscribers[c] = struct{}{}
	stop = func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.events.subscribers, c)
	}
	return p.events.last(), c, stop, nil
}

// last are the transitions that are kept.
func (e *events) last() []Transition {
	return slices.Clone(e.kept[max(0, len(e.kept)-keptTransitions):])
}
