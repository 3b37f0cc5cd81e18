package faults

import (
	"context"
	"math/rand/v2"
	"time"

	"restante/perf/history"
	"restante/perf/letter"
	"restante/perf/scenario"
	"restante/perf/wire"
)

const (
	// A sender comes again after a while that doubles from the shortest to the longest.
	shortestWait = 200 * time.Millisecond
	longestWait  = 3 * time.Second
	// tooLate is how late a mail may be sent: beyond that there would be a flood after
	// each trouble, which is another test.
	tooLate = 2 * time.Second
	// perConnection is how many mails go over one connection, so that senders go on to a server
	// that is back.
	perConnection = 20
)

// A writer is a sender with one connection, which behaves like an MTA: it keeps a letter
// that was not acknowledged, and tries the next server with it.
type writer struct {
	*clients
	datacenter, name string
	targets          []scenario.Target
	rnd              *rand.Rand
	first            time.Time
	every            time.Duration

	at      scenario.Target
	smtp    *wire.SMTP
	sent    int // over this connection
	compose letter.Writer
}

func (w *writer) work(ctx context.Context) {
	defer w.hangUp()
	for due := w.first; scenario.Pause(w.stop, time.Until(due)); due = due.Add(w.every) {
		if time.Since(due) > tooLate {
			w.skipped.Add(1)
			continue
		}
		w.deliver(ctx)
	}
}

// deliver sends one letter, to one or two maildrops, as often as it takes.
func (w *writer) deliver(ctx context.Context) {
	drops := []string{w.user(w.rnd.IntN(w.Maildrops))}
	if other := w.user(w.rnd.IntN(w.Maildrops)); w.rnd.IntN(5) == 0 && other != drops[0] {
		drops = append(drops, other)
	}
	m := w.compose.Compose(letter.ID{Run: w.run, Seq: w.sequence.Add(1)}, w.Sender, drops[0], size(w.rnd))
	wait := shortestWait
	for range w.Attempts {
		switch w.attempt(ctx, m, drops) {
		case history.OK:
			w.acknowledged.Add(1)
			return
		case history.Permanent:
			w.refused.Add(1)
			return
		case history.Temporary:
			w.putOff.Add(1)
		default:
			w.unanswered.Add(1)
		}
		if !scenario.Pause(w.stop, wait/2+time.Duration(w.rnd.Int64N(int64(wait)))) {
			return
		}
		wait = min(2*wait, longestWait)
	}
}

// attempt tries one server, and writes down how that went.
func (w *writer) attempt(ctx context.Context, m letter.Letter, drops []string) history.Result {
	e := history.Entry{
		Op: history.Deliver, Client: w.name, Datacenter: w.datacenter, Letter: m.ID.String(), Sum: sum(m.Sum), Maildrops: drops,
	}
	if w.sent >= perConnection {
		w.hangUp()
	}
	e.From = w.history.Now()
	err := w.connect(ctx)
	e.Server = w.at.Name
	if err == nil {
		// What has not got as far as the content leaves nothing behind, everything else may.
		begun := func(step wire.Step) { e.Sent = e.Sent || step == wire.Data }
		err = w.smtp.Send(wire.Mail{From: w.Sender, To: drops, Data: m.Wire, Answered: begun}, w.rnd.IntN(2) == 0)
		w.sent++
	}
	e.Result, e.Reply = answered(err)
	w.history.Record(e)
	if err != nil {
		w.hangUp() // also where it was put off: another server may do better
	}
	return e.Result
}

func (w *writer) connect(ctx context.Context) (err error) {
	if w.smtp != nil {
		return nil
	}
	w.at = w.targets[w.rnd.IntN(len(w.targets))]
	w.smtp, err = wire.DialSMTP(ctx, w.at.SMTP, false, wire.Options{Timeout: w.Timeout})
	return err
}

func (w *writer) hangUp() {
	if w.smtp != nil {
		_ = w.smtp.Close()
	}
	w.smtp, w.sent = nil, 0
}

// size is that of most mail, and now and then that of mail with a picture.
func size(rnd *rand.Rand) int {
	if rnd.IntN(100) == 0 {
		return 50<<10 + rnd.IntN(200<<10)
	}
	return 200 + rnd.IntN(6<<10)
}
