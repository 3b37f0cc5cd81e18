package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"restante/cassandra/cassandratest/internal/jvm"
)

// A backend is what runs the nodes of one cluster.
type backend interface {
	nodes() []Node
	do(ctx context.Context, op jvm.Op, node string, options ...string) error
	nodetool(ctx context.Context, node string, command ...string) (string, error)
	// ended is closed when the cluster has become useless; it may be nil.
	ended() <-chan struct{}
	close() error
}

// provide brings a cluster up: in a container where a Docker engine answers, else
// as Java processes. An engine that fails, for want of the image perhaps, is no
// reason to do without.
func provide(ctx context.Context, o order) (backend, error) {
	if !o.Shared {
		return startJVM(ctx, o)
	}
	c, containerErr := startContainer(ctx, o)
	if containerErr == nil {
		return c, nil
	}
	slog.Info("no container", "err", containerErr)
	j, err := startJVM(ctx, o)
	switch {
	case err == nil:
		return j, nil
	case !errors.Is(err, jvm.ErrAbsent):
		return nil, err
	case !errors.Is(containerErr, jvm.ErrAbsent):
		return nil, containerErr
	}
	return nil, fmt.Errorf("%w; %w", containerErr, err)
}

// processes is a cluster of Java processes.
type processes struct {
	ensemble *jvm.Ensemble
	shared   bool
}

func startJVM(ctx context.Context, o order) (backend, error) {
	in, err := jvm.Install(ctx, o.Cache)
	if err != nil {
		return nil, err
	}
	e, err := jvm.Start(ctx, in, jvm.Layout{
		Name:        filepath.Base(o.Dir),
		Dir:         o.Dir,
		Datacenters: o.Datacenters,
		Nodes:       o.Nodes,
		OneAddress:  o.Shared,
		Settings:    o.Settings,
		JMX:         o.JMX,
		Network:     o.Network,
		Enter:       o.Enter,
	})
	if err != nil {
		return nil, err
	}
	return processes{e, o.Shared}, nil
}

func (p processes) nodes() []Node {
	var nodes []Node
	for _, n := range p.ensemble.Nodes() {
		nodes = append(nodes, Node{Name: n.Name, Datacenter: n.Datacenter, Address: n.Address(), Dir: n.Dir})
	}
	return nodes
}

func (p processes) do(ctx context.Context, op jvm.Op, node string, options ...string) error {
	return p.ensemble.Do(ctx, op, node, options...)
}

func (p processes) nodetool(ctx context.Context, node string, command ...string) (string, error) {
	return p.ensemble.Nodetool(ctx, node, command...)
}

// A shared cluster lives and dies with its node; in any other a test kills nodes
// as it likes.
func (p processes) ended() <-chan struct{} {
	if !p.shared {
		return nil
	}
	return p.ensemble.Ended(0)
}

func (p processes) close() error { return p.ensemble.Close() }
