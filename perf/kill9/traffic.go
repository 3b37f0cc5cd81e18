package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"restante/perf/letter"
	"restante/perf/peer"
	"restante/perf/wire"
)

// A traffic is the load of one round, from its start until the server is killed.
type traffic struct {
	*trial
	server *peer.Server
	killed atomic.Bool
	ending atomic.Bool
	begun  chan struct{} // closed when the first message was acknowledged
	once   sync.Once
	all    sync.WaitGroup
	cancel context.CancelFunc
}

// start begins to deliver and to fetch.
func (t *trial) start(ctx context.Context, server *peer.Server) *traffic {
	ctx, cancel := context.WithCancel(ctx)
	f := &traffic{trial: t, server: server, begun: make(chan struct{}), cancel: cancel}
	for i := range t.Deliverers {
		rnd := t.random()
		f.all.Go(func() { f.deliver(ctx, i%2 == 1, rnd) })
	}
	for i := range t.Fetchers {
		rnd := t.random()
		f.all.Go(func() { f.fetch(ctx, i, rnd) })
	}
	return f
}

// end waits for the clients of a server that was killed. Their connections are
// dropped, in case one is not aware of it.
func (f *traffic) end() {
	f.cancel()
	f.all.Wait()
}

// finish lets every client of a server that lives end what it is doing.
func (f *traffic) finish() {
	f.ending.Store(true)
	stuck := time.AfterFunc(finishTime, f.cancel)
	defer stuck.Stop()
	f.all.Wait()
	f.cancel()
}

// finishTime is how long what a client does may take: longer than any time-out of
// the server.
const finishTime = time.Minute

// over tells whether a client should end with err: after the kill any error is
// as it must be, before it none is. A server whose store is elsewhere may put POP3
// clients off when that fails.
func (f *traffic) over(ctx context.Context, who string, err error) bool {
	if f.killed.Load() || ctx.Err() != nil {
		return true
	}
	if f.cluster != nil && putOff(err) {
		f.ledger.putOff()
		err = nil
	}
	if f.ending.Load() && err == nil {
		return true
	}
	if err != nil {
		f.ledger.report("%s, before the kill: %v", who, err)
	}
	return err != nil
}

// deliver sends letters on one connection.
func (f *traffic) deliver(ctx context.Context, lmtp bool, rnd *rand.Rand) {
	addr := f.server.SMTP
	if lmtp || addr == "" {
		addr, lmtp = f.server.LMTP, true
	}
	c, err := wire.DialSMTP(ctx, addr, lmtp, wire.Options{})
	if f.over(ctx, "connect to "+addr, err) {
		if c != nil {
			_ = c.Close()
		}
		return
	}
	defer func() { _ = c.Close() }()
	var w letter.Writer
	for {
		if err := f.send(c, &w, rnd); f.over(ctx, "deliver", err) {
			return
		}
	}
}

// send is one mail. A refusal is counted and no error.
func (f *traffic) send(c *wire.SMTP, w *letter.Writer, rnd *rand.Rand) error {
	drops := []int{rnd.IntN(f.Maildrops)}
	if other := rnd.IntN(f.Maildrops); rnd.IntN(5) == 0 && other != drops[0] {
		drops = append(drops, other)
	}
	m := wire.Mail{From: peer.Sender}
	for _, drop := range drops {
		m.To = append(m.To, fmt.Sprintf(peer.Pattern, drop))
	}
	sealed := w.Compose(letter.ID{Run: f.seed, Seq: f.sequence.Add(1)}, m.From, m.To[0], size(rnd))
	m.Data = sealed.Wire
	f.ledger.attempt(sealed.ID, sealed.Sum, drops)
	err := c.Send(m, rnd.IntN(2) == 0)
	var refused *wire.ReplyError
	said := errors.As(err, &refused)
	f.ledger.answered(sealed.ID, drops, err == nil, said)
	if said {
		return nil
	}
	if err == nil {
		f.once.Do(func() { close(f.begun) })
	}
	return err
}

// size is that of most mail, and now and then that of mail with a picture.
func size(rnd *rand.Rand) int {
	switch n := rnd.IntN(200); {
	case n == 0:
		return 1 << 20
	case n < 10:
		return 100<<10 + rnd.IntN(200<<10)
	}
	return 200 + rnd.IntN(8<<10)
}

// fetch reads the maildrops whose number leaves the rest number, one after
// another, so that each has one reader.
func (f *traffic) fetch(ctx context.Context, number int, rnd *rand.Rand) {
	for drop := number; ; drop += f.Fetchers {
		if drop >= f.Maildrops {
			drop = number
		}
		if err := f.visit(ctx, drop, rnd); f.over(ctx, "fetch", err) {
			return
		}
	}
}

// visit is one session. It removes a part of what it lists and leaves the rest
// for the kill; one in eight marks messages and hangs up, which must remove none.
func (f *traffic) visit(ctx context.Context, drop int, rnd *rand.Rand) error {
	r, err := openReader(ctx, f.ledger, f.server.POP3, drop, false)
	if err != nil {
		return err
	}
	f.ledger.listed(drop, r.due, r.listing())
	if rnd.IntN(8) > 0 {
		return r.remove(func() bool { return rnd.IntN(8) == 0 })
	}
	for i := range r.numbers {
		if err = r.pop3.Dele(i + 1); err != nil {
			break
		}
	}
	return errors.Join(err, r.pop3.Close())
}
