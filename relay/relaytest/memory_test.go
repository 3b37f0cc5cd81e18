package relaytest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/relaytest"
)

var ids mailbox.MessageIDs

func newSegment() relay.Segment { return relay.Segment{Lane: ids.Next(), ID: ids.Next()} }

func anEvent(k relay.Kind) relay.Event {
	return relay.Event{Entry: relay.EntryID{Message: ids.Next()}, Kind: k, Writer: ids.Next()}
}

// written is how many events a segment has.
func written(t *testing.T, m *relaytest.Memory, s relay.Segment) (n int) {
	t.Helper()
	for _, err := range m.Load(t.Context(), s) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestAFaultBecomesOfTheCallsOfAPlan(t *testing.T) {
	for name, c := range map[string]struct {
		fault             relaytest.Fault
		fails             bool
		soon, after, late int // events at once, after a second, and after ten
	}{
		"none":                        {nil, false, 1, 1, 1},
		"fail":                        {relaytest.Fail, true, 0, 0, 0},
		"done and reported failed":    {relaytest.Lie, true, 1, 1, 1},
		"reported failed, done late":  {relaytest.Late(5 * time.Second), true, 0, 0, 1},
		"reported done, done late":    {relaytest.Behind(5 * time.Second), false, 0, 0, 1},
		"half done":                   {relaytest.Halve, true, 0, 0, 0},
		"hang":                        {relaytest.Hang, true, 0, 0, 0},
		"done after a while":          {relaytest.Delay(time.Second / 2), false, 1, 1, 1},
		"done after too long a while": {relaytest.Delay(time.Minute), true, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, s := relaytest.NewMemory(), newSegment()
				if err := m.Open(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				m.Inject(func(call relaytest.Call) relaytest.Fault {
					if call.Name == "Append" && call.N == 2 && call.Has(relay.Attempt) {
						return c.fault
					}
					return nil
				})
				if err := m.Append(t.Context(), s); err != nil {
					t.Errorf("the first Append: %v", err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := m.Append(ctx, s, anEvent(relay.Attempt)); (err != nil) != c.fails || err != nil && !errors.Is(err, mailbox.ErrUnavailable) {
					t.Errorf("Append = %v", err)
				}
				for _, want := range []int{c.soon, c.after, c.late} {
					if n := written(t, m, s); n != want {
						t.Errorf("%d events; want %d", n, want)
					}
					time.Sleep(4 * time.Second)
				}
				if n := m.Calls("Append"); n != 2 {
					t.Errorf("%d calls of Append; want 2", n)
				}
			})
		})
	}
}

func TestALoadMayFailHalfWay(t *testing.T) {
	m, s := relaytest.NewMemory(), newSegment()
	err := errors.Join(m.Open(t.Context(), s), m.Append(t.Context(), s, anEvent(relay.Accepted), anEvent(relay.Attempt), anEvent(relay.Delivered), anEvent(relay.Failed)))
	if err != nil {
		t.Fatal(err)
	}
	m.Inject(func(relaytest.Call) relaytest.Fault { return relaytest.Halve })
	n, failed := 0, error(nil)
	for _, err := range m.Load(t.Context(), s) {
		if err != nil {
			failed = err
			continue
		}
		n++
	}
	if n != 2 || !errors.Is(failed, relaytest.ErrFault) {
		t.Errorf("%d events, then %v; want 2 and the fault", n, failed)
	}
}

func TestFaultsAreOfOneProcessAndDataOfAll(t *testing.T) {
	a, s := relaytest.NewMemory(), newSegment()
	b, elsewhere := a.Process(""), a.Process("elsewhere")
	a.Inject(func(relaytest.Call) relaytest.Fault { return relaytest.Fail })
	if err := a.Open(t.Context(), s); !errors.Is(err, relaytest.ErrFault) {
		t.Errorf("Open = %v; want the fault", err)
	}
	if err := errors.Join(b.Open(t.Context(), s), b.Append(t.Context(), s, anEvent(relay.Accepted)), b.Beat(t.Context(), relay.Beat{Lane: s.Lane})); err != nil {
		t.Fatal(err)
	}
	a.Inject(nil)
	if n := written(t, a, s); n != 1 {
		t.Errorf("%d events; want that of the other process", n)
	}
	for datacenter, process := range map[string]*relaytest.Memory{"here": a, "elsewhere": elsewhere} {
		lanes, err := process.Lanes(t.Context(), "")
		beats, beatsErr := process.Beats(t.Context())
		want := 0
		if datacenter == "here" {
			want = 1
		}
		if err != nil || beatsErr != nil || len(lanes) != want || len(beats) != want {
			t.Errorf("%s: %d lanes, %d beats, %v, %v; want %d", datacenter, len(lanes), len(beats), err, beatsErr, want)
		}
	}
	if lanes, err := b.Lanes(t.Context(), "elsewhere"); err != nil || len(lanes) != 0 {
		t.Errorf("Lanes = %v, %v; want none elsewhere", lanes, err)
	}
}

func TestAnAppendToWhatWasNeverOpenedIsFound(t *testing.T) {
	if err := relaytest.NewMemory().Append(t.Context(), newSegment(), anEvent(relay.Accepted)); err == nil {
		t.Error("Append succeeded")
	}
}
