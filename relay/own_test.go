package relay_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/relay"
	"restante/relay/relaytest"
)

// A segment of its own may be read while a message is on its way into it.
func TestAMessageThatIsReadBeforeItIsAcceptedIsSentOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		a.takes = 3 * time.Second
		r.submit("fred") // so that there is a segment
		r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
			if !c.Has(relay.Accepted) {
				return nil
			}
			return func(ctx context.Context, c relaytest.Call) error {
				err := c.Do(ctx)
				time.Sleep(time.Second) // the answer takes its time
				return err
			}
		})
		go func() {
			time.Sleep(500 * time.Millisecond)
			if err := r.Resume(t.Context(), r.segments()[0]); err != nil {
				t.Error(err)
			}
		}()
		id := r.submit("barney", "betty")
		time.Sleep(time.Minute)
		synctest.Wait()
		sent := 0
		for _, s := range a.got() {
			if s.message == id {
				sent++
			}
		}
		if sent != 1 {
			t.Errorf("sent %d times", sent)
		}
		if left, _ := r.Left(r.segments()[0]); left != 0 {
			t.Errorf("%d left", left)
		}
	})
}

// And so may it while a message is withdrawn from it.
func TestAMessageThatIsReadBeforeItIsWithdrawnIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
			switch {
			case c.Has(relay.Accepted):
				return relaytest.Lie
			case c.Name == "Load":
				return func(ctx context.Context, c relaytest.Call) error {
					err := c.Do(ctx)
					time.Sleep(time.Minute) // the answer takes its time
					return err
				}
			}
			return nil
		})
		if _, err := r.Submit(t.Context(), submission(relay.Submission{}, "barney"), strings.NewReader(content)); err == nil {
			t.Fatal("it was accepted")
		}
		s := r.segments()[0]
		if err := r.Resume(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := len(a.got()); n != 0 {
			t.Errorf("sent %d times", n)
		}
		if left, _ := r.Left(s); left != 0 {
			t.Errorf("%d left", left)
		}
	})
}
