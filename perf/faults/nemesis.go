package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// A Nemesis is one trouble with its victim. What Begin has done End undoes, or fails to
// where Begin has failed half way.
type Nemesis interface {
	Name() string
	Begin(ctx context.Context) error
	End(ctx context.Context) error
}

// A Spell is a nemesis, how long it lasts, and what it touches.
type Spell struct {
	Nemesis
	Where       string
	Datacenters []string
	Destroys    bool // the stores of those
	Length      time.Duration
}

// A Kind of nemesis chooses its victims.
type Kind struct {
	Name    string
	Weight  int             // how often in a round of all kinds
	Lengths []time.Duration // one of these, named more often if it is to come more often
	choose  func(s System, rnd *rand.Rand) Spell
}

// String is the kind's name.
func (k Kind) String() string { return k.Name }

// deed is a nemesis made of two functions.
type deed struct {
	name       string
	begin, end func(context.Context) error
}

func (d deed) Name() string                    { return d.name }
func (d deed) Begin(ctx context.Context) error { return d.begin(ctx) }
func (d deed) End(ctx context.Context) error   { return d.end(ctx) }

// skewed is how wrong a clock gets.
const skewed = 10 * time.Second

// SkewedClock is the kind that needs servers whose clock can be wrong.
const SkewedClock = "skew the clock of a server"

// Kinds are all there are. Where data centres have three nodes, each of these leaves a
// quorum of every data centre but one that it ends as a whole; they come one at a time.
func Kinds() []Kind {
	const s, m = time.Second, time.Minute
	return []Kind{
		{"kill a node", 3, []time.Duration{5 * s, 30 * s, 2 * m}, node(System.KillNode, System.StartNode)},
		{"freeze a node", 3, []time.Duration{3 * s, 15 * s, m}, node(System.FreezeNode, System.ThawNode)},
		{"fill the disk of a node", 1, []time.Duration{20 * s, m}, node(System.FillDisk, System.EmptyDisk)},
		{"kill a server", 3, []time.Duration{s, 10 * s, 30 * s}, server(System.KillServer, startServer)},
		{"freeze a server", 2, []time.Duration{2 * s, 10 * s, 30 * s}, server(System.FreezeServer, System.ThawServer)},
		{SkewedClock, 2, []time.Duration{20 * s, m}, skew},
		{"cut the link", 4, []time.Duration{s, s, 5 * s, 5 * s, 30 * s, 30 * s, 2 * m, 10 * m}, cut},
		{"kill a data centre", 1, []time.Duration{15 * s, m}, killDatacenter},
		{"wipe a data centre", 1, []time.Duration{5 * s}, wipeDatacenter},
		{"restart all, one after another", 1, []time.Duration{0}, restartAll},
		{"upgrade the schema, one server after another", 1, []time.Duration{0}, upgrade},
	}
}

type act = func(System, context.Context, string) error

func startServer(s System, ctx context.Context, name string) error {
	return s.StartServer(ctx, name, 0)
}

// node does something to one node, and undoes it.
func node(begin, end act) func(System, *rand.Rand) Spell {
	return func(s System, rnd *rand.Rand) Spell {
		nodes := s.Nodes()
		n := nodes[rnd.IntN(len(nodes))]
		return on(s, n.Name, n.Datacenter, begin, end)
	}
}

// server does something to one server, and undoes it.
func server(begin, end act) func(System, *rand.Rand) Spell {
	return func(s System, rnd *rand.Rand) Spell {
		servers := s.Servers()
		t := servers[rnd.IntN(len(servers))]
		return on(s, t.Name, t.Datacenter, begin, end)
	}
}

func on(s System, name, datacenter string, begin, end act) Spell {
	return Spell{Where: name, Datacenters: []string{datacenter}, Nemesis: deed{
		begin: func(ctx context.Context) error { return begin(s, ctx, name) },
		end:   func(ctx context.Context) error { return end(s, ctx, name) },
	}}
}

// skew starts a server again, with a clock that is ahead or behind.
func skew(s System, rnd *rand.Rand) Spell {
	by := skewed
	if rnd.IntN(2) == 0 {
		by = -skewed
	}
	again := func(by time.Duration) act {
		return func(s System, ctx context.Context, name string) error {
			if err := s.StopServer(ctx, name); err != nil {
				return err
			}
			return s.StartServer(ctx, name, by)
		}
	}
	spell := server(again(by), again(0))(s, rnd)
	spell.Where = fmt.Sprintf("%s, %+v", spell.Where, by)
	return spell
}

