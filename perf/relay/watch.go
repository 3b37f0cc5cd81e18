package main

import (
	"context"
	"sync"
	"time"

	"restante/perf/scenario"
)

// A watch looks at what the nodes say of the services, again and again.
type watch struct {
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu   sync.Mutex
	seen []sighting // in their order
	err  error      // the last one
}

// A sighting is what a node said of a service that it had not said before.
type sighting struct {
	at            time.Time
	node, service string
	state, reason string
	given         bool      // it is given mail
	beat          time.Time // the last one; zero: none was heard
}

// watchEvery is how often it is looked. What is found is at most so much later than it
// was.
const watchEvery = 50 * time.Millisecond

// startWatch looks until stop.
func startWatch(ctx context.Context, nodes []*node) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{cancel: cancel}
	for _, n := range nodes {
		w.all.Go(func() {
			last := make(map[string]sighting)
			for scenario.Pause(ctx, watchEvery) {
				w.look(ctx, n, last)
			}
		})
	}
	return w
}

func (w *watch) stop() {
	w.cancel()
	w.all.Wait()
}

func (w *watch) look(ctx context.Context, n *node, last map[string]sighting) {
	services, err := n.services(ctx)
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.err = err
		return
	}
	for _, s := range services {
		name := s.Document.Name
		seen := sighting{at: now, node: n.name, service: name, state: s.State, reason: s.Reason, given: s.Weight > 0}
		if s.LastBeat != nil {
			seen.beat = now.Add(-time.Duration(*s.LastBeat) * time.Millisecond)
		}
		if before, known := last[name]; !known || seen.tells(before) {
			last[name] = seen
			w.seen = append(w.seen, seen)
		}
	}
}

// sameBeat is how far apart two looks may put the same beat.
const sameBeat = 200 * time.Millisecond

// tells reports whether a sighting says more than the one before it.
func (s sighting) tells(before sighting) bool {
	return s.state != before.state || s.reason != before.reason || s.given != before.given || s.beat.Sub(before.beat) > sameBeat
}

// first is the first sighting in a time that is as it should be.
func (w *watch) first(in window, is func(sighting) bool) (sighting, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.seen {
		if in.holds(s.at) && is(s) {
			return s, true
		}
	}
	return sighting{}, false
}
