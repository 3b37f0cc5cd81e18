package faults

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/perf/history"
)

// short is a trial of a few seconds.
func short(t *testing.T) Trial {
	return Trial{
		Traffic: Traffic{
			Rate: 80, Writers: 6, Logins: 60, Readers: 3, Maildrops: 6, Backlog: 8, Attempts: 10, Timeout: 5 * time.Second,
			Pattern: "user%d@example.test", Password: "secret", Sender: "sender@sender.example",
		},
		For: time.Second, Longest: 100 * time.Millisecond, Calm: 200 * time.Millisecond, Settle: 500 * time.Millisecond, Seed: 5,
		Kinds: []Kind{{"cut the link", 1, []time.Duration{50 * time.Millisecond}, cut}}, Progress: t.Output(),
	}
}

// played is what the history of a trial on a service that lies so comes to. On a busy
// machine one may be over before it has shown anything: it is played again, for longer,
// until it has.
func played(t *testing.T, l lies, shown func(*history.Verdict, *fake) bool) *history.Verdict {
	t.Helper()
	trial := short(t)
	for {
		f := newFake(t, l)
		v := play(t, trial, f)
		all := v.Acknowledged > 0 && v.Removed > 0 && v.Later > 0 && v.Unknown > 0 && len(v.Spells) > 0 && v.Remaining > 0
		if all && shown(v, f) {
			return v
		}
		if trial.For *= 2; trial.For > longest {
			var b strings.Builder
			_ = v.Write(&b)
			t.Errorf("the trial has shown nothing: %+v\n%s", v, &b)
			return v
		}
	}
}

// longest is how long a trial may take to show something.
const longest = 16 * time.Second

// recorded is what a recorder, which it closes, has written.
func recorded(t *testing.T, h *history.Recorder, file *bytes.Buffer) (entries []history.Entry) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for e, err := range history.Read(file) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

func play(t *testing.T, trial Trial, f *fake) *history.Verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var file bytes.Buffer
	h := history.NewRecorder(&file)
	if err := trial.Run(ctx, newStand(f.servers), h); err != nil {
		t.Error(err)
	}
	v, err := history.Check(history.Of(recorded(t, h, &file)...), history.Rules{Lag: time.Second, Heal: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAnHonestServiceHasNoFaults(t *testing.T) {
	t.Parallel()
	repeats := func(v *history.Verdict, _ *fake) bool { // some were kept and not acknowledged
		return v.Faults() > 0 || v.Count(history.Repeated) > 0
	}
	if v := played(t, lies{}, repeats); v.Faults() > 0 {
		var b strings.Builder
		_ = v.Write(&b)
		t.Error(b.String())
	}
}

// Each lie is told by an otherwise honest service, and found.
func TestEveryLieIsFound(t *testing.T) {
	for rule, l := range map[history.Rule]lies{
		history.Lost:        {loses: true},
		history.Resurrected: {resurrects: true},
		history.Duplicated:  {duplicates: true},
		history.Reordered:   {reorders: true},
		history.WrongBytes:  {corrupts: true},
		history.ChangedUID:  {renames: true},
		history.NotVisible:  {hides: true},
	} {
		t.Run(string(rule), func(t *testing.T) {
			t.Parallel()
			played(t, l, func(v *history.Verdict, f *fake) bool { return f.caught > 0 && v.Count(rule) > 0 })
		})
	}
	t.Run("lost in one data centre", func(t *testing.T) {
		t.Parallel()
		played(t, lies{forgetsThere: true}, func(v *history.Verdict, _ *fake) bool { return v.Count(history.Lost) > 0 })
	})
}

func TestTroubleThatCannotBeMadeEndsTheTrialAndIsUndone(t *testing.T) {
	t.Parallel()
	f := newFake(t, lies{})
	trial := short(t)
	trial.Kinds = Kinds()[:1]
	s := newStand(f.servers)
	s.fails = "start"
	var file bytes.Buffer
	h := history.NewRecorder(&file)
	err := trial.Run(t.Context(), s, h)
	if err == nil || !strings.Contains(err.Error(), "it cannot be done") || !s.did("kill") || !s.did("start") {
		t.Errorf("%v; %q", err, s.done)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(file.String(), `"op":"final"`) {
		t.Error("there is no final read")
	}
}

func TestAnInterruptUndoesTheTrouble(t *testing.T) {
	t.Parallel()
	trial := short(t)
	trial.Kinds = []Kind{{"cut the link", 1, []time.Duration{time.Hour}, cut}}
	s := newStand(newFake(t, lies{}).servers)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		for !s.did("cut") && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	h := history.NewRecorder(&bytes.Buffer{})
	if err := trial.Run(ctx, s, h); err == nil || !s.did("mend") {
		t.Errorf("%v; %q", err, s.done)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// What is acknowledged from then on comes from what was rebuilt.
func TestAHistoryTellsWhenAllThatIsDestroyedWasDown(t *testing.T) {
	t.Parallel()
	trial := short(t)
	trial.Kinds = []Kind{{"wipe a data centre", 1, []time.Duration{50 * time.Millisecond}, wipeDatacenter}}
	v := play(t, trial, newFake(t, lies{}))
	if len(v.Spells) == 0 {
		t.Error("there was no trouble")
	}
	for _, s := range v.Spells {
		if !s.Destroys || s.Struck < s.Begin || s.Struck == 0 || s.Struck >= s.End {
			t.Errorf("%+v", s)
		}
	}
}

func TestASharedMaildropHasAReaderInEachDataCentre(t *testing.T) {
	trial := short(t)
	c := newClients(trial.Traffic, four(), nil, 1)
	for drop := range trial.Maildrops {
		var in [2]int
		for dc := range in {
			for n := range trial.Readers {
				for _, d := range c.dropsOf(dc, n) {
					if d == drop {
						in[dc]++
					}
				}
			}
		}
		if sum := in[0] + in[1]; in[0] > 1 || in[1] > 1 || drop%2 == 0 && sum != 2 || drop%2 == 1 && sum != 1 {
			t.Errorf("maildrop %d has %v readers", drop, in)
		}
	}
}

// A slow stand is well only when it was asked for the third time.
type slow struct {
	*stand
	asked int
}

func (s *slow) Healthy(ctx context.Context) error {
	if s.asked++; s.asked < 3 {
		return errors.New("not yet")
	}
	return s.stand.Healthy(ctx)
}

func TestATrialIsPatientWithASystemThatHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{stand: newStand(nil)}
		if err := whole(t.Context(), s); err != nil || s.asked != 3 {
			t.Errorf("asked %d times: %v", s.asked, err)
		}
		s.state["dc1-1"] = "down"
		began := time.Now()
		if err := whole(t.Context(), s); err == nil || time.Since(began) > undo+time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
