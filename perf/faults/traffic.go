package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"restante/perf/history"
	"restante/perf/scenario"
	"restante/perf/wire"
)

// Traffic is what clients do meanwhile.
type Traffic struct {
	Rate     float64       `default:"15" help:"Mails a second in each data centre, in an open loop."`
	Writers  int           `default:"24" help:"Senders of each data centre. One that is put off comes again, with the same letter."`
	Logins   float64       `default:"4" help:"POP3 sessions a second in each data centre."`
	Readers  int           `default:"6" help:"Readers of each data centre. Every other maildrop is read in all data centres, each of the others in one."`
	Backlog  int           `default:"20" help:"Messages to leave in a maildrop; readers delete what is above."`
	Attempts int           `default:"40" help:"How often a sender tries before it gives a letter up."`
	Timeout  time.Duration `default:"10s" help:"How long a client waits for an answer."`

	Maildrops int    `kong:"-"`
	Pattern   string `kong:"-"` // an address with one %d for the number of the maildrop
	Password  string `kong:"-"`
	Sender    string `kong:"-"`
}

func (t Traffic) user(drop int) string { return fmt.Sprintf(t.Pattern, drop) }

// Counts are how far the traffic is.
type Counts struct {
	Acknowledged int64 // mails
	PutOff       int64 // attempts that were to be repeated
	Unanswered   int64
	Refused      int64
	Skipped      int64 // mails that were due while all senders were busy with others
	Visits       int64
	Failed       int64 // visits
}

// clients are those of a trial.
type clients struct {
	Traffic
	targets  []scenario.Target
	history  *history.Recorder
	run      uint64
	sequence atomic.Uint64
	known    []known // by maildrop

	stop   context.Context // ends what has not begun; what has ends in order
	cancel context.CancelFunc
	all    sync.WaitGroup

	acknowledged, putOff, unanswered, refused, skipped, visits, failed atomic.Int64
}

// known are the messages of a maildrop that were read, of those that were listed last.
type known struct {
	mu   sync.Mutex
	uids map[string]bool
}

func newClients(t Traffic, targets []scenario.Target, h *history.Recorder, run uint64) *clients {
	return &clients{Traffic: t, targets: targets, history: h, run: run, known: make([]known, t.Maildrops)}
}

// start begins the traffic, which finish ends.
func (c *clients) start(ctx context.Context, seed uint64) {
	c.stop, c.cancel = context.WithCancel(ctx)
	began := time.Now()
	for i, dc := range datacenters(c.targets) {
		targets := in(c.targets, dc)
		for n := range c.Writers {
			w := &writer{
				clients: c, datacenter: dc, name: fmt.Sprintf("%s-w%d", dc, n), targets: targets,
				rnd:   rand.New(rand.NewPCG(seed, uint64(i)<<32|uint64(n))),
				first: began.Add(time.Duration(float64(n) / c.Rate * float64(time.Second))),
				every: time.Duration(float64(c.Writers) / c.Rate * float64(time.Second)),
			}
			c.all.Go(func() { w.work(ctx) })
		}
		for n := range c.Readers {
			r := c.reader(dc, fmt.Sprintf("%s-r%d", dc, n), rand.New(rand.NewPCG(seed, 1<<63|uint64(i)<<32|uint64(n))))
			drops := c.dropsOf(i, n)
			if len(drops) == 0 {
				continue
			}
			c.all.Go(func() { r.work(ctx, drops) })
		}
	}
}

// dropsOf are the maildrops of a reader: no other one of its data centre has them.
func (c *clients) dropsOf(datacenter, reader int) []int {
	var drops []int
	n := len(datacenters(c.targets))
	for drop := range c.Maildrops {
		shared := drop%2 == 0
		if (shared || drop/2%n == datacenter) && drop/2%c.Readers == reader {
			drops = append(drops, drop)
		}
	}
	return drops
}

// finish has every client end what it is doing.
func (c *clients) finish() {
	c.cancel()
	c.all.Wait()
}

func (c *clients) counts() Counts {
	return Counts{c.acknowledged.Load(), c.putOff.Load(), c.unanswered.Load(), c.refused.Load(), c.skipped.Load(), c.visits.Load(), c.failed.Load()}
}

// read notes that a message was read.
func (k *known) read(uid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.uids == nil {
		k.uids = map[string]bool{}
	}
	k.uids[uid] = true
}

// among are those of a listing that were read. What is not listed is forgotten: at worst it
// is read again.
func (k *known) among(uids []string) map[string]bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	still := map[string]bool{}
	for _, uid := range uids {
		if k.uids[uid] {
			still[uid] = true
		}
	}
	k.uids = still
	mine := make(map[string]bool, len(still))
	for uid := range still {
		mine[uid] = true
	}
	return mine
}

// answered is how an operation ended.
func answered(err error) (history.Result, string) {
	var said *wire.ReplyError
	switch {
	case err == nil:
		return history.OK, ""
	case !errors.As(err, &said):
		return history.Unknown, err.Error()
	case strings.HasPrefix(said.Reply, "4"), later(said.Reply):
		return history.Temporary, said.Reply
	}
	return history.Permanent, said.Reply
}

// later reports whether a POP3 server asks to come again (RFC 2449, section 8.1; RFC 3206).
func later(reply string) bool {
	for _, code := range []string{"[SYS/TEMP]", "[IN-USE]", "[LOGIN-DELAY]"} {
		if strings.Contains(reply, code) {
			return true
		}
	}
	return false
}
