package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"restante/perf/scenario"
)

// A stand is a system that notes what is done to it, and minds that it makes sense.
type stand struct {
	servers []scenario.Target

	mu    sync.Mutex
	done  []string
	state map[string]string // of what is not as it should be
	fails string            // what cannot be done
}

func newStand(servers []scenario.Target) *stand {
	return &stand{servers: servers, state: map[string]string{}}
}

func (s *stand) Nodes() []Node {
	var nodes []Node
	for _, dc := range []string{"dc1", "dc2"} {
		for n := 1; n <= 3; n++ {
			nodes = append(nodes, Node{fmt.Sprintf("%s-%d", dc, n), dc})
		}
	}
	return nodes
}

func (s *stand) Servers() []scenario.Target { return s.servers }

// change notes what is done to something, which has to be in one state and is in another
// one then; empty is well.
func (s *stand) change(what, name, from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, what+" "+name)
	if what == s.fails {
		return errors.New("it cannot be done")
	}
	if s.state[name] != from {
		return fmt.Errorf("%s %s: it is %q, not %q", what, name, s.state[name], from)
	}
	if s.state[name] = to; to == "" {
		delete(s.state, name)
	}
	return nil
}

func (s *stand) KillNode(_ context.Context, n string) error  { return s.change("kill", n, "", "down") }
func (s *stand) StopNode(_ context.Context, n string) error  { return s.change("stop", n, "", "down") }
func (s *stand) StartNode(_ context.Context, n string) error { return s.start("start", n, "") }
func (s *stand) FreezeNode(_ context.Context, n string) error {
	return s.change("freeze", n, "", "frozen")
}
func (s *stand) ThawNode(_ context.Context, n string) error   { return s.change("thaw", n, "frozen", "") }
func (s *stand) KillServer(_ context.Context, n string) error { return s.change("kill", n, "", "down") }
func (s *stand) StopServer(_ context.Context, n string) error {
	s.mu.Lock()
	now := s.state[n]
	s.mu.Unlock()
	return s.change("stop", n, now, "down")
}
func (s *stand) StartServer(_ context.Context, n string, skew time.Duration) error {
	if skew != 0 {
		return s.start(fmt.Sprintf("start %+v", skew), n, "skewed")
	}
	return s.start("start", n, "")
}

func (s *stand) start(what, name, to string) error {
	s.mu.Lock()
	_, troubled := s.state[name]
	s.mu.Unlock()
	if !troubled {
		return nil
	}
	return s.change(what, name, "down", to)
}
func (s *stand) FreezeServer(_ context.Context, n string) error {
	return s.change("freeze", n, "", "frozen")
}
func (s *stand) ThawServer(_ context.Context, n string) error {
	return s.change("thaw", n, "frozen", "")
}
func (s *stand) CutLink(context.Context) error               { return s.change("cut", "link", "", "cut") }
func (s *stand) MendLink(context.Context) error              { return s.change("mend", "link", "cut", "") }
func (s *stand) FillDisk(_ context.Context, n string) error  { return s.change("fill", n, "", "full") }
func (s *stand) EmptyDisk(_ context.Context, n string) error { return s.change("empty", n, "full", "") }
func (s *stand) UpgradeSchema(context.Context) error         { return s.change("upgrade", "schema", "", "") }
func (s *stand) RebuildDatacenter(_ context.Context, dc string) error {
	var errs []error
	for _, n := range s.Nodes() {
		if n.Datacenter == dc {
			errs = append(errs, s.change("rebuild", n.Name, "down", ""))
		}
	}
	return errors.Join(errs...)
}

func (s *stand) Healthy(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.state) > 0 {
		return fmt.Errorf("it is not healthy: %v", s.state)
	}
	return nil
}

// did reports whether something was done to anything.
func (s *stand) did(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.done, func(d string) bool { return len(d) > len(what) && d[:len(what)+1] == what+" " })
}
