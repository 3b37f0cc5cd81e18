package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"restante/internal/freeport"
	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/rig"
	"restante/perf/scenario"
)

// settings are those of every trial.
type settings struct {
	Store  string     `default:"embedded" enum:"embedded,cassandra" help:"Where the servers keep mail: embedded or cassandra. On Cassandra there are two."`
	Layout rig.Layout `default:"1x1" help:"Cassandra's cluster, data centres x nodes."`
	Binary string     `help:"A built restante, instead of building it." type:"existingfile"`
	Temp   string     `help:"Directory for what the processes keep (default: the system's)." type:"path"`
	JSON   string     `name:"json" help:"Append the results to FILE as lines of JSON." placeholder:"FILE"`
}

// A plan is what a stage has.
type plan struct {
	agents bool // services are processes that register; otherwise they are configured
	wide   bool // agents register with every node, and not with one
	apart  bool // the servers are in two data centres
}

// A stage is what a trial plays on: servers on one store, two services, and behind each
// of those a fake of the host that it hands mail to.
type stage struct {
	settings
	plan    plan
	out     io.Writer
	dir     string
	binary  string
	token   string // by which services register
	nodes   []*node
	fakes   []*fake
	cluster *rig.Rig // nil: the store is embedded
	agents  []*agent

	clear []func() error // in the reverse order
}

// names are those of the two services, and of the fakes behind them.
var names = []string{"a", "b"}

// play sets up a stage, plays a trial on it, and tells how it went. What the processes
// left is kept where the trial fails.
func (s settings) play(ctx context.Context, out io.Writer, p plan, trial func(context.Context, *stage) (*verdict, error)) (err error) {
	dir, err := peer.TempDir(s.Temp)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil || errors.Is(err, context.Canceled) {
			err = errors.Join(err, os.RemoveAll(dir))
		} else {
			err = fmt.Errorf("%w\n(everything is kept in %s)", err, dir)
		}
	}()
	st := &stage{settings: s, plan: p, out: out, dir: dir, binary: s.Binary, token: fmt.Sprintf("enrol-%016x%016x", rand.Uint64(), rand.Uint64())}
	defer func() {
		for i := len(st.clear) - 1; i >= 0; i-- {
			err = errors.Join(err, st.clear[i]())
		}
	}()
	if err := st.set(ctx); err != nil {
		return err
	}
	v, err := trial(ctx, st)
	if err != nil {
		return err
	}
	v.name += ", " + s.Store
	if err := errors.Join(v.write(out), report.Append(s.JSON, v.results()...)); err != nil {
		return err
	}
	if broken := v.broken(); len(broken) > 0 {
		return fmt.Errorf("promises were broken:\n%s", strings.Join(broken, "\n"))
	}
	return nil
}

func (s *stage) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.out, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

// set starts everything.
func (s *stage) set(ctx context.Context) error {
	settings, err := s.build(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.startFake(ctx, name); err != nil {
			return err
		}
	}
	flags, err := s.flags()
	if err != nil {
		return err
	}
	for i, each := range settings {
		each.Submission = true
		each.Flags = append(append(each.Flags, fmt.Sprintf("--node=%d", i+1)), flags...)
		s.nodes = append(s.nodes, &node{name: fmt.Sprint(i + 1), settings: each})
		s.clear = append(s.clear, s.nodes[i].stop)
		if err := s.nodes[i].start(ctx); err != nil {
			return err
		}
	}
	if s.plan.agents {
		for i := range names {
			if err := s.addAgent(i); err != nil {
				return err
			}
		}
	}
	s.say("%s, %s store, on %s", s.nodes[0].Version, s.Store, report.Machine())
	return s.await(ctx, "both services are up on every node", func() (bool, error) { return s.all(ctx, "up") })
}

// build makes the programs, and the cluster where there is to be one. It tells how to
// start the servers.
func (s *stage) build(ctx context.Context) ([]peer.Settings, error) {
	if s.Store == "cassandra" {
		b, err := rig.Build(ctx, s.dir, s.Binary)
		if err != nil {
			return nil, err
		}
		s.binary = b.Restante
		r, err := rig.Start(ctx, b, s.dir, s.Layout)
		if err != nil {
			return nil, err
		}
		s.clear = append(s.clear, r.Close)
		s.cluster = r
		first := r.Datacenters()[0]
		second := first
		if s.plan.apart {
			second = r.Datacenters()[1]
		}
		return []peer.Settings{r.Settings("node1", first, users), r.Settings("node2", second, 0)}, nil
	}
	if s.binary == "" {
		var err error
		if s.binary, err = peer.Build(ctx, s.dir); err != nil {
			return nil, err
		}
	}
	return []peer.Settings{{Dir: filepath.Join(s.dir, "node1"), Binary: s.binary, Users: users}}, nil
}

// flags tell the servers of their services.
func (s *stage) flags() ([]string, error) {
	if s.plan.agents {
		return []string{"--relay-enrol", s.token}, nil
	}
	var services []map[string]string
	for i, name := range names {
		services = append(services, map[string]string{"name": name, "provider": s.fakes[i].provider()})
	}
	text, err := json.Marshal(map[string]any{"services": services}) // which is YAML
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, "services.yaml")
	return []string{"--relay-services", file}, os.WriteFile(file, text, 0o600)
}

