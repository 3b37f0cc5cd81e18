package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"restante/perf/profile"
	"restante/perf/rig"
	"restante/perf/scenario"
)

// profiledFor is how long one profile of a server is. What is left of a phase when the last
// one has ended is not looked at.
const profiledFor = 2 * time.Second

// A profiling makes one profile of each server after the other. The zero value makes none.
type profiling struct {
	stop func()
	done sync.WaitGroup

	mu    sync.Mutex
	kinds map[string]time.Duration
	err   error // the first
}

func startProfiling(ctx context.Context, servers []*rig.Server) *profiling {
	ctx, stop := context.WithCancel(ctx)
	p := &profiling{stop: stop, kinds: map[string]time.Duration{}}
	for _, s := range servers {
		p.done.Go(func() {
			for ctx.Err() == nil {
				kinds, err := profiled(ctx, s)
				if ctx.Err() != nil {
					return // in the middle of one
				}
				p.add(kinds, err)
				if err != nil && !scenario.Pause(ctx, profiledFor) {
					return
				}
			}
		})
	}
	return p
}

func (p *profiling) add(kinds map[string]time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for kind, cpu := range kinds {
		p.kinds[kind] += cpu
	}
	if p.err == nil {
		p.err = err
	}
}

// end is the share of each kind, none if no profile came to its end.
func (p *profiling) end() (map[string]float64, error) {
	if p.stop != nil {
		p.stop()
	}
	p.done.Wait()
	total := time.Duration(0)
	for _, cpu := range p.kinds {
		total += cpu
	}
	shares := map[string]float64{}
	for kind, cpu := range p.kinds {
		shares[kind] = float64(cpu) / float64(max(total, 1))
	}
	return shares, p.err
}

// profiled is one profile of a server.
func profiled(ctx context.Context, s *rig.Server) (map[string]time.Duration, error) {
	raw, err := asked(ctx, s, fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(profiledFor.Seconds())))
	if err != nil {
		return nil, err
	}
	return profile.Kinds(bytes.NewReader(raw))
}
