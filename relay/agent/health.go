package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"restante/relay"
)

const (
	probeEvery   = 15 * time.Second // where all is well
	probeAgain   = 2 * time.Second  // where it is not
	probeTimeout = 10 * time.Second
	probeFall    = 3 // failures in a row that bring down
)

// health is what is known of the provider, so that the servers give no mail to an agent
// that cannot get rid of it.
type health struct {
	provider relay.Provider
	log      *slog.Logger

	mu      sync.Mutex
	known   bool
	bad     int // probes in a row that failed; probeFall at most
	text    string
	leaving bool
}

func newHealth(p relay.Provider, log *slog.Logger) *health { return &health{provider: p, log: log} }

// run probes until the context ends.
func (h *health) run(ctx context.Context) {
	for {
		pause := probeEvery
		if status, _ := h.status(); status != "up" {
			pause = probeAgain
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		h.probe(ctx)
	}
}

// probe finds out whether the next hop would take mail. The first failure of all counts
// like many: nothing good is known yet.
func (h *health) probe(ctx context.Context) {
	probing, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	o := h.provider.Probe(probing)
	if ctx.Err() != nil {
		return // it was broken off
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.bad
	switch {
	case o.Result == relay.Success:
		h.bad, h.text = 0, ""
	case !h.known:
		h.bad, h.text = probeFall, o.Result.String()+": "+o.Text
	default:
		h.bad, h.text = min(h.bad+1, probeFall), o.Result.String()+": "+o.Text
	}
	h.known = true
	switch {
	case before == 0 && h.bad > 0:
		h.log.Warn("provider does not work", "result", o.Result.String(), "text", o.Text)
	case before > 0 && h.bad == 0:
		h.log.Info("provider works again")
	}
}

// status is what a beat says, and why.
func (h *health) status() (status, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.leaving:
		return "drain", "leaves"
	case h.bad == probeFall:
		return "down", h.text
	case h.bad > 0:
		return "degraded", h.text
	}
	return "up", ""
}

func (h *health) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leaving = true
}
