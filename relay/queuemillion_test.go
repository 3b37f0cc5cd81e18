package relay_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// mostPerMillion is what a million deferred entries may take of the heap, each of a
// message of its own.
const mostPerMillion = 400 << 20

func TestDeferredEntriesTakeLittleMemory(t *testing.T) {
	const n = 20_000
	if took := deferredHeap(t, n); took > mostPerMillion/1_000_000*n {
		t.Errorf("%d deferred entries take %d octets each", n, took/n)
	}
}

func BenchmarkAMillionDeferred(b *testing.B) {
	for b.Loop() {
		const n = 1_000_000
		took := deferredHeap(b, n)
		b.ReportMetric(float64(took)/(1<<20), "MiB")
		b.ReportMetric(float64(took)/n, "B/entry")
	}
}

// deferredHeap is what so many deferred entries take of the heap, in octets.
func deferredHeap(t testing.TB, n int) int {
	before := heap()
	q, end := deferred(t, n)
	defer end()
	took := heap() - before
	counts, _ := q.Count()
	if got := counts[relay.Normal][relay.QueueDeferred]; got != n {
		t.Fatalf("%d are deferred, want %d", got, n)
	}
	runtime.KeepAlive(q)
	return took
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// deferred is a queue with so many messages, to a recipient each, that were tried once.
func deferred(t testing.TB, n int) (q *relay.Queue, end func()) {
	policies := relay.DefaultPolicies()
	policies[relay.Normal].Steps = []time.Duration{time.Hour} // none is due again before all were tried
	q, err := relay.New(relay.Options{
		Journal: noJournal{}, Pool: new(refusingPool), IDs: new(mailbox.MessageIDs),
		Notifier: new(notices), Policies: &policies,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		q.Run(ctx)
	}()
	end = func() { cancel(); <-done }
	letter := make([]byte, 4096)
	for i := range n {
		account := mailbox.Address{Local: fmt.Sprintf("user%d", i%1000), Domain: "department.example.org"}
		s := relay.Submission{
			Account: account, From: account, EightBit: true, HeaderID: fmt.Sprintf("%d.somebody@mail.department.example.org", i),
			Recipients: []mailbox.Address{{Local: fmt.Sprintf("firstname.lastname%d", i), Domain: fmt.Sprintf("domain%d.example.net", i%5000)}},
		}
		for {
			if _, err = q.Submit(ctx, s, bytes.NewReader(letter)); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond) // it has only just begun to run
		}
	}
	for deadline := time.Now().Add(8 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		counts, _ := q.Count()
		if counts[relay.Normal][relay.QueueDeferred] == n {
			return q, end
		}
		if time.Now().After(deadline) {
			end()
			t.Fatalf("not all are deferred: %v", counts)
		}
	}
}

// noJournal takes all and keeps nothing. Every content is empty.
type noJournal struct{ relay.Journal }

func (noJournal) Open(context.Context, relay.Segment) error                   { return nil }
func (noJournal) Append(context.Context, relay.Segment, ...relay.Event) error { return nil }
func (noJournal) Close(context.Context, relay.Segment) error                  { return nil }

func (noJournal) Content(context.Context, relay.Segment, mailbox.MessageID) ([]byte, error) {
	return nil, nil
}

// refusingPool has one service, which has time for nobody.
type refusingPool struct{}

func (*refusingPool) Changed() <-chan struct{} { return nil }

func (p *refusingPool) Pick(w relay.Want) (relay.Picked, error) {
	if len(w.Tried) > 0 {
		return nil, relay.ErrTried
	}
	return p, nil
}

func (*refusingPool) Name() string { return "service" }

func (*refusingPool) Release() {}

func (*refusingPool) Send(_ context.Context, m relay.Mail) []relay.Outcome {
	return []relay.Outcome{{Result: relay.Temporary, Code: 451, Enhanced: "4.3.0", Text: "come back later, " + m.Message.String()[:8]}}
}
