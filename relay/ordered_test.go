package relay

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
)

// What was adopted by order is read again and again, and is let be when the store has
// forgotten by itself what there may have been.
func TestWhatWasAdoptedByOrderIsReadAsLongAsItIsKeptAndNeverClosed(t *testing.T) {
	for name, ordered := range map[string]bool{"by order": true, "after the death of a lane": false} {
		t.Run(name, func(t *testing.T) {
			var ids mailbox.MessageIDs
			s, x := Segment{Lane: ids.Next(), ID: ids.Next()}, &idle{lane: ids.Next()}
			tk := newTakeover(closing{of: x}, x, x, x.lane, always{}, Times{}.withDefaults(), slog.New(slog.DiscardHandler))
			since, last := time.Now(), time.Duration(0)
			a := &adoption{ordered: ordered, loaded: true}
			tk.adopted[s] = a
			for {
				at, more := againAfter(a.scans, ordered)
				if !more {
					break
				}
				if at <= last || at > last+againAtMost {
					t.Fatalf("it is read after %v and then after %v", last, at)
				}
				last = at
				a.scans++
			}
			if want := map[bool]time.Duration{true: Kept - againAtMost, false: time.Hour}[ordered]; last < want || last > Kept {
				t.Errorf("it was read for %v, want %v", last, want)
			}
			a.since = since.Add(-last)
			var none sync.WaitGroup
			tk.keep(t.Context(), &none, nil)
			none.Wait()
			if len(tk.adopted) > 0 || !x.abandoned || x.closed == ordered {
				t.Errorf("adopted: %d; abandoned: %v, closed: %v", len(tk.adopted), x.abandoned, x.closed)
			}
		})
	}
}

// idle has a segment in which nothing is left to do.
type idle struct {
	Lanes
	Worker
	lane              mailbox.MessageID
	abandoned, closed bool
}

func (x *idle) Claimed(context.Context, Segment) (Claim, error) { return Claim{Lane: x.lane}, nil }
func (x *idle) Left(Segment) (int, bool)                        { return 0, true }
func (x *idle) Abandon(Segment)                                 { x.abandoned = true }

// closing is its journal.
type closing struct {
	Journal
	of *idle
}

func (c closing) Close(context.Context, Segment) error { c.of.closed = true; return nil }
