package cassandra

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"restante/mailbox"
)

func TestTheRingIsFromTheFirstTokenToTheLast(t *testing.T) {
	t.Parallel()
	for token, want := range map[int64]float64{firstToken: 0, -1 << 62: 0.25, 0: 0.5, 1 << 62: 0.75, lastToken: 1} {
		if got := ringAt(token); math.Abs(got-want) > 1e-9 {
			t.Errorf("%d is at %v, want %v", token, got, want)
		}
	}
	for _, c := range []struct {
		token int64
		width uint64
		want  int64
	}{
		{firstToken, 1, firstToken + 1},
		{firstToken, math.MaxUint64 / 2, -1},
		{firstToken, math.MaxUint64, lastToken},
		{-1, 2, 1},
		{lastToken - 2, 1, lastToken - 1},
		{lastToken - 1, 1, lastToken},
		{lastToken - 1, math.MaxUint64, lastToken},
		{0, 1 << 63, lastToken},
	} {
		if got := ahead(c.token, c.width); got != c.want {
			t.Errorf("%d after %d is %d, want %d", c.width, c.token, got, c.want)
		}
	}
}

// A dense is a table that takes time for what there is in a part of the ring, and
// fails where that is too much at once.
type dense struct {
	begin, end int64 // where it is dense
	perToken   float64
	most       time.Duration // that a slice may take; 0: any
	err        error

	slices [][2]int64
	longer int // of them that took more than two seconds
}

func (d *dense) read(ctx context.Context, begin, end int64) error {
	took := time.Duration(d.perToken * max(0, float64(min(end, d.end))-float64(max(begin, d.begin))))
	if d.most > 0 && took > d.most {
		time.Sleep(d.most)
		return d.err
	}
	time.Sleep(took)
	if took > 2*longSlice {
		d.longer++
	}
	d.slices = append(d.slices, [2]int64{begin, end})
	return nil
}

func (d *dense) settle(context.Context) error { return nil }

// aRound is one that needs no cluster.
func aRound(perSecond int) *round {
	return &round{
		session: &session{},
		options: RoundOptions{},
		pause:   pause{retry: time.Second},
		limiter: rate.NewLimiter(rate.Limit(perSecond), 1),
		metrics: roundMetricsOf(nil),
		steps:   1,
		step:    1,
	}
}

func TestSlicesCoverTheRingAndTakeAboutASecond(t *testing.T) {
	t.Parallel()
	errBusy := fmt.Errorf("busy: %w", mailbox.ErrUnavailable)
	for name, d := range map[string]*dense{
		"an empty table":   {},
		"an even table":    {begin: firstToken, end: lastToken, perToken: float64(time.Hour) / (1 << 64)},
		"a dense place":    {begin: 1 << 40, end: 1 << 50, perToken: float64(time.Minute) / (1 << 50)},
		"one that fails":   {begin: 1 << 40, end: 1 << 50, perToken: float64(time.Minute) / (1 << 50), most: 2 * time.Second, err: errBusy},
		"fails everywhere": {begin: firstToken, end: lastToken, perToken: float64(time.Hour) / (1 << 64), most: 700 * time.Millisecond, err: errBusy},
	} {
		for _, from := range []int64{firstToken, 1<<40 + 12345} {
			synctest.Test(t, func(t *testing.T) {
				d.slices, d.longer = nil, 0
				r := aRound(1)
				if err := r.walk(t.Context(), from, d); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				at := from
				for _, s := range d.slices {
					if s[0] != at || s[1] <= s[0] {
						t.Fatalf("%s: a slice from %d to %d after %d", name, s[0], s[1], at)
					}
					at = s[1]
				}
				if at != lastToken || r.ring != 1 {
					t.Errorf("%s: it came to %d, %v of the ring", name, at, r.ring)
				}
				if d.longer > 10 {
					t.Errorf("%s: %d of %d slices took too long", name, d.longer, len(d.slices))
				}
				if len(d.slices) > 20_000 || d.perToken == 0 && len(d.slices) > 30 {
					t.Errorf("%s: %d slices", name, len(d.slices))
				}
			})
		}
	}
}

func TestARoundEndsWhereTryingAgainIsNoUse(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		err  error
		took time.Duration // at least; the pauses between five tries
	}{
		"a fault of the program": {broken, 0},
		"a cluster that is away": {fmt.Errorf("%w: %w", mailbox.ErrUnavailable, broken), 15 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			d := &dense{end: lastToken, perToken: 1, most: 1, err: c.err}
			err := aRound(1).walk(t.Context(), 0, d)
			if took := time.Since(began); !errors.Is(err, broken) || took < c.took || took > c.took+time.Second {
				t.Errorf("%s: %v after %s, want it after %s", name, err, took, c.took)
			}
		})
	}
}

func TestRowsAreReadAtARate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := aRound(100)
		began := time.Now()
		for range 1000 {
			if err := r.row(t.Context(), rand.Int64()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second || r.waited != took {
			t.Errorf("1000 rows at 100 a second took %s, of which it waited %s", took, r.waited)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.row(ctx, 0); !errors.Is(err, mailbox.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("a row after the end: %v", err)
		}
	})
}
