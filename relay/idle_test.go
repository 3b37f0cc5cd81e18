package relay_test

import (
	"context"
	"fmt"
	"io"
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

// What a dead lane has left may stay open for days because of a few stragglers. Meanwhile
// those who live ask the store for little, and notice all the same when the one dies who
// has adopted it.
func TestSegmentsThatStayOpenAreHardlyAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const segments, nodes, minutes = 20, 3, 10
		store, contents, ids := relaytest.NewMemory(), mailboxtest.Memory().Contents, new(mailbox.MessageIDs)
		lane := ids.Next()
		if err := store.Beat(t.Context(), relay.Beat{Lane: lane, Seq: 1}); err != nil {
			t.Fatal(err)
		}
		for range segments {
			accept(t, store, relay.Segment{Lane: lane, ID: ids.Next()}, ids.Next())
		}
		var mu sync.Mutex
		calls := make(map[string]int)
		away := newPool()
		away.add("a").down = true
		var all sync.WaitGroup
		defer all.Wait()
		hosts := make(map[*relay.Node]context.CancelFunc)
		for i := range nodes {
			process := store.Process("")
			process.Inject(func(c relaytest.Call) relaytest.Fault {
				mu.Lock()
				defer mu.Unlock()
				calls[c.Name]++
				return nil
			})
			n, err := relay.NewNode(relay.NodeOptions{
				Queue: relay.Options{Journal: process, Contents: contents, Pool: away, IDs: ids, Notifier: new(notices)},
				Lanes: process, Name: fmt.Sprint("node-", i),
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			hosts[n] = cancel
			all.Go(func() { n.Run(ctx) })
		}
		adopted := func() (sum int, most *relay.Node) {
			entries := 0
			for n := range hosts {
				q, err := n.Queue()
				if err != nil {
					t.Fatal(err)
				}
				has := len(q.List(relay.Filter{}, relay.Place{}, 2*segments))
				if sum += has; has > entries {
					entries, most = has, n
				}
			}
			return sum, most
		}
		time.Sleep(5 * time.Minute)
		mu.Lock()
		clear(calls)
		mu.Unlock()
		time.Sleep(minutes * time.Minute)
		mu.Lock()
		perMinute := map[string]int{"Segments": calls["Segments"] / minutes, "Claimed": calls["Claimed"] / minutes}
		mu.Unlock()
		t.Logf("a minute: %v", perMinute)
		if perMinute["Segments"] > 30 || perMinute["Claimed"] > 8*segments {
			t.Errorf("%d segments of a dead lane are asked for by %d nodes: %v a minute", segments, nodes, perMinute)
		}
		n, most := adopted()
		if n != segments {
			t.Fatalf("%d of %d are adopted", n, segments)
		}
		hosts[most]()
		delete(hosts, most)
		time.Sleep(time.Minute)
		if n, _ := adopted(); n != segments {
			t.Errorf("a minute after the death of who had most, %d of %d are adopted", n, segments)
		}
		for _, end := range hosts {
			end()
		}
	})
}

// accept writes a message into a segment, as if its process had died thereafter.
func accept(t *testing.T, j relay.Journal, s relay.Segment, id mailbox.MessageID) {
	t.Helper()
	sub := submission(relay.Submission{Accepted: time.Now(), Expires: time.Now().Add(24 * time.Hour)}, "barney")
	data, err := relay.Encode(sub)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Open(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	e := relay.Event{Entry: relay.EntryID{Message: id, Recipient: relay.Whole}, Kind: relay.Accepted, Writer: s.Lane, At: time.Now(), Data: data}
	if err := j.Append(t.Context(), s, e); err != nil {
		t.Fatal(err)
	}
}

// A read that failed has seen nothing, so it is not one of those that look for what a
// dying process wrote late; otherwise the segment would be closed with that in it.
func TestAReadThatFailedIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, contents, ids := relaytest.NewMemory(), mailboxtest.Memory().Contents, new(mailbox.MessageIDs)
		in := relay.Segment{Lane: ids.Next(), ID: ids.Next()}
		if err := store.Beat(t.Context(), relay.Beat{Lane: in.Lane, Seq: 1}); err != nil {
			t.Fatal(err)
		}
		accept(t, store, in, ids.Next())
		services := newPool()
		services.add("a").answer = func(relay.Mail, int) relay.Outcome { return relay.Outcome{} }
		process := store.Process("")
		n, err := relay.NewNode(relay.NodeOptions{
			Queue: relay.Options{Journal: process, Contents: lettersOf{contents}, Pool: services, IDs: ids, Notifier: new(notices)},
			Lanes: process, Name: "node",
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		running.Go(func() { n.Run(ctx) })
		time.Sleep(40 * time.Second) // it is adopted, and what is in it done
		process.Inject(func(c relaytest.Call) relaytest.Fault {
			if c.Name == "Load" {
				return relaytest.Fail
			}
			return nil
		})
		time.Sleep(3 * time.Hour)
		if left, err := store.Segments(t.Context(), in.Lane); err != nil || len(left) != 1 {
			t.Fatalf("%d segments are open, %v; want that which cannot be read", len(left), err)
		}
		process.Inject(nil)
		time.Sleep(time.Minute)
		if left, err := store.Segments(t.Context(), in.Lane); err != nil || len(left) != 0 {
			t.Errorf("%d segments are open, %v; want none", len(left), err)
		}
	})
}

// lettersOf are contents in which each message is one that services take.
type lettersOf struct{ mailbox.Contents }

func (lettersOf) Open(context.Context, mailbox.Message) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(content)), nil
}
