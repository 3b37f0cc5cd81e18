package relay_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/relay"
	"restante/relay/relaytest"
)

// What keeps a segment open for hours is sent once and not lost, also where each segment
// is taken over by another process, and whatever of the journal failed in between.
func TestAStragglerIsSentOnceWhoeverTakesOver(t *testing.T) {
	for name, fails := range map[string]func(c relaytest.Call) bool{
		"nothing fails":     func(relaytest.Call) bool { return false },
		"nothing is closed": func(c relaytest.Call) bool { return c.Name == "Close" },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
					if fails(c) {
						return relaytest.Fail
					}
					return nil
				})
				a := r.pool.add("a")
				for range 29 {
					r.submit("barney")
				}
				synctest.Wait()
				a.says(relay.Temporary, "no")
				straggler := r.submit("barney")
				time.Sleep(61 * time.Minute)
				r.end()
				sent := len(a.got())
				a.says(relay.Success, "ok")

				ctx, cancel := context.WithCancel(t.Context())
				var heirs sync.WaitGroup
				for _, s := range r.segments() {
					o := r.options
					o.Registerer = nil
					heir, err := relay.New(o)
					if err != nil {
						t.Fatal(err)
					}
					heirs.Go(func() { heir.Run(ctx) })
					if err := heir.Resume(t.Context(), s); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(5 * time.Hour)
				cancel()
				heirs.Wait()
				if n := len(a.got()) - sent; n != 1 {
					t.Errorf("sent %d times", n)
				}
				if said := r.notices.of(straggler); len(said) > 0 {
					t.Errorf("the sender heard %q", said)
				}
			})
		})
	}
}
