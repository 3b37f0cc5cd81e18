package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"restante/perf/history"
	"restante/perf/scenario"
)

// A Trial plays a schedule of troubles under traffic.
type Trial struct {
	Traffic `embed:""`
	For     time.Duration `default:"1h" help:"How long troubles come."`
	Longest time.Duration `default:"10m" help:"The longest trouble."`
	Calm    time.Duration `default:"20s" help:"How long all is well between one trouble and the next, and before the first."`
	Settle  time.Duration `default:"3m" help:"How long data centres may take in the end until they list the same."`
	Seed    uint64        `help:"Seed of the random choices, 0 for a new one."`
	Note    string        `kong:"-"` // by what the history was made

	Kinds    []Kind    `kong:"-"`
	Progress io.Writer `kong:"-"`
}

// told is how often the progress is.
const told = 30 * time.Second

// Run plays, heals, waits until data centres agree, and reads everything once more. The
// history is complete then; it is for the caller to judge it. Trouble that could not be
// made or not be undone is an error, after the final read.
func (t Trial) Run(ctx context.Context, system System, h *history.Recorder) error {
	for t.Seed == 0 {
		t.Seed = rand.Uint64()
	}
	if err := t.check(system); err != nil {
		return err
	}
	targets := system.Servers()
	h.Record(history.Entry{Op: history.Run, Datacenters: datacenters(targets), Note: fmt.Sprintf("%s (seed %d)", t.Note, t.Seed)})
	t.say("seed %d", t.Seed)
	c := newClients(t.Traffic, targets, h, rand.Uint64()) // letters of another run are other ones
	c.start(ctx, t.Seed)
	err := t.troubles(ctx, system, h, c)
	c.finish()
	t.tell(c)
	if ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	err = errors.Join(err, system.Healthy(ctx))
	t.say("healed; waiting until data centres list the same")
	same, e := c.agree(ctx, t.Settle)
	if !same {
		t.say("they do not, after %v", t.Settle)
	}
	t.say("reading all that is there")
	return errors.Join(err, e, c.finally(ctx), h.Err())
}

func (t Trial) check(system System) error {
	switch {
	case len(system.Servers()) == 0:
		return errors.New("faults: there is no server")
	case len(t.Kinds) == 0:
		return errors.New("faults: there is no kind of trouble")
	case t.Rate <= 0 || t.Logins <= 0 || t.Writers < 1 || t.Readers < 1 || t.Maildrops < 1:
		return errors.New("faults: a trial needs mails, logins, writers, readers and maildrops")
	}
	return nil
}

// troubles plays spells one after another until the time is over, or one went wrong.
func (t Trial) troubles(ctx context.Context, system System, h *history.Recorder, c *clients) error {
	schedule := NewSchedule(t.Kinds, t.Longest, t.Seed)
	end := time.Now().Add(t.For)
	if !t.calm(ctx, c) {
		return ctx.Err()
	}
	for n := 1; time.Now().Before(end); n++ {
		if err := t.spell(ctx, n, schedule.Next(system), h, c); err != nil {
			return err
		}
		if err := whole(ctx, system); err != nil {
			return err
		}
		if !t.calm(ctx, c) {
			return ctx.Err()
		}
	}
	return nil
}

// undo is how long undoing may take, also when the tool was told to end, and then all until
// it is well.
const undo = 10 * time.Minute

// whole waits until all is well, also where that takes a busy machine longer than the system
// is patient.
func whole(ctx context.Context, system System) error {
	for deadline := time.Now().Add(undo); ; {
		err := system.Healthy(ctx)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		if !scenario.Pause(ctx, time.Second) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// spell makes trouble, and undoes it whatever has happened meanwhile.
func (t Trial) spell(ctx context.Context, n int, s Spell, h *history.Recorder, c *clients) error {
	e := history.Entry{Op: history.Nemesis, Spell: n, Name: s.Name(), Where: s.Where, Datacenters: s.Datacenters, Destroys: s.Destroys}
	t.say("%d: %s, %s, for %v", n, s.Name(), s.Where, s.Length)
	h.Record(e)
	err := s.Begin(ctx)
	if err == nil {
		if s.Destroys {
			struck := e
			struck.Struck = true
			h.Record(struck)
		}
		t.pause(ctx, s.Length, c)
	}
	healing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undo)
	defer cancel()
	err = errors.Join(err, s.End(healing))
	e.Ended = true
	h.Record(e)
	if err != nil {
		return fmt.Errorf("spell %d, %s, %s: %w", n, s.Name(), s.Where, err)
	}
	t.say("%d: undone", n)
	return h.Err()
}

func (t Trial) calm(ctx context.Context, c *clients) bool { return t.pause(ctx, t.Calm, c) }

// pause waits, and tells how far the traffic is now and then.
func (t Trial) pause(ctx context.Context, d time.Duration, c *clients) bool {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if !scenario.Pause(ctx, min(left, told)) {
			return false
		}
		t.tell(c)
		if left <= told {
			return true
		}
	}
}

func (t Trial) tell(c *clients) {
	n := c.counts()
	t.say("%d mails acknowledged, %d to come again, %d unanswered, %d refused, %d skipped; %d visits, %d failed",
		n.Acknowledged, n.PutOff, n.Unanswered, n.Refused, n.Skipped, n.Visits, n.Failed)
}

func (t Trial) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.Progress, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}
