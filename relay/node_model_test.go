package relay_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/relaytest"
)

var modelRuns = flag.Int("relay.runs", 3, "histories of each scenario of the model")

// What follows plays histories of several nodes on one store, in virtual time: the real
// nodes, with processes that die and pause, and a store that is slow, late or away.

const (
	modelMails       = 300 // mails of a history
	modelPace        = 25 * time.Millisecond
	modelConcurrency = 20
	modelEnd         = 15 * time.Minute // by then everything is sent
)

// A world is what a history happens in.
type world struct {
	rand     *rand.Rand
	store    *relaytest.Memory
	contents mailbox.Contents
	ids      mailbox.MessageIDs
	hosts    []*host

	mu       sync.Mutex
	accepted []mailbox.MessageID       // by a node, with nil
	arrived  map[mailbox.MessageID]int // at the next hop, and how often
	failed   int                       // senders were told so
}

// A host is a process with a node. Whatever it does outside of its memory goes through
// its gate.
type host struct {
	world *world
	node  *relay.Node
	store *relaytest.Memory
	end   context.CancelFunc

	mu     sync.Mutex
	paused time.Time // until when
	dead   bool
	busy   int
	change chan struct{}
}

var errDead = fmt.Errorf("the process is dead: %w", mailbox.ErrUnavailable)

// gate is passed by what lives, when it is not paused.
func (h *host) gate() error {
	for {
		h.mu.Lock()
		dead, wait := h.dead, time.Until(h.paused)
		h.mu.Unlock()
		switch {
		case dead:
			return errDead
		case wait <= 0:
			return nil
		}
		time.Sleep(wait)
	}
}

func (h *host) kill() {
	h.mu.Lock()
	h.dead = true
	h.mu.Unlock()
	h.end()
}

func (h *host) pause(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.paused = time.Now().Add(d)
}

// Pick, Changed and what follows are a pool of one service.
func (h *host) Pick(relay.Want) (relay.Picked, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy == modelConcurrency {
		return nil, relay.ErrBusy
	}
	h.busy++
	return sending{h}, nil
}

func (h *host) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.change
}

type sending struct{ *host }

func (s sending) Name() string { return "service" }

func (s sending) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	close(s.change)
	s.change = make(chan struct{})
}

// Send takes its time, and hands the mail over at the moment of the commit.
func (s sending) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	defer s.Release()
	outcome := relay.Outcome{Result: relay.Transport, Text: "broken off"}
	time.Sleep(s.world.within(500*time.Millisecond, 4*time.Second)) // so that there is a backlog
	if s.gate() == nil && m.Commit() == nil {
		s.world.arrive(m.Message)
		outcome = relay.Outcome{Result: relay.Success}
		time.Sleep(s.world.within(time.Millisecond, 50*time.Millisecond)) // until the answer is here
	}
	outcomes := make([]relay.Outcome, len(m.Recipients))
	for i := range outcomes {
		outcomes[i] = outcome
	}
	return outcomes
}

func (w *world) within(least, most time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return least + time.Duration(w.rand.Int64N(int64(most-least)))
}

func (w *world) chance(p float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rand.Float64() < p
}

func (w *world) arrive(id mailbox.MessageID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived[id]++
}

// Notify hears of failures, of which there are to be none.
func (w *world) Notify(_ context.Context, n relay.Notice) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n.Action == relay.ActionFailed {
		w.failed++
	}
	return nil
}

// A weather says what becomes of a call of the store.
type weather func(w *world) relaytest.Fault

func calm(w *world) relaytest.Fault {
	return relaytest.Delay(w.within(time.Millisecond, 10*time.Millisecond))
}

// slow: one answer in five takes up to 1.9 s.
func slow(w *world) relaytest.Fault {
	if w.chance(0.2) {
		return relaytest.Delay(w.within(100*time.Millisecond, 1900*time.Millisecond))
	}
	return calm(w)
}

// tired: two in three do.
func tired(w *world) relaytest.Fault {
	if w.chance(0.67) {
		return relaytest.Delay(w.within(100*time.Millisecond, 1900*time.Millisecond))
	}
	return calm(w)
}

// sick: three in ten take up to 20 s, which nobody waits for, and arrive late.
func sick(w *world) relaytest.Fault {
	if w.chance(0.3) {
		return relaytest.Late(w.within(100*time.Millisecond, 20*time.Second))
	}
	return calm(w)
}

