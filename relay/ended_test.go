package relay_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// An attempt of the process before may end while its successor waits for a service.
func TestWhatAnotherBroughtToItsEndIsNotTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		a.down = true
		one, two := r.submit("barney"), r.submit("barney", "betty")
		r.restart()
		s := r.segments()[0]
		delivered := func(id mailbox.MessageID, last bool) relay.Event {
			return relay.Event{Entry: relay.EntryID{Message: id}, Kind: relay.Delivered, Seq: 1, Writer: s.Lane, At: time.Now(), Data: []byte("{}"), Last: last}
		}
		if err := r.journal.Append(t.Context(), s, delivered(one, true), delivered(two, false)); err != nil {
			t.Fatal(err)
		}
		if err := r.Resume(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if left, _ := r.Left(s); left != 1 {
			t.Errorf("%d left", left)
		}
		r.pool.change(func() { a.down = false })
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		for _, sent := range a.got() {
			if sent.message != two || !slices.Equal(sent.recipients, []int{1}) {
				t.Errorf("%v was sent to %v", sent.message, sent.recipients)
			}
		}
		if said := r.notices.of(one); len(said) > 0 {
			t.Errorf("the sender heard %q", said)
		}
		if !r.gone(one) || !r.gone(two) {
			t.Error("a content is kept")
		}
	})
}
