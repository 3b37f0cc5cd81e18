package pool

import (
	"testing"
	"time"
)

func TestABreakerOpensAfterFailuresInARow(t *testing.T) {
	t.Parallel()
	b, now := newBreaker(), time.Unix(1e9, 0)
	for range breakRow - 1 {
		b.end(now, true, false)
	}
	b.end(now, false, false)
	for range breakRow - 1 {
		b.end(now, true, false)
	}
	if b.phase(now) != closed {
		t.Fatal("open though a mail succeeded in between")
	}
	if state, _ := b.judge(now); state != Suspect {
		t.Errorf("%s after %d failures; want suspect", state, breakRow-1)
	}
	b.end(now, true, false)
	if b.phase(now) != open {
		t.Error("not open")
	}
}

func TestABreakerOpensWhereHalfOfTheMailFails(t *testing.T) {
	t.Parallel()
	// Failures and successes by turns, spread over a time.
	run := func(mails int, over time.Duration, failEach int) phase {
		b, now := newBreaker(), time.Unix(1e9, 0)
		for i := range mails {
			now = now.Add(over / time.Duration(mails))
			b.end(now, i%failEach == 0, false)
		}
		return b.phase(now)
	}
	for _, c := range []struct {
		mails    int
		over     time.Duration
		failEach int
		want     phase
	}{
		{breakMail + 1, 20 * time.Second, 2, open},
		{breakMail - 2, 20 * time.Second, 2, closed}, // too few to say
		{1000, 20 * time.Second, 3, closed},          // a third
		{100, 10 * time.Minute, 2, closed},           // never enough within the window
	} {
		if got := run(c.mails, c.over, c.failEach); got != c.want {
			t.Errorf("%d mails in %v of which one in %d fails: %d; want %d", c.mails, c.over, c.failEach, got, c.want)
		}
	}
}

func TestABreakerWaitsLongerEachTime(t *testing.T) {
	t.Parallel()
	b, now := newBreaker(), time.Unix(1e9, 0)
	b.open(now)
	for _, want := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300} {
		if got := b.until.Sub(now); got != want*time.Second {
			t.Fatalf("open for %v; want %v", got, want*time.Second)
		}
		now = b.until
		if b.phase(now) != halfOpen {
			t.Fatal("not half open when its time is over")
		}
		b.end(now, true, false) // was on its way before
		if b.phase(now) != halfOpen {
			t.Fatal("what was on its way opened it")
		}
		b.trial = true
		b.end(now, true, true)
	}
	now = b.until
	b.end(now, false, true)
	if b.phase(now) != closed {
		t.Fatal("not closed by a success")
	}
	b.open(now.Add(time.Second))
	if got := b.until.Sub(now.Add(time.Second)); got != breakMax {
		t.Errorf("open for %v when it fails again at once; want %v", got, breakMax)
	}
	now = b.until
	b.end(now, false, true)
	now = now.Add(breakWindow)
	b.open(now)
	if got := b.until.Sub(now); got != breakMin {
		t.Errorf("open for %v when it had worked for long; want %v", got, breakMin)
	}
}

func TestAWindowForgets(t *testing.T) {
	t.Parallel()
	w, now := newWindow(time.Minute, 6), time.Unix(1e9, 0)
	if w.sum(now) != [2]int64{} {
		t.Error("something is in an empty window")
	}
	for i := range 12 {
		w.add(now.Add(time.Duration(i)*10*time.Second), i%2, int64(i))
	}
	now = now.Add(110 * time.Second)
	if got := w.sum(now); got != [2]int64{6 + 8 + 10, 7 + 9 + 11} {
		t.Errorf("%v", got)
	}
	if got := w.sum(now.Add(30 * time.Second)); got != [2]int64{10, 9 + 11} {
		t.Errorf("after half a minute: %v", got)
	}
	if got := w.sum(now.Add(time.Hour)); got != [2]int64{} {
		t.Errorf("after an hour: %v", got)
	}
}
