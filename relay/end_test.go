package relay_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/relaytest"
)

// What a queue has yet to say about mail that it refused, it says when it ends.
func TestWhatWasRefusedIsWithdrawnWhenTheQueueEnds(t *testing.T) {
	for name, lapsed := range map[string]bool{"it is told to": false, "its lease has lapsed": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				a := r.pool.add("a")
				r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
					if c.Has(relay.Accepted) {
						return relaytest.Lie
					}
					return nil
				})
				if _, err := r.Submit(t.Context(), submission(relay.Submission{}, "barney"), strings.NewReader(content)); err == nil {
					t.Fatal("it was accepted")
				}
				r.lease.set(!lapsed)
				synctest.Wait()
				r.end()
				r.lease.set(true)
				r.journal.Inject(nil)
				r.restart()
				for _, s := range r.segments() {
					if left, _ := r.Left(s); left != 0 {
						t.Errorf("%d left of what was refused", left)
					}
				}
				time.Sleep(3 * time.Hour)
				if n := len(a.got()); n != 0 {
					t.Errorf("sent %d times", n)
				}
				r.notices.mu.Lock()
				defer r.notices.mu.Unlock()
				if n := len(r.notices.all); n != 0 {
					t.Errorf("the sender heard %d times", n)
				}
			})
		})
	}
}

// A content that could not be released is so when the queue ends.
func TestWhatIsNotNeededIsReleasedWhenTheQueueEnds(t *testing.T) {
	broken := &unreleased{}
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a")
		broken.fails.Store(true)
		id := r.submit("barney")
		synctest.Wait()
		broken.fails.Store(false)
		r.end()
		if !r.gone(id) {
			t.Error("the content is kept")
		}
	}, func(o *relay.Options) { broken.Contents = o.Contents; o.Contents = broken })
}

// unreleased are contents that cannot be released for a while.
type unreleased struct {
	mailbox.Contents
	fails atomic.Bool
}

func (u *unreleased) Release(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	if u.fails.Load() {
		return mailbox.ErrUnavailable
	}
	return u.Contents.Release(ctx, drop, messages...)
}
