package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"restante/perf/faults"
	"restante/perf/rig"
	"restante/perf/scenario"
)

// breakable is a stage that troubles can be made on. It is used by one goroutine.
type breakable struct {
	*stage
	upgrades int
	disks    map[string]*smallDisk // of nodes that have one now
}

var _ faults.System = (*breakable)(nil)

func (b *breakable) Nodes() []faults.Node {
	var nodes []faults.Node
	for _, n := range b.rig.Nodes {
		nodes = append(nodes, faults.Node{Name: n.Name, Datacenter: n.Datacenter})
	}
	return nodes
}

func (b *breakable) Servers() []scenario.Target { return b.targets() }

func (b *breakable) KillNode(ctx context.Context, name string) error {
	return b.rig.Do(ctx, "kill", name)
}

func (b *breakable) StopNode(ctx context.Context, name string) error {
	return b.rig.Do(ctx, "stop", name)
}

func (b *breakable) StartNode(ctx context.Context, name string) error {
	if b.runs(ctx, name) {
		return nil
	}
	return b.rig.Do(ctx, "start", name)
}

func (b *breakable) runs(ctx context.Context, node string) bool {
	return b.rig.Do(ctx, "check", node) == nil
}

func (b *breakable) FreezeNode(ctx context.Context, name string) error {
	return b.rig.Do(ctx, "freeze", name)
}

func (b *breakable) ThawNode(ctx context.Context, name string) error {
	return b.rig.Do(ctx, "thaw", name)
}

// server finds a server by its name.
func (b *breakable) server(name string, do func(*rig.Server) error) error {
	i := slices.IndexFunc(b.servers, func(s *rig.Server) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no server %q", name)
	}
	return do(b.servers[i])
}

func (b *breakable) KillServer(_ context.Context, name string) error {
	return b.server(name, (*rig.Server).Kill)
}

func (b *breakable) StopServer(_ context.Context, name string) error {
	return b.server(name, (*rig.Server).Stop)
}

func (b *breakable) StartServer(ctx context.Context, name string, skew time.Duration) error {
	return b.server(name, func(s *rig.Server) error {
		if s.Running() {
			return nil
		}
		if skew != 0 {
			return s.Start(ctx, b.rig.Skewed(skew))
		}
		return s.Start(ctx)
	})
}

func (b *breakable) FreezeServer(_ context.Context, name string) error {
	return b.server(name, func(s *rig.Server) error { return s.Freeze() })
}

func (b *breakable) ThawServer(_ context.Context, name string) error {
	return b.server(name, func(s *rig.Server) error { return s.Thaw() })
}

func (b *breakable) CutLink(ctx context.Context) error { return b.network.Cut(ctx) }

func (b *breakable) MendLink(ctx context.Context) error { return b.network.Mend(ctx) }

func (b *breakable) Healthy(ctx context.Context) error { return b.healthy(ctx) }

// node finds a node by its name.
func (b *breakable) node(name string) (rig.Node, error) {
	i := slices.IndexFunc(b.rig.Nodes, func(n rig.Node) bool { return n.Name == name })
	if i < 0 {
		return rig.Node{}, fmt.Errorf("there is no node %q", name)
	}
	return b.rig.Nodes[i], nil
}

// FillDisk moves a node to a disk that is hardly larger than what it has, and takes the
// rest.
func (b *breakable) FillDisk(ctx context.Context, name string) error {
	n, err := b.node(name)
	if err != nil {
		return err
	}
	if err := b.StopNode(ctx, name); err != nil {
		return err
	}
	d, err := newSmallDisk(ctx, n.Dir)
	if err != nil {
		return err
	}
	b.disks[name] = d
	if err := b.StartNode(ctx, name); err != nil {
		return err
	}
	return d.fill()
}

// EmptyDisk moves it back. A node that has met a full disk may hang or have ended.
func (b *breakable) EmptyDisk(ctx context.Context, name string) error {
	d := b.disks[name]
	if d == nil {
		return b.StartNode(ctx, name) // it has been stopped, and that was all
	}
	if b.runs(ctx, name) {
		if err := b.KillNode(ctx, name); err != nil {
			return err
		}
	}
	delete(b.disks, name)
	if err := d.moveBack(ctx); err != nil {
		return err
	}
	return b.StartNode(ctx, name)
}

// close takes small disks away that are left.
func (b *breakable) close() error {
	var errs []error
	for _, d := range b.disks {
		errs = append(errs, d.unmount())
	}
	return errors.Join(errs...)
}

// RebuildDatacenter starts new nodes in place of the dead ones, with their addresses and
// tokens. None of them fetches anything while it joins, as nobody of its own data centre has
// it; when all are there, they fetch what is theirs from another data centre. Each row
// comes from one replica, which may lack what was written while it was down and what hints
// that are gone now would have brought, so that a repair follows, as operators are told.
func (b *breakable) RebuildDatacenter(ctx context.Context, datacenter string) error {
	var lost []rig.Node
	var from string
	for _, n := range b.rig.Nodes {
		if n.Datacenter == datacenter {
			lost = append(lost, n)
		} else {
			from = n.Datacenter
		}
	}
	for _, n := range lost {
		if err := b.rig.Do(ctx, "wipe", n.Name); err != nil {
			return err
		}
		address, _, _ := strings.Cut(n.Address, ":")
		if err := b.rig.Do(ctx, "start", n.Name,
			"-Dcassandra.replace_address_first_boot="+address, "-Dcassandra.allow_unsafe_replace=true"); err != nil {
			return err
		}
	}
	if err := b.together(ctx); err != nil {
		return err
	}
	for _, n := range lost {
		if _, err := b.rig.Nodetool(ctx, n.Name, "rebuild -ks "+rig.Keyspace+" "+from); err != nil {
			return err
		}
	}
	for _, n := range lost {
		if _, err := b.rig.Nodetool(ctx, n.Name, "repair -full "+rig.Keyspace); err != nil {
			return err
		}
	}
	return nil
}

// together waits until all nodes see each other; servers may be down.
func (b *breakable) together(ctx context.Context) error {
	for deadline := time.Now().Add(patience); ; {
		err := b.divided(ctx)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		if !scenario.Pause(ctx, time.Second) {
			return ctx.Err()
		}
	}
}

// UpgradeSchema adds a column to the table of the listings, as the next version might.
func (b *breakable) UpgradeSchema(ctx context.Context) error {
	b.upgrades++
	_, err := b.rig.Query(ctx, b.rig.Nodes[0], fmt.Sprintf("ALTER TABLE %s.maildrop ADD upgrade_%d text", rig.Keyspace, b.upgrades))
	return err
}
