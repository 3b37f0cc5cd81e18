package relay

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
)

// heard are lanes by which every beat arrives.
type heard struct{ Lanes }

func (heard) Beat(context.Context, Beat) error { return nil }

// The clock that never goes back may stand still while the machine is suspended; the one
// that is set goes on, and may be set back.
func TestALeaseLapsesByTheClockThatIsFurther(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set, passes time.Duration
		valid       bool
	}{
		"nothing happens":           {0, 9 * time.Second, true},
		"time passes":               {0, 11 * time.Second, false},
		"the machine was suspended": {11 * time.Second, 0, false},
		"the clock is set back":     {-time.Hour, 9 * time.Second, true},
		"and time passes":           {-time.Hour, 11 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLease(heard{}, mailbox.MessageID{1}, "here", Times{}.withDefaults(), nil, slog.New(slog.DiscardHandler))
				set := time.Duration(0)
				l.wall = func() time.Time { return time.Now().Add(set) }
				if !l.once(t.Context()) || !l.Valid() {
					t.Fatal("there is no lease")
				}
				set = c.set
				time.Sleep(c.passes)
				if l.Valid() != c.valid {
					t.Errorf("valid: %v", !c.valid)
				}
				set = 0
				if l.Valid() != c.valid {
					t.Error("a lease that has lapsed must stay so")
				}
			})
		})
	}
}
