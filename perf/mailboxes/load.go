package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"restante/perf/latency"
	"restante/perf/scenario"
)

// A load is users who go through the same cycle of tasks for ever.
type load struct {
	name  string
	users int
	time  time.Duration
	// In a closed loop so many users begin each second, and each of them waits after
	// every task, up to the longest think time.
	spawn float64
	think time.Duration
	// In an open loop so many requests are due each second, and nobody waits.
	rate float64

	published map[kind]figures // what somebody else has published for it
}

// String is the name of the load.
func (l load) String() string { return l.name }

// A kind of request.
type kind int

// The kinds, in the order of the published table.
const (
	createMailbox kind = iota
	removeMessage
	postMessage
	readMessage
	readPage
	removeMailbox
	kinds
)

func (k kind) String() string {
	return [kinds]string{"create mailbox", "remove message", "post message", "read message", "read page", "remove mailbox"}[k]
}

// The chances of the cycle.
const (
	creates = 0.3 // otherwise a mailbox is taken that there is
	removes = 0.1
)

// cycle is what a user does again and again, in the order of the published test, with
// the task in it that does nothing.
var cycle = []func(r *run, ctx context.Context, u *user) (kind, error){
	(*run).create, (*run).post, (*run).post, (*run).post, (*run).post, (*run).post, (*run).post,
	(*run).page, (*run).read, (*run).discard, (*run).rest, (*run).perhapsRemove,
}

// nothing is the kind of a task that has sent no request.
const nothing kind = -1

const (
	patience  = 30 * time.Second // bounds each single wait
	pageSize  = 10               // the server's own
	auditors  = 16               // clients that look at everything in the end
	auditPage = 100
)

// A user has one request at a time.
type user struct {
	client *client
	box    int
	task   int
}

// A run is a load on a server, and what it came to.
type run struct {
	load
	addr   string
	ledger *ledger
	all    []user

	mu    sync.Mutex
	kinds [kinds]scenario.Tally
}

// lasting is the load for so long.
func (l load) lasting(d time.Duration) load {
	l.time = d
	return l
}

func (l load) on(addr string, known *names) *run {
	r := &run{load: l, addr: addr, ledger: newLedger(rand.Uint64(), known), all: make([]user, l.users)}
	for i := range r.all {
		r.all[i].client = newClient(addr)
	}
	return r
}

func (r *run) close() {
	for i := range r.all {
		r.all[i].client.Close()
	}
}

