package rig

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/scenario"
	"restante/perf/wan"
)

// A Server of a data centre can be ended and started again: it has the same addresses and
// the same directory then. All of it but Target is for one goroutine at a time.
type Server struct {
	*peer.Server        // that runs, or ran last
	Name         string // dc1-a
	Datacenter   string // dc1

	settings peer.Settings
	target   scenario.Target
	running  bool
}

// ServeIn starts server k of a data centre, both from 1, in the network that the rig is in.
// It makes the accounts of so many users; those that another server has made are there
// already. Close stops it.
func (r *Rig) ServeIn(ctx context.Context, datacenter, k, users int, flags ...string) (*Server, error) {
	if r.network == nil || k > wan.Servers {
		return nil, fmt.Errorf("no place for server %d of data centre %d", k, datacenter)
	}
	place := r.network.Places[datacenter-1]
	name := place.Name() + "-" + string(rune('a'+k-1))
	s := &Server{Name: name, Datacenter: place.Name(), settings: r.Settings(name, place.Name(), users)}
	s.settings.Place.Enter = place.Enter()
	s.settings.Place.Reach, s.settings.Place.Listen = place.Server(k)
	// All clients come from one address here; what it may do at once is not in question.
	s.settings.Flags = append(append(s.settings.Flags,
		fmt.Sprintf("--node=%d", (datacenter-1)*wan.Servers+k), "--max-per-network=100000", "--max-connections=100000"), flags...)
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	s.target = scenario.Target{Name: name, Datacenter: s.Datacenter, SMTP: s.SMTP, POP3: s.POP3}
	r.servers = append(r.servers, s)
	return s, nil
}

// A Change is made to how a server is started, this once.
type Change struct {
	Binary     string // another one, if any
	Flags, Env []string
}

// Start starts a server that was ended.
func (s *Server) Start(ctx context.Context, changes ...Change) error {
	if s.running {
		return fmt.Errorf("server %s runs already", s.Name)
	}
	kind, err := peer.Find(report.Ours)
	if err != nil {
		return err
	}
	settings := s.settings
	for _, c := range changes {
		if c.Binary != "" {
			settings.Binary = c.Binary
		}
		settings.Flags = slices.Concat(settings.Flags, c.Flags)
		settings.Env = slices.Concat(settings.Env, c.Env)
	}
	p, err := kind.Start(ctx, settings)
	if err != nil {
		return fmt.Errorf("start server %s: %w", s.Name, err)
	}
	s.Server, s.running = p, true
	return nil
}

// Running reports whether the server was started and not ended from here.
func (s *Server) Running() bool { return s.running }

// Stop asks the server to end. One that is frozen goes on first, as it would not hear it.
func (s *Server) Stop() error {
	if !s.running {
		return nil
	}
	s.running = false
	if err := s.Thaw(); err != nil {
		return err
	}
	return s.Server.Stop()
}

// Kill is kill -9.
func (s *Server) Kill() error {
	s.running = false
	return s.Server.Kill()
}

// Target is the server as its clients see it.
func (s *Server) Target() scenario.Target { return s.target }

// readyTimeout is how long a server may take to say whether it is ready.
const readyTimeout = 5 * time.Second

// Ready asks the server whether it is ready to serve.
func (s *Server) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Admin+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("server %s: %w", s.Name, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("server %s is not ready: %s", s.Name, answer.Status)
	}
	return nil
}