// A scenario is how a history goes.
type scenario struct {
	times   relay.Times
	weather weather
	// strike does harm, ten seconds after the first mail came in at the first host.
	strike func(w *world)
	// elsewhere are the hosts of another data centre.
	elsewhere []int
	// most is how many mails may arrive twice: what is in flight at each harm.
	most   int
	mutant func(n *relay.Node)
}

// gated passes the gate before each call.
func (h *host) gated(weather weather) relaytest.Plan {
	return func(relaytest.Call) relaytest.Fault {
		fault := weather(h.world)
		return func(ctx context.Context, c relaytest.Call) error {
			if err := h.gate(); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
			}
			return fault(ctx, c)
		}
	}
}

// play plays a history and says how many mails were lost and how many copies came twice.
func (s scenario) play(t *testing.T, seed uint64) (accepted, lost, twice int) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			rand: rand.New(rand.NewPCG(seed, 1)), store: relaytest.NewMemory(), contents: mailboxtest.Memory().Contents,
			arrived: make(map[mailbox.MessageID]int),
		}
		var running sync.WaitGroup
		for i := range 4 {
			w.start(t, s, i, &running)
		}
		time.Sleep(20 * time.Second) // all have heard each other
		var posting sync.WaitGroup
		posting.Go(func() { w.post() })
		time.Sleep(modelMails * modelPace / 2)
		s.strike(w)
		posting.Wait()
		for end := time.Now().Add(modelEnd); w.missing() > 0 && time.Now().Before(end); {
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Minute) // for what comes twice
		accepted, lost, twice = w.sums()
		for _, h := range w.hosts {
			h.end()
		}
		running.Wait()
		time.Sleep(time.Minute) // what is late has come
	})
	return accepted, lost, twice
}

// start starts a host; its node is one of those that the scenario has.
func (w *world) start(t *testing.T, s scenario, i int, running *sync.WaitGroup) {
	datacenter := ""
	if slices.Contains(s.elsewhere, i) {
		datacenter = "elsewhere"
	}
	h := &host{world: w, store: w.store.Process(datacenter), change: make(chan struct{})}
	h.store.Inject(h.gated(s.weather))
	node, err := relay.NewNode(relay.NodeOptions{
		Queue: relay.Options{
			Journal: h.store, Contents: w.contents, Pool: h, IDs: &w.ids, Notifier: w, Concurrency: modelConcurrency,
		},
		Lanes: h.store, Name: fmt.Sprintf("host-%d", i), Times: s.times,
	})
	if err != nil {
		t.Fatal(err)
	}
	if h.node = node; s.mutant != nil {
		s.mutant(node)
	}
	ctx, end := context.WithCancel(context.Background())
	h.end = end
	w.hosts = append(w.hosts, h)
	running.Go(func() { node.Run(ctx) })
}

// post submits the mails to the first host, and what that refuses to none.
func (w *world) post() {
	var all sync.WaitGroup
	for n := range modelMails {
		all.Go(func() {
			h := w.hosts[0]
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			id, err := h.node.Submit(ctx, relay.Submission{
				Account: mailbox.Address{Local: "fred", Domain: "example.org"}, From: mailbox.Address{Local: "fred", Domain: "example.org"},
				Recipients: []mailbox.Address{{Local: fmt.Sprint("wilma-", n), Domain: "example.net"}},
			}, strings.NewReader("Subject: x\r\n\r\n"+strings.Repeat("x", n%2*relay.MaxContent))) // one in the journal, the next beside it
			if err == nil && h.gate() == nil { // else nobody heard the 250
				w.mu.Lock()
				w.accepted = append(w.accepted, id)
				w.mu.Unlock()
			}
		})
		time.Sleep(modelPace)
	}
	all.Wait()
}

func (w *world) missing() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.accepted {
		if w.arrived[id] == 0 {
			n++
		}
	}
	return n
}

func (w *world) sums() (accepted, lost, twice int) {
	lost = w.missing()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.arrived {
		twice += n - 1
	}
	return len(w.accepted), lost + w.failed, twice
}

func killOwner(w *world) { w.hosts[0].kill() }

func pauseMinute(w *world) { w.hosts[0].pause(time.Minute) }

func pauseOwner(w *world) {
	w.hosts[0].pause(w.within(100*time.Millisecond, 90*time.Second))
}

// killBoth kills the owner, and the first that has adopted what it had.
func killBoth(w *world) {
	w.hosts[0].kill()
	for range 60 {
		time.Sleep(time.Second)
		for _, h := range w.hosts[1:] {
			if h.busyNow() > 0 {
				h.kill()
				return
			}
		}
	}
}

func (h *host) busyNow() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.busy
}

