package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"restante/perf/history"
	"restante/perf/letter"
	"restante/perf/scenario"
	"restante/perf/wire"
)

// A reader is a POP3 client.
type reader struct {
	*clients
	datacenter, name string
	targets          []scenario.Target
	rnd              *rand.Rand
	checker          letter.Checker
}

func (c *clients) reader(datacenter, name string, rnd *rand.Rand) *reader {
	return &reader{clients: c, datacenter: datacenter, name: name, targets: in(c.targets, datacenter), rnd: rnd}
}

// work visits maildrops one after another.
func (r *reader) work(ctx context.Context, drops []int) {
	every := time.Duration(float64(r.Readers) / r.Logins * float64(time.Second))
	for i := r.rnd.IntN(len(drops)); scenario.Pause(r.stop, every/2+time.Duration(r.rnd.Int64N(int64(every)))); i++ {
		r.visits.Add(1)
		if !r.visit(ctx, drops[i%len(drops)]) {
			r.failed.Add(1)
		}
	}
}

// A visit is a session that has listed its maildrop.
type visit struct {
	*reader
	drop   int
	server string
	pop3   *wire.POP3
	uids   []string
}

// visit reads what nobody has read yet and deletes some; one in eight hangs up instead of
// QUIT, which must remove nothing.
func (r *reader) visit(ctx context.Context, drop int) bool {
	v, ok := r.open(ctx, drop)
	if !ok {
		return false
	}
	read := r.known[drop].among(v.uids)
	for i, uid := range v.uids {
		if read[uid] && r.rnd.IntN(64) > 0 {
			continue
		}
		switch v.retrieve(i + 1) {
		case history.OK:
			read[uid] = true
			r.known[drop].read(uid)
		case history.Unknown:
			_ = v.pop3.Close()
			return false
		}
	}
	return v.remove(read)
}

// open logs in and lists, and writes down the two as one. The session's view is that of
// its login, so that is when the listing began.
func (r *reader) open(ctx context.Context, drop int) (*visit, bool) {
	at := r.targets[r.rnd.IntN(len(r.targets))]
	v := &visit{reader: r, drop: drop, server: at.Name}
	e := v.entry(history.List)
	var err error
	if v.pop3, err = wire.DialPOP3(ctx, at.POP3, wire.Options{Timeout: r.Timeout}); err == nil {
		e.From = r.history.Now()
		err = v.list(&e)
	}
	e.Result, e.Reply = answered(err)
	if err != nil {
		e.UIDs, e.Sizes = nil, nil
		if v.pop3 != nil {
			_ = v.pop3.Close()
		}
	}
	r.history.Record(e)
	v.uids = e.UIDs
	return v, err == nil
}

func (v *visit) list(e *history.Entry) error {
	if err := v.pop3.Login(e.Maildrop, v.Password); err != nil {
		return err
	}
	if err := v.pop3.UIDL(func(_ int, id []byte) { e.UIDs = append(e.UIDs, string(id)) }); err != nil {
		return err
	}
	if err := v.pop3.List(func(_ int, octets int64) { e.Sizes = append(e.Sizes, octets) }); err != nil {
		return err
	}
	if len(e.UIDs) != len(e.Sizes) {
		return fmt.Errorf("UIDL has %d lines, LIST has %d", len(e.UIDs), len(e.Sizes))
	}
	return nil
}

func (v *visit) entry(op history.Op) history.Entry {
	return history.Entry{Op: op, From: v.history.Now(), Client: v.name, Datacenter: v.datacenter, Server: v.server, Maildrop: v.user(v.drop)}
}

// retrieve takes one message whole.
func (v *visit) retrieve(number int) history.Result {
	e := v.entry(history.Retr)
	e.UID = v.uids[number-1]
	v.checker.Reset()
	err := v.pop3.Retr(number, &v.checker)
	if e.Result, e.Reply = answered(err); err == nil {
		id, s, err := v.checker.Check()
		e.Letter, e.Sum, e.Octets = id.String(), sum(s), v.checker.Octets()
		if err != nil {
			e.Damaged = err.Error()
		}
	}
	v.history.Record(e)
	return e.Result
}

// remove deletes of what was read the oldest beyond the backlog, and some others.
func (v *visit) remove(read map[string]bool) bool {
	e := v.entry(history.Quit)
	excess := len(v.uids) - v.Backlog
	for i, uid := range v.uids {
		if !read[uid] || i >= excess && v.rnd.IntN(16) > 0 {
			continue
		}
		err := v.pop3.Dele(i + 1)
		if result, _ := answered(err); result == history.Unknown {
			_ = v.pop3.Close()
			return false
		}
		if err == nil {
			e.UIDs = append(e.UIDs, uid)
		}
	}
	if v.rnd.IntN(8) == 0 {
		_ = v.pop3.Close()
		return true
	}
	e.From = v.history.Now()
	err := v.pop3.Quit()
	if len(e.UIDs) == 0 {
		return err == nil
	}
	e.Result, e.Reply = answered(err)
	v.history.Record(e)
	return err == nil
}

// sum is a hash as a history has it.
func sum(s uint64) string { return fmt.Sprintf("%016x", s) }
