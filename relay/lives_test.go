package relay_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/relaytest"
)

// What was refused while the store was away is withdrawn when it is back, although the
// lease has lapsed meanwhile: nobody sends it, and no sender hears of it.
func TestWhatWasRefusedIsWithdrawnByTheNextLife(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 2} {
		t.Run(fmt.Sprint("nodes: ", nodes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, contents, ids := relaytest.NewMemory(), &unreleased{Contents: mailboxtest.Memory().Contents}, new(mailbox.MessageIDs)
				services, told := newPool(), new(notices)
				a := services.add("a")
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				defer running.Wait()
				defer cancel()
				processes := make([]*relaytest.Memory, nodes)
				node := make([]*relay.Node, nodes)
				for i := range nodes {
					processes[i] = store.Process("")
					var err error
					if node[i], err = relay.NewNode(relay.NodeOptions{
						Queue: relay.Options{Journal: processes[i], Contents: contents, Pool: services, IDs: ids, Notifier: told},
						Lanes: processes[i], Name: fmt.Sprint("node-", i),
					}); err != nil {
						t.Fatal(err)
					}
					running.Go(func() { node[i].Run(ctx) })
				}
				submit := func(content string) error {
					_, err := node[0].Submit(ctx, submission(relay.Submission{}, "barney", "betty"), strings.NewReader(content))
					return err
				}
				time.Sleep(20 * time.Second)
				if err := submit(content); err != nil { // so that there is a segment
					t.Fatal(err)
				}
				synctest.Wait()
				before := len(a.got())

				for _, p := range processes {
					p.Inject(away)
				}
				contents.fails.Store(true)
				var refused sync.WaitGroup
				for n := range 12 {
					refused.Go(func() {
						if submit([]string{content, longContent}[n%2]) == nil {
							t.Error("it was accepted")
						}
					})
					time.Sleep(time.Second)
				}
				refused.Wait()
				time.Sleep(20 * time.Second)
				contents.fails.Store(false)
				for _, p := range processes {
					p.Inject(nil)
				}
				time.Sleep(2 * time.Hour)
				if n := len(a.got()) - before; n != 0 {
					t.Errorf("%d were sent", n)
				}
				if len(told.all) != 0 {
					t.Errorf("senders heard %d times: %+v", len(told.all), told.all[0])
				}
				q, err := node[0].Queue()
				if err != nil {
					t.Fatal(err)
				}
				if n := len(q.List(relay.Filter{}, relay.Place{}, 10)); n != 0 {
					t.Errorf("%d wait", n)
				}
				if err := submit(content); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// away is a store of which nothing is heard, but that takes what is accepted.
func away(c relaytest.Call) relaytest.Fault {
	return func(ctx context.Context, c relaytest.Call) error {
		if c.Has(relay.Accepted) {
			_ = c.Do(ctx)
		}
		return relaytest.Hang(ctx, c)
	}
}
