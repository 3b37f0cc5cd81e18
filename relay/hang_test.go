package relay_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/relaytest"
)

// A call of the store that never answers holds up a takeover for a while, and not for ever.
func TestACallThatHangsDoesNotEndTheTakeover(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{false, true} {
		for _, name := range []string{"Lanes", "Segments", "Load", "Close", "Beats", "Claimed", "Claim"} {
			if alone && slices.Contains([]string{"Beats", "Claimed", "Claim"}, name) {
				continue
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store, contents, ids := relaytest.NewMemory(), mailboxtest.Memory().Contents, new(mailbox.MessageIDs)
					nobody, services := newPool(), newPool()
					a := services.add("a")
					start := func(p relay.Pool, hangs string) (*relay.Node, func()) {
						journal := store.Process("")
						var hung atomic.Bool
						journal.Inject(func(c relaytest.Call) relaytest.Fault {
							if c.Name == hangs && !hung.Swap(true) {
								return relaytest.Hang
							}
							return nil
						})
						o := relay.NodeOptions{Queue: relay.Options{
							Journal: journal, Contents: contents, Pool: p, IDs: ids, Notifier: new(notices),
						}}
						if !alone {
							o.Lanes = journal
						}
						n, err := relay.NewNode(o)
						if err != nil {
							t.Fatal(err)
						}
						ctx, cancel := context.WithCancel(context.Background())
						var running sync.WaitGroup
						running.Go(func() { n.Run(ctx) })
						synctest.Wait()
						return n, func() { cancel(); running.Wait() }
					}
					first, end := start(nobody, "")
					if _, err := first.Submit(t.Context(), submission(relay.Submission{}, "barney"), strings.NewReader(content)); err != nil {
						t.Fatal(err)
					}
					end()
					_, end = start(services, name)
					time.Sleep(2 * time.Hour)
					end()
					if n := len(a.got()); n != 1 {
						t.Errorf("sent %d times", n)
					}
					lanes, err := store.Process("").Lanes(t.Context(), "")
					if err != nil {
						t.Fatal(err)
					}
					for _, lane := range lanes {
						if s, err := store.Process("").Segments(t.Context(), lane); err != nil || len(s) > 0 {
							t.Errorf("left open: %v, %v", s, err)
						}
					}
				})
			})
		}
	}
}
