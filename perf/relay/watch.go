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
	if err != nil {
		return // what is not seen is held against the node
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
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

// of are the sightings of a service by a node until a time.
func (w *watch) of(node, service string, until time.Time) []sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []sighting
	for _, s := range w.seen {
		if s.node == node && s.service == service && s.at.Before(until) {
			all = append(all, s)
		}
	}
	return all
}

// out is from when on a node gave a service no more mail, in a time in which it was dead;
// the end of that time, where it went on.
func (w *watch) out(node, service string, dead window) time.Time {
	out, given := dead.from, true
	for _, s := range w.of(node, service, dead.to) {
		switch {
		case s.given:
			given = true
		case given:
			out, given = s.at, false
		}
	}
	if given {
		return dead.to
	}
	return later(out, dead.from)
}

// back is when the first beat of a service was heard that had started, and when a node had
// it up from then on; much later, where it never had.
func (w *watch) back(node, service string, started time.Time) (beat, up time.Time) {
	for _, s := range w.of(node, service, time.Now()) {
		if beat.IsZero() && s.beat.After(started) {
			beat = s.beat
		}
		if !beat.IsZero() && s.state == "up" && s.given {
			return beat, s.at
		}
	}
	return started, time.Now()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