// prepare has the users of an open loop begin at different places of the cycle, so that
// all kinds of requests come from the first second on.
func (r *run) prepare(ctx context.Context) error {
	if r.rate == 0 {
		return nil
	}
	var group errgroup.Group // which leaves the connections open
	group.SetLimit(auditors)
	for i := range r.all {
		group.Go(func() error {
			for range i % len(cycle) {
				if _, err := r.step(ctx, &r.all[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// Run puts the load on.
func (r *run) Run(ctx context.Context) (*scenario.Tally, error) {
	if r.rate > 0 {
		return r.runOpen(ctx)
	}
	began := time.Now()
	var all sync.WaitGroup
	for i := range r.all {
		all.Go(func() {
			if scenario.Pause(ctx, time.Duration(float64(i)/r.spawn*float64(time.Second))) {
				r.live(ctx, &r.all[i], began.Add(r.time))
			}
		})
	}
	all.Wait()
	return r.tally(time.Since(began)), ctx.Err()
}

// live goes through the cycle until a time.
func (r *run) live(ctx context.Context, u *user, end time.Time) {
	for time.Now().Before(end) {
		began := time.Now()
		k, err := r.step(ctx, u)
		if ctx.Err() != nil {
			return // the tool was told to stop, the server did nothing wrong
		}
		r.record(k, time.Since(began), err)
		if r.think > 0 && !scenario.Pause(ctx, min(rand.N(r.think), time.Until(end))) {
			return
		}
	}
}

// runOpen has users send each request when it is due. What is not answered in time
// delays others, whose latency counts from when they were due.
func (r *run) runOpen(ctx context.Context) (*scenario.Tally, error) {
	began := time.Now()
	l := scenario.Load{Connections: r.users, Duration: r.time, Rate: r.rate}
	t, err := scenario.Repeat{Load: l, Do: func(ctx context.Context, connection, i int) (int64, error) {
		due := began.Add(time.Duration(float64(i) / r.rate * float64(time.Second)))
		for {
			k, err := r.step(ctx, &r.all[connection])
			if k != nothing {
				if ctx.Err() == nil {
					r.record(k, time.Since(due), err)
				}
				return 0, err
			}
		}
	}}.Run(ctx)
	if t == nil || err != nil {
		return t, err
	}
	return r.tally(t.Elapsed), ctx.Err()
}

// step is the next task of a user.
func (r *run) step(ctx context.Context, u *user) (kind, error) {
	task := cycle[u.task]
	u.task = (u.task + 1) % len(cycle)
	k, err := task(r, ctx, u)
	if k == createMailbox && err != nil {
		u.task = 0 // it has no mailbox to go on with
	}
	return k, err
}

// record counts a request.
func (r *run) record(k kind, took time.Duration, err error) {
	if k == nothing {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.kinds[k]
	if err != nil {
		t.Errors++
		if len(t.Faults) < maxFaults {
			t.Faults = append(t.Faults, err.Error())
		}
		return
	}
	t.Operations++
	t.Latency.Record(took)
}

// tally adds the kinds up.
func (r *run) tally(elapsed time.Duration) *scenario.Tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := &scenario.Tally{Elapsed: elapsed}
	for k := range r.kinds {
		t := &r.kinds[k]
		sum.Latency.Merge(&t.Latency)
		sum.Operations += t.Operations
		sum.Errors += t.Errors
		sum.Faults = append(sum.Faults, t.Faults...)
	}
	sum.Faults = sum.Faults[:min(len(sum.Faults), maxFaults)]
	sum.Figures = map[string]float64{"p99.9 ms": ms(sum.Latency.Quantile(0.999))}
	return sum
}

// create makes a mailbox, or has the user go on with one that there is.
func (r *run) create(ctx context.Context, u *user) (kind, error) {
	if rand.Float64() >= creates {
		if b, ok := r.ledger.choose(); ok {
			u.box = b
			return nothing, nil
		}
	}
	var made struct {
		Email string `json:"email"`
	}
	if err := u.client.ask(ctx, "POST", "/mailboxes", struct{}{}, http.StatusCreated, &made); err != nil {
		return createMailbox, err
	}
	u.box = r.ledger.made(made.Email)
	return createMailbox, nil
}

func (r *run) post(ctx context.Context, u *user) (kind, error) {
	number, email, d, sent, ok := r.ledger.begin(u.box)
	if !ok {
		return nothing, nil
	}
	var got shown
	err := u.client.ask(ctx, "POST", messagesPath(email), d, http.StatusCreated, &got)
	switch {
	case errors.Is(err, errAbsent):
		r.ledger.absent(u.box, noMessage, sent)
		err = nil
	case err == nil:
		r.ledger.posted(number, sent, got)
	}
	return postMessage, err
}

// page reads the page that begins with any message.
func (r *run) page(ctx context.Context, u *user) (kind, error) {
	number, email, id, sent, ok := r.ledger.pick(u.box)
	if !ok {
		return nothing, nil
	}
	var got listing
	err := u.client.ask(ctx, "GET", messagesPath(email)+"?from="+id, nil, http.StatusOK, &got)
	switch {
	case errors.Is(err, errAbsent):
		r.ledger.absent(u.box, noMessage, sent)
		err = nil
	case err == nil:
		r.ledger.listed(query{box: u.box, from: number, limit: pageSize, sent: sent}, got)
	}
	return readPage, err
}

func (r *run) read(ctx context.Context, u *user) (kind, error) {
	number, email, id, sent, ok := r.ledger.pick(u.box)
	if !ok {
		return nothing, nil
	}
	var got shown
	err := u.client.ask(ctx, "GET", messagePath(email, id), nil, http.StatusOK, &got)
	switch {
	case errors.Is(err, errAbsent):
		r.ledger.absent(u.box, number, sent)
		err = nil
	case err == nil:
		r.ledger.read(number, sent, got)
	}
	return readMessage, err
}

func (r *run) discard(ctx context.Context, u *user) (kind, error) {
	number, email, id, sent, ok := r.ledger.discard(u.box)
	if !ok {
		return nothing, nil
	}
	var got struct {
		ID string `json:"id"`
	}
	err := u.client.ask(ctx, "DELETE", messagePath(email, id), nil, http.StatusOK, &got)
	switch {
	case errors.Is(err, errAbsent):
		r.ledger.absent(u.box, number, sent)
		err = nil
	case err == nil:
		r.ledger.discarded(number, got.ID)
	}
	return removeMessage, err
}

func (r *run) rest(context.Context, *user) (kind, error) { return nothing, nil }

func (r *run) perhapsRemove(ctx context.Context, u *user) (kind, error) {
	if rand.Float64() >= removes {
		return nothing, nil
	}
	email, sent, ok := r.ledger.shut(u.box)
	if !ok {
		return nothing, nil
	}
	err := u.client.ask(ctx, "DELETE", mailboxPath(email), nil, http.StatusNoContent, nil)
	switch {
	case errors.Is(err, errAbsent):
		r.ledger.absent(u.box, noMessage, sent)
		err = nil
	case err == nil:
		r.ledger.removed(u.box)
	}
	return removeMailbox, err
}

// audit looks at every mailbox and all that is in it, when the load is over.
func (r *run) audit(ctx context.Context) error {
	emails := r.ledger.all()
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range auditors {
		group.Go(func() error {
			c := newClient(r.addr)
			defer c.Close()
			for b := int(next.Add(1) - 1); b < len(emails); b = int(next.Add(1) - 1) {
				if err := r.auditOne(ctx, c, b, emails[b]); err != nil {
					return fmt.Errorf("look at mailbox %d: %w", b, err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (r *run) auditOne(ctx context.Context, c *client, b int, email string) error {
	var looked struct {
		Messages int `json:"messages"`
	}
	sent := r.ledger.send()
	err := c.ask(ctx, "GET", mailboxPath(email), nil, http.StatusOK, &looked)
	switch {
	case errors.Is(err, errAbsent):
		r.ledger.unseen(b)
		return nil
	case err != nil:
		return err
	}
	r.ledger.looked(b, sent, looked.Messages)
	q := first(b, auditPage, 0)
	for target := messagesPath(email) + "?limit=100"; target != ""; {
		var got listing
		q.sent = r.ledger.send()
		err := c.ask(ctx, "GET", target, nil, http.StatusOK, &got)
		if errors.Is(err, errAbsent) {
			r.ledger.unseen(b)
			return nil
		}
		if err != nil {
			return err
		}
		r.ledger.listed(q, got)
		if len(got.Data) == 0 {
			return nil
		}
		last := got.Data[len(got.Data)-1].Received.UnixNano()
		if last >= q.below { // which may go on for ever
			r.ledger.stuck(b)
			return nil
		}
		target, q.below = got.Links.Next, last
	}
	return nil
}

// figures are a line of a table.
type figures struct {
	requests                 int64
	p50, p95, p99, p999, max float64 // ms
}

func figuresOf(n int64, h *latency.Histogram) figures {
	return figures{n, ms(h.Quantile(0.50)), ms(h.Quantile(0.95)), ms(h.Quantile(0.99)), ms(h.Quantile(0.999)), ms(h.Max())}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// The load was published for 300 users, and with the command for ten times as many.
const (
	publishedUsers = 300
	publishedTime  = 180 * time.Second
)

// published are the figures of the 300 users, in ms.
var published = map[kind]figures{
	createMailbox: {1402, 5, 14, 27, 66, 67},
	removeMessage: {4139, 5, 13, 22, 51, 65},
	postMessage:   {26376, 5, 14, 25, 60, 99},
	readMessage:   {4196, 5, 13, 23, 64, 74},
	readPage:      {4244, 5, 13, 20, 53, 68},
	removeMailbox: {381, 5, 13, 19, 25, 25},
}

// settings are what the loads depend on.
type settings struct {
	Users       []int         `default:"300,3000" help:"Users that think, one load for each number."`
	Time        time.Duration `default:"180s" help:"How long such a load lasts."`
	Think       time.Duration `default:"2s" help:"The longest time a user waits after a task; half of it on average."`
	Spawn       float64       `default:"50" help:"Users that begin each second."`
	Rate        []float64     `default:"500,1000,2000" help:"Requests a second of the loads at a rate, one load each."`
	Duration    time.Duration `default:"60s" help:"How long such a load lasts."`
	Connections int           `default:"256" help:"Connections that share such a load."`
}

// loads are all there are.
func (s settings) loads() []load {
	var all []load
	for _, n := range s.Users {
		l := load{name: fmt.Sprintf("%d users", n), users: n, time: s.Time, think: s.Think, spawn: s.Spawn}
		if n == publishedUsers && s.Think == 2*time.Second {
			l.published = published
		}
		all = append(all, l)
	}
	for _, rate := range s.Rate {
		all = append(all, load{name: fmt.Sprintf("%g requests/s", rate), users: s.Connections, time: s.Duration, rate: rate})
	}
	return all
}