func cut(s System, _ *rand.Rand) Spell {
	return Spell{Where: "the link", Datacenters: datacenters(s.Servers()), Nemesis: deed{begin: s.CutLink, end: s.MendLink}}
}

// killDatacenter ends everything in a data centre at once, or nearly.
func killDatacenter(s System, rnd *rand.Rand) Spell {
	dc := anyDatacenter(s, rnd)
	return Spell{Where: dc, Datacenters: []string{dc}, Nemesis: deed{
		begin: func(ctx context.Context) error { return killAll(ctx, s, dc) },
		end:   func(ctx context.Context) error { return startDatacenter(ctx, s, dc) },
	}}
}

// wipeDatacenter ends everything in a data centre, whose disks are lost.
func wipeDatacenter(s System, rnd *rand.Rand) Spell {
	dc := anyDatacenter(s, rnd)
	return Spell{Where: dc, Datacenters: []string{dc}, Destroys: true, Nemesis: deed{
		begin: func(ctx context.Context) error { return killAll(ctx, s, dc) },
		end: func(ctx context.Context) error {
			if err := s.RebuildDatacenter(ctx, dc); err != nil {
				return err
			}
			return eachServer(ctx, s, dc, startServer)
		},
	}}
}

// restartAll is what an operator does with a new version of either.
func restartAll(s System, _ *rand.Rand) Spell {
	return Spell{Where: "everywhere", Datacenters: datacenters(s.Servers()), Nemesis: deed{
		begin: func(ctx context.Context) error {
			for _, n := range s.Nodes() {
				if err := s.StopNode(ctx, n.Name); err != nil {
					return err
				}
				if err := s.StartNode(ctx, n.Name); err != nil {
					return err
				}
				if err := s.Healthy(ctx); err != nil {
					return err
				}
			}
			return restartServers(ctx, s)
		},
		end: func(ctx context.Context) error { return startAll(ctx, s) },
	}}
}

// upgrade changes the tables first, and then the servers.
func upgrade(s System, _ *rand.Rand) Spell {
	return Spell{Where: "everywhere", Datacenters: datacenters(s.Servers()), Nemesis: deed{
		begin: func(ctx context.Context) error {
			if err := s.UpgradeSchema(ctx); err != nil {
				return err
			}
			return restartServers(ctx, s)
		},
		end: func(ctx context.Context) error { return startAll(ctx, s) },
	}}
}

// startAll is for what was interrupted between a stop and a start.
func startAll(ctx context.Context, s System) error {
	for _, dc := range datacenters(s.Servers()) {
		if err := startDatacenter(ctx, s, dc); err != nil {
			return err
		}
	}
	return s.Healthy(ctx)
}

func startDatacenter(ctx context.Context, s System, dc string) error {
	if err := eachNode(ctx, s, dc, System.StartNode); err != nil {
		return err
	}
	return eachServer(ctx, s, dc, startServer)
}

func restartServers(ctx context.Context, s System) error {
	for _, t := range s.Servers() {
		if err := s.StopServer(ctx, t.Name); err != nil {
			return err
		}
		if err := s.StartServer(ctx, t.Name, 0); err != nil {
			return err
		}
	}
	return nil
}

func anyDatacenter(s System, rnd *rand.Rand) string {
	all := datacenters(s.Servers())
	return all[rnd.IntN(len(all))]
}

func killAll(ctx context.Context, s System, dc string) error {
	if err := eachServer(ctx, s, dc, System.KillServer); err != nil {
		return err
	}
	return eachNode(ctx, s, dc, System.KillNode)
}

func eachNode(ctx context.Context, s System, dc string, do act) error {
	for _, n := range s.Nodes() {
		if n.Datacenter != dc {
			continue
		}
		if err := do(s, ctx, n.Name); err != nil {
			return err
		}
	}
	return nil
}

func eachServer(ctx context.Context, s System, dc string, do act) error {
	for _, t := range in(s.Servers(), dc) {
		if err := do(s, ctx, t.Name); err != nil {
			return err
		}
	}
	return nil
}
