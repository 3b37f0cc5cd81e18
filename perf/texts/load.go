package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"restante/perf/scenario"
)

// A load is clients that post a text for one user and ask for those of another, in
// turn. An operation is one request.
type load struct {
	name      string
	published string // figures that somebody else has published for it
	scenario.Load
	keep    bool // connections
	prefix  string
	timeout func() time.Duration // of the next text
	// pair says whom the n-th text is for, and who asks next.
	pair func(n int) (to, asks int)
	// silent are the last so many users, for whom texts are posted and who do not ask
	// before the end. Then all do at once.
	silent int
}

// String is the name of the load.
func (l load) String() string { return l.name }

// defaultTimeout is that of the server.
const defaultTimeout = time.Minute

// patience bounds each single wait.
const patience = 30 * time.Second

// A session is what one connection does.
type session struct {
	client *client
	asks   int  // who asks next
	next   bool // whether it is the turn to ask
}

// A run is a load on a server, and what it came to.
type run struct {
	load
	addr     string
	ledger   *ledger
	sessions []session
	texts    atomic.Int64
}

func (l load) on(addr string, known *ids) *run {
	r := &run{load: l, addr: addr, ledger: newLedger(rand.Uint64(), known), sessions: make([]session, l.Connections)}
	for i := range r.sessions {
		r.sessions[i].client = newClient(addr, l.keep)
	}
	return r
}

// Run puts the load on and then fetches what is left, and adds the figures that the
// ledger has.
func (r *run) Run(ctx context.Context) (*scenario.Tally, error) {
	defer func() {
		for i := range r.sessions {
			r.sessions[i].client.Close()
		}
	}()
	t, err := scenario.Repeat{Load: r.Load, Do: r.do}.Run(ctx)
	if t != nil {
		t.Figures = figures(t, r.ledger.settled().posted)
	}
	if err == nil && r.silent == 0 {
		err = r.drain(ctx)
	}
	return t, err
}

// do is one request of a connection.
func (r *run) do(ctx context.Context, connection, _ int) (int64, error) {
	s := &r.sessions[connection]
	if s.next {
		s.next = false
		_, octets, err := r.take(ctx, s.client, s.asks)
		return octets, err
	}
	to, asks := r.pair(int(r.texts.Add(1) - 1))
	s.asks, s.next = asks, true
	timeout := r.timeout()
	number, content := r.ledger.begin(to, timeout)
	if timeout == defaultTimeout {
		timeout = 0 // as the published clients do
	}
	id, err := s.client.post(ctx, r.user(to), content, timeout)
	if err == nil {
		r.ledger.kept(number, id)
	}
	return int64(len(content)), err
}

func (r *run) user(n int) string { return fmt.Sprintf("%s-%d", r.prefix, n) }

// take asks for the texts of a user once.
func (r *run) take(ctx context.Context, c *client, user int) (n int, octets int64, err error) {
	sent := r.ledger.now()
	texts, err := c.take(ctx, r.user(user))
	if err != nil {
		return 0, 0, err
	}
	r.ledger.took(user, sent, texts)
	for _, t := range texts {
		octets += int64(len(t.Text))
	}
	return len(texts), octets, nil
}

// surge has those read at once who were silent. An operation is one request.
func (r *run) surge() scenario.Runner {
	return runner(func(ctx context.Context) (*scenario.Tally, error) {
		before := r.ledger.settled().returned
		sessions := make([]*client, r.silent)
		for i := range sessions {
			sessions[i] = newClient(r.addr, r.keep)
			defer sessions[i].Close()
		}
		l := scenario.Load{Connections: r.silent, Count: r.silent}
		t, err := scenario.Repeat{Load: l, Do: func(ctx context.Context, connection, i int) (int64, error) {
			_, octets, err := r.take(ctx, sessions[connection], r.Users-r.silent+i)
			return octets, err
		}}.Run(ctx)
		if t != nil {
			t.Figures = figures(t, r.ledger.settled().returned-before)
		}
		if err == nil {
			err = r.drain(ctx)
		}
		return t, err
	})
}

// figures are those that a result has no place for.
func figures(t *scenario.Tally, texts int) map[string]float64 {
	return map[string]float64{
		"texts/s":  float64(texts) / t.Elapsed.Seconds(),
		"p99.9 ms": float64(t.Latency.Quantile(0.999)) / float64(time.Millisecond),
	}
}