// pauseBoth pauses the owner, and another when that is about to adopt.
func pauseBoth(w *world) {
	w.hosts[0].pause(time.Minute)
	time.Sleep(w.within(15*time.Second, 25*time.Second))
	w.hosts[1].pause(w.within(time.Second, 40*time.Second))
}

// killAdopter kills the owner, and the one that is told to adopt its data centre.
func killAdopter(w *world) {
	w.hosts[0].kill()
	time.Sleep(w.within(time.Second, 30*time.Second))
	told := w.hosts[1]
	for {
		if _, err := told.node.AdoptDatacenter(context.Background(), "elsewhere"); err == nil {
			break
		}
		time.Sleep(time.Second)
	}
	time.Sleep(w.within(time.Millisecond, 30*time.Second))
	told.kill()
}

// atOnce has all who live claim at the same instant.
var atOnce = relay.Times{Stagger: 1}

func TestMailIsSentWhateverDies(t *testing.T) {
	for name, s := range map[string]scenario{
		"nothing happens":                              {weather: calm, strike: func(*world) {}, most: 0},
		"the owner is killed":                          {weather: calm, strike: killOwner, most: modelConcurrency},
		"the owner pauses":                             {weather: calm, strike: pauseOwner, most: modelConcurrency},
		"the owner pauses for a minute":                {weather: calm, strike: pauseMinute, most: modelConcurrency / 2},
		"the owner is killed, and who adopted":         {weather: calm, strike: killBoth, most: 2 * modelConcurrency},
		"the owner pauses, and one who adopts":         {weather: calm, strike: pauseBoth, most: 2 * modelConcurrency},
		"the owner is killed while the store is slow":  {weather: slow, strike: killOwner, most: modelConcurrency},
		"the owner is killed while the store is sick":  {weather: sick, strike: killOwner, most: 4 * modelConcurrency},
		"all claim at once while the store is slow":    {weather: slow, strike: killOwner, times: atOnce, most: modelConcurrency},
		"all claim at once while the store is tired":   {weather: tired, strike: killOwner, times: atOnce, most: modelConcurrency},
		"all claim at once, and the owner only pauses": {weather: slow, strike: pauseOwner, times: atOnce, most: modelConcurrency},
		"nobody is killed but the store is sick":       {weather: sick, strike: func(*world) {}, most: 4 * modelConcurrency},
		"the owner is killed, and who is told to adopt its data centre": {
			weather: calm, strike: killAdopter, elsewhere: []int{0}, most: 2 * modelConcurrency},
		"the owner is killed, and who is told to adopt its data centre, while the store is sick": {
			weather: sick, strike: killAdopter, elsewhere: []int{0}, most: 4 * modelConcurrency},
		"the owner is killed, and its data centre adopts it beside another": {
			weather: slow, strike: killAdopter, elsewhere: []int{0, 3}, most: 2 * modelConcurrency},
	} {
		t.Run(name, func(t *testing.T) {
			all := 0
			for run := range *modelRuns {
				accepted, lost, twice := s.play(t, uint64(run))
				t.Logf("run %d: %d of %d accepted, %d lost, %d arrived twice", run, accepted, modelMails, lost, twice)
				if lost > 0 || twice > s.most {
					t.Errorf("run %d: %d of %d lost, %d arrived twice, want none and at most %d", run, lost, accepted, twice, s.most)
				}
				all += accepted
			}
			if all == 0 {
				t.Error("nothing was accepted")
			}
		})
	}
}

// What keeps mail from being sent many times is needed: without it the model notices.
func TestTheModelNoticesWhatIsMissing(t *testing.T) {
	for name, s := range map[string]scenario{
		"nobody waits after a claim":                {weather: tired, strike: killOwner, times: relay.Times{Stagger: 1, Settle: 1}, most: modelConcurrency / 2},
		"a lease lasts longer than it takes to die": {weather: calm, strike: func(w *world) { w.hosts[0].pause(30 * time.Second) }, times: relay.Times{Lease: 40 * time.Second}, most: modelConcurrency},
		"nobody asks for the lease":                 {weather: calm, strike: pauseMinute, most: modelConcurrency / 2, mutant: (*relay.Node).IgnoreLease},
	} {
		t.Run(name, func(t *testing.T) {
			for run := range 100 {
				if _, lost, twice := s.play(t, uint64(run)); lost > 0 || twice > s.most {
					t.Logf("run %d: %d lost, %d arrived twice", run, lost, twice)
					return
				}
			}
			t.Error("the model has noticed nothing")
		})
	}
}