// ports are held until the stage is cleared, so that a process may end and start again.
func (s *stage) ports(n int) ([]string, error) {
	addrs, release, err := freeport.Hold(n)
	if err == nil {
		s.clear = append(s.clear, release)
	}
	return addrs, err
}

func (f *fake) provider() string { return "smtp://" + f.smtp + "?tls=none" }

func (s *stage) startFake(ctx context.Context, name string) error {
	ports, err := s.ports(2)
	if err != nil {
		return err
	}
	f := &fake{name: name, smtp: ports[0], control: ports[1]}
	f.process, err = peer.Run("fake "+name, filepath.Join(s.dir, "fake-"+name+".log"), s.binary,
		"relay-fake", "smtp", "--listen", f.smtp, "--control", f.control)
	if err != nil {
		return err
	}
	s.clear = append(s.clear, f.process.Stop)
	s.fakes = append(s.fakes, f)
	return s.await(ctx, "fake "+name+" answers", func() (bool, error) {
		select {
		case <-f.process.Exited():
			return false, fmt.Errorf("fake %s ended: see %s", name, f.process.Log())
		default:
			return f.do(ctx, works) == nil, nil
		}
	})
}

// An agent is a service that is a process of its own.
type agent struct {
	name    string
	args    []string
	process *peer.Server // that runs, or nil
}

// addAgent starts the agent that hands mail to a fake.
func (s *stage) addAgent(i int) error {
	ports, err := s.ports(1)
	if err != nil {
		return err
	}
	a := &agent{name: names[i], args: []string{
		"relay-agent", "--name", names[i], "--token", s.token, "--listen", ports[0], "--provider", s.fakes[i].provider(),
	}}
	for k, n := range s.nodes {
		if s.plan.wide || k == i%len(s.nodes) {
			a.args = append(a.args, "--register", "http://"+n.Admin)
		}
	}
	s.agents = append(s.agents, a)
	s.clear = append(s.clear, func() error {
		if a.process == nil {
			return nil
		}
		return a.process.Stop()
	})
	return s.start(a)
}

func (s *stage) start(a *agent) (err error) {
	a.process, err = peer.Run("agent "+a.name, filepath.Join(s.dir, "agent-"+a.name+".log"), s.binary, a.args...)
	return err
}

// kill is kill -9 of agents, at once.
func (s *stage) kill(agents ...*agent) (time.Time, error) {
	var errs []error
	for _, a := range agents {
		errs = append(errs, a.process.Kill())
		a.process = nil
	}
	return time.Now(), errors.Join(errs...)
}

// all reports whether every node says of both services that they are in a state.
func (s *stage) all(ctx context.Context, state string) (bool, error) {
	for _, n := range s.nodes {
		services, err := n.services(ctx)
		if err != nil {
			return false, err
		}
		in := 0
		for _, each := range services {
			if each.State == state {
				in++
			}
		}
		if in < len(names) {
			return false, nil
		}
	}
	return true, nil
}

// patience is how long the stage waits for what ought to come soon.
const patience = time.Minute

// await waits for something that ought to come soon.
func (s *stage) await(ctx context.Context, what string, is func() (bool, error)) error {
	return s.awaitFor(ctx, patience, what, is)
}

func (s *stage) awaitFor(ctx context.Context, longest time.Duration, what string, is func() (bool, error)) error {
	for deadline := time.Now().Add(longest); ; {
		good, err := is()
		if good && err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v until %s: %w", longest, what, errors.Join(err, errLate))
		}
		if !scenario.Pause(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
}

var errLate = errors.New("it has not come")

// read tells the ledger what has arrived.
func (s *stage) read(ctx context.Context, l *ledger) error {
	logs := make(map[string][]accepted)
	for _, f := range s.fakes {
		log, err := f.log(ctx)
		if err != nil {
			return err
		}
		stats, err := f.stats(ctx)
		if err == nil && stats.Forgotten > 0 {
			err = fmt.Errorf("fake %s has forgotten %d mails", f.name, stats.Forgotten)
		}
		if err != nil {
			return err
		}
		logs[f.name] = log
	}
	l.arrived(logs)
	return nil
}

// drained waits until no node has anything left to do and all that was taken has arrived.
// With retry, what waits for its time is tried at once, as an operator would have it.
func (s *stage) drained(ctx context.Context, l *ledger, longest time.Duration, retry bool, nodes ...*node) error {
	return s.awaitFor(ctx, longest, "all has arrived and nothing is queued", func() (bool, error) {
		left := 0
		for _, n := range nodes {
			here, err := n.left(ctx)
			if err == nil && here > 0 && retry {
				err = n.hurry(ctx)
			}
			if err != nil {
				return false, err
			}
			left += here
		}
		if err := s.read(ctx, l); err != nil {
			return false, err
		}
		if left > 0 || l.counts().missing > 0 {
			scenario.Pause(ctx, time.Second) // both are not cheap
			return false, nil
		}
		return true, nil
	})
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