type runner func(ctx context.Context) (*scenario.Tally, error)

func (f runner) Run(ctx context.Context) (*scenario.Tally, error) { return f(ctx) }

// drain asks for what nobody has asked for.
func (r *run) drain(ctx context.Context) error {
	c := newClient(r.addr, true)
	defer c.Close()
	for user := range r.ledger.waiting() {
		for n := fullAnswer; n == fullAnswer; {
			var err error
			if n, _, err = r.take(ctx, c, user); err != nil {
				return fmt.Errorf("fetch what is left: %w", err)
			}
		}
	}
	return nil
}

// lasting is the load for so long, and at its end nobody is silent any more.
func (l load) lasting(d time.Duration) load {
	l.Count, l.Duration, l.silent = 0, d, 0
	return l
}

// published is the load of the published test: two rounds over as many pairs as there
// are users, in which each is posted to once and asks once, in an order of its own.
func published(users int) load {
	var to, asks []int
	for range 2 {
		to, asks = append(to, rand.Perm(users)...), append(asks, rand.Perm(users)...)
	}
	return load{
		name:      fmt.Sprintf("published, %d users", users),
		published: "180 texts/s",
		Load:      scenario.Load{Connections: 4, Count: 4 * users, Users: users},
		timeout:   always(defaultTimeout),
		pair:      func(n int) (int, int) { return to[n%len(to)], asks[n%len(asks)] },
	}
}

// anybody posts to anybody.
func anybody(users int) func(int) (int, int) {
	return func(int) (int, int) { return rand.IntN(users), rand.IntN(users) }
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// settings are what the loads depend on.
type settings struct {
	Seconds  time.Duration `default:"10s" help:"How long a load lasts that has no end of its own."`
	Rate     []float64     `default:"1000" help:"Texts a second of the loads at a rate, one load each."`
	Duration time.Duration `default:"5m" help:"How long a load at a rate lasts."`
	Silence  time.Duration `default:"1m" help:"How long some users are silent before all of them ask at once."`
	Users    int           `default:"2000" help:"Users of all loads but the published ones."`
	Close    bool          `help:"Use each connection once also in loads at a rate."`
}

// loads are all there are.
func (s settings) loads() []load {
	var all []load
	for _, users := range []int{100, 500, 1000, 2000} {
		all = append(all, published(users))
	}
	for _, n := range []int{4, 64, 256} {
		all = append(all, load{
			name: fmt.Sprintf("kept connections, %d", n), keep: true, timeout: always(defaultTimeout), pair: anybody(s.Users),
			Load: scenario.Load{Connections: n, Duration: s.Seconds, Users: s.Users},
		})
	}
	all = append(all, load{
		name: "one hot user, 64 connections", keep: true, timeout: always(defaultTimeout), pair: anybody(1),
		Load: scenario.Load{Connections: 64, Duration: s.Seconds, Users: 1},
	}, load{
		name: "timeouts of 1 to 3 s", keep: true, pair: anybody(s.Users / 4), // so that some ask in time and some do not
		timeout: func() time.Duration { return time.Duration(1+rand.IntN(3)) * time.Second },
		Load:    scenario.Load{Connections: 16, Duration: s.Seconds, Rate: 1000, Users: s.Users / 4},
	})
	silent := max(1, s.Users/20)
	all = append(all, load{
		name: fmt.Sprintf("%d of %d users silent", silent, s.Users), keep: true, silent: silent,
		timeout: always(s.Silence + time.Minute), pair: func(int) (int, int) { return rand.IntN(s.Users), rand.IntN(s.Users - silent) },
		Load: scenario.Load{Connections: 16, Duration: s.Silence, Rate: 1000, Users: s.Users},
	})
	for _, rate := range s.Rate {
		all = append(all, load{
			name: fmt.Sprintf("%g texts/s", rate), keep: !s.Close, timeout: always(defaultTimeout), pair: anybody(s.Users),
			Load: scenario.Load{Connections: 256, Duration: s.Duration, Rate: 2 * rate, Users: s.Users},
		})
	}
	for i := range all {
		all[i].prefix = fmt.Sprintf("load-%d", i)
	}
	return slices.Clip(all)
}
