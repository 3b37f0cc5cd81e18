package relaytest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/relaytest"
)

// brokenEnv names the broken store that a child process runs the suites on.
const brokenEnv = "RELAYTEST_BROKEN"

// A store is what the suites run on. A broken one is made by changing one behaviour of
// the one in memory.
type store struct {
	journal  relay.Journal
	contents mailbox.Contents
	a, b     relay.Lanes
}

func memory() *store {
	m := relaytest.NewMemory()
	return &store{m, mailboxtest.Memory().Contents, m, m.Process("")}
}

func (s *store) suites(t *testing.T) {
	t.Run("Journal", func(t *testing.T) {
		relaytest.Journal(t, func(*testing.T) (relay.Journal, mailbox.Contents) { return s.journal, s.contents })
	})
	t.Run("Lanes", func(t *testing.T) {
		relaytest.Lanes(t, func(*testing.T) (a, b relay.Lanes) { return s.a, s.b })
	})
}

// A journal does one thing in another way, where a field is set.
type journal struct {
	relay.Journal
	open    func(ctx context.Context, inner relay.Journal, s relay.Segment) error
	append  func(ctx context.Context, inner relay.Journal, s relay.Segment, events []relay.Event) error
	load    func(ctx context.Context, inner relay.Journal, s relay.Segment) iter.Seq2[relay.Event, error]
	content func(ctx context.Context, inner relay.Journal, s relay.Segment, message mailbox.MessageID) ([]byte, error)
	close   func(ctx context.Context, inner relay.Journal, s relay.Segment) error
	lanes   func(ctx context.Context, inner relay.Journal, datacenter string) ([]mailbox.MessageID, error)
	list    func(ctx context.Context, inner relay.Journal, lane mailbox.MessageID) ([]relay.Segment, error)
}

func (j journal) Open(ctx context.Context, s relay.Segment) error {
	if j.open == nil {
		return j.Journal.Open(ctx, s)
	}
	return j.open(ctx, j.Journal, s)
}

func (j journal) Append(ctx context.Context, s relay.Segment, events ...relay.Event) error {
	if j.append == nil {
		return j.Journal.Append(ctx, s, events...)
	}
	return j.append(ctx, j.Journal, s, events)
}

func (j journal) Load(ctx context.Context, s relay.Segment) iter.Seq2[relay.Event, error] {
	if j.load == nil {
		return j.Journal.Load(ctx, s)
	}
	return j.load(ctx, j.Journal, s)
}

func (j journal) Content(ctx context.Context, s relay.Segment, message mailbox.MessageID) ([]byte, error) {
	if j.content == nil {
		return j.Journal.Content(ctx, s, message)
	}
	return j.content(ctx, j.Journal, s, message)
}

func (j journal) Close(ctx context.Context, s relay.Segment) error {
	if j.close == nil {
		return j.Journal.Close(ctx, s)
	}
	return j.close(ctx, j.Journal, s)
}

func (j journal) Lanes(ctx context.Context, datacenter string) ([]mailbox.MessageID, error) {
	if j.lanes == nil {
		return j.Journal.Lanes(ctx, datacenter)
	}
	return j.lanes(ctx, j.Journal, datacenter)
}

func (j journal) Segments(ctx context.Context, lane mailbox.MessageID) ([]relay.Segment, error) {
	if j.list == nil {
		return j.Journal.Segments(ctx, lane)
	}
	return j.list(ctx, j.Journal, lane)
}

// changed is a journal whose events are changed on their way in.
func changed(change func(*relay.Event)) func(*store) {
	return func(s *store) {
		s.journal = journal{Journal: s.journal, append: func(ctx context.Context, inner relay.Journal, seg relay.Segment, events []relay.Event) error {
			if err := relay.CheckBatch(events); err != nil {
				return err
			}
			events = slices.Clone(events)
			for i := range events {
				change(&events[i])
			}
			return inner.Append(ctx, seg, events...)
		}}
	}
}

// loads is a journal whose events are changed as a whole on their way out.
func loads(change func([]relay.Event) []relay.Event) func(*store) {
	return func(s *store) {
		s.journal = journal{Journal: s.journal, load: func(ctx context.Context, inner relay.Journal, seg relay.Segment) iter.Seq2[relay.Event, error] {
			return func(yield func(relay.Event, error) bool) {
				var events []relay.Event
				for e, err := range inner.Load(ctx, seg) {
					if err != nil {
						yield(e, err)
						return
					}
					events = append(events, e)
				}
				for _, e := range change(events) {
					if !yield(e, nil) {
						return
					}
				}
			}
		}}
	}
}

func appends(do func(ctx context.Context, inner relay.Journal, s relay.Segment, events []relay.Event) error) func(*store) {
	return func(s *store) { s.journal = journal{Journal: s.journal, append: do} }
}

// A lanes does one thing in another way, where a field is set.
type lanes struct {
	relay.Lanes
	beat    func(ctx context.Context, inner relay.Lanes, b relay.Beat) error
	beats   func(beats []relay.Beat) []relay.Beat
	segment func(relay.Segment) relay.Segment // that is claimed instead
	claimed func(relay.Claim) relay.Claim
	claim   func(ctx context.Context, inner relay.Lanes, s relay.Segment, lane mailbox.MessageID, over relay.Claim) error
}

func (l lanes) Beat(ctx context.Context, b relay.Beat) error {
	if l.beat == nil {
		return l.Lanes.Beat(ctx, b)
	}
	return l.beat(ctx, l.Lanes, b)
}

func (l lanes) Beats(ctx context.Context) ([]relay.Beat, error) {
	beats, err := l.Lanes.Beats(ctx)
	if l.beats != nil {
		beats = l.beats(beats)
	}
	return beats, err
}

func (l lanes) Claimed(ctx context.Context, s relay.Segment) (relay.Claim, error) {
	if l.segment != nil {
		s = l.segment(s)
	}
	c, err := l.Lanes.Claimed(ctx, s)
	if l.claimed != nil {
		c = l.claimed(c)
	}
	return c, err
}

func (l lanes) Claim(ctx context.Context, s relay.Segment, lane mailbox.MessageID, over relay.Claim) error {
	if l.segment != nil {
		s = l.segment(s)
	}
	if l.claim == nil {
		return l.Lanes.Claim(ctx, s, lane, over)
	}
	return l.claim(ctx, l.Lanes, s, lane, over)
}

func both(l lanes) func(*store) {
	return func(s *store) {
		a, b := l, l
		a.Lanes, b.Lanes = s.a, s.b
		s.a, s.b = a, b
	}
}

type contents struct {
	mailbox.Contents
	put func(ctx context.Context, inner mailbox.Contents, c mailbox.Content, r io.Reader) (int64, error)
}

func (c contents) Put(ctx context.Context, content mailbox.Content, r io.Reader) (int64, error) {
	return c.put(ctx, c.Contents, content, r)
}

// brokenStores each break a promise of relay.Journal or relay.Lanes.
var brokenStores = map[string]struct {
	change   func(*store)
	caughtBy []string // the cases that are there to catch it
}{
	"forgets the writer":  {changed(func(e *relay.Event) { e.Writer = mailbox.MessageID{} }), []string{"Journal/every field of an event comes back", "Journal/events that differ in one part of their name are told apart"}},
	"keeps whole seconds": {changed(func(e *relay.Event) { e.At = e.At.Truncate(time.Second) }), []string{"Journal/every field of an event comes back"}},
	"has no negative recipient": {changed(func(e *relay.Event) { e.Entry.Recipient = max(0, e.Entry.Recipient) }),
		[]string{"Journal/every field of an event comes back/the message itself", "Journal/events that differ in one part of their name are told apart"}},
	"keeps 16 bits of the recipient": {changed(func(e *relay.Event) { e.Entry.Recipient = int(int16(e.Entry.Recipient)) }),
		[]string{"Journal/every field of an event comes back/the last recipient"}},
	"keeps 8 bits of the attempt": {changed(func(e *relay.Event) { e.Seq &= 0xff }),
		[]string{"Journal/every field of an event comes back/the last attempt", "Journal/events that differ in one part of their name are told apart"}},
	"takes data for text":             {changed(func(e *relay.Event) { e.Data = bytes.ToValidUTF8(e.Data, nil) }), []string{"Journal/data of any octets and size comes back"}},
	"cuts large data":                 {changed(func(e *relay.Event) { e.Data = e.Data[:min(len(e.Data), 64<<10)] }), []string{"Journal/data of any octets and size comes back", "Journal/a batch may be as large as the limits say", "Journal/large events come back one after the other"}},
	"cuts contents":                   {changed(func(e *relay.Event) { e.Content = e.Content[:min(len(e.Content), 4<<10)] }), []string{"Journal/a content comes back as it was/16384 octets", "Journal/contents of one call all come back"}},
	"has no content without an octet": {changed(func(e *relay.Event) { e.Content = append([]byte(nil), e.Content...) }), []string{"Journal/a content comes back as it was/0 octets"}},
	"keeps contents to the close":     {changed(func(e *relay.Event) { e.Last = false }), []string{"Journal/the last event forgets a content for good", "Journal/contents of segments and messages do not mix"}},
	"forgets contents at the first end": {changed(func(e *relay.Event) { e.Last = e.Kind.Terminal() }),
		[]string{"Journal/the last event forgets a content for good"}},
	"forgets contents at the first event": {changed(func(e *relay.Event) { e.Last = e.Kind != relay.Accepted }),
		[]string{"Journal/a content comes back as it was", "Journal/the last event forgets a content for good"}},
	"loads contents": {loads(func(events []relay.Event) []relay.Event {
		for i := range events {
			events[i].Content = []byte("content")
		}
		return events
	}), []string{"Journal/a load brings no content"}},
	"takes a content that is not there for an empty one": {func(s *store) {
		s.journal = journal{Journal: s.journal, content: func(ctx context.Context, inner relay.Journal, seg relay.Segment, message mailbox.MessageID) ([]byte, error) {
			content, err := inner.Content(ctx, seg, message)
			if errors.Is(err, mailbox.ErrNotFound) {
				return nil, nil
			}
			return content, err
		}}
	}, []string{"Journal/a content that is not there is not found", "Journal/the last event forgets a content for good"}},
	"knows a content by its message, and for ever": {func(s *store) {
		var mu sync.Mutex
		known := make(map[mailbox.MessageID][]byte)
		s.journal = journal{Journal: s.journal, append: func(ctx context.Context, inner relay.Journal, seg relay.Segment, events []relay.Event) error {
			if err := errors.Join(relay.CheckBatch(events), ctx.Err()); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, e := range events {
				if e.Content != nil {
					known[e.Entry.Message] = e.Content
				}
			}
			return inner.Append(ctx, seg, events...)
		}, content: func(ctx context.Context, inner relay.Journal, seg relay.Segment, message mailbox.MessageID) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			if content, ok := known[message]; ok {
				return content, ctx.Err()
			}
			return inner.Content(ctx, seg, message)
		}}
	}, []string{"Journal/contents of segments and messages do not mix", "Journal/the last event forgets a content for good",
		"Journal/a content may be changed where it came from and where it went"}},
	"says each event twice": {loads(func(events []relay.Event) []relay.Event { return append(events, events...) }),
		[]string{"Journal/an event appended again changes nothing", "Journal/an event appended by several at the same time is there once"}},
	"loads the first page": {loads(func(events []relay.Event) []relay.Event { return events[:min(len(events), 1000)] }),
		[]string{"Journal/thousands of events come back"}},
	"loads the first megabyte": {loads(func(events []relay.Event) []relay.Event {
		octets := 0
		return slices.DeleteFunc(events, func(e relay.Event) bool { octets += len(e.Data); return octets > 1<<20 })
	}), []string{"Journal/large events come back one after the other"}},
	"writes the first of several": {appends(func(ctx context.Context, inner relay.Journal, s relay.Segment, events []relay.Event) error {
		if err := relay.CheckBatch(events); err != nil {
			return err
		}
		return inner.Append(ctx, s, events[:min(len(events), 1)]...)
	}), []string{"Journal/events of one call all come back", "Journal/a batch may be as large as the limits say"}},
	"writes what is beyond the limits": {appends(func(ctx context.Context, inner relay.Journal, s relay.Segment, events []relay.Event) error {
		for batch := range slices.Chunk(events, relay.MaxBatch) {
			if err := inner.Append(ctx, s, batch...); err != nil {
				return err
			}
		}
		return nil
	}), []string{"Journal/a batch beyond the limits is refused as a whole"}},
	"refuses a full batch": {appends(func(ctx context.Context, inner relay.Journal, s relay.Segment, events []relay.Event) error {
		if len(events) >= relay.MaxBatch {
			return relay.ErrBatch
		}
		return inner.Append(ctx, s, events...)
	}), []string{"Journal/a batch may be as large as the limits say"}},
	"writes one event after the other": {appends(func(ctx context.Context, inner relay.Journal, s relay.Segment, events []relay.Event) error {
		if err := relay.CheckBatch(events); err != nil {
			return err
		}
		for i, e := range events {
			if i == 1 && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := inner.Append(context.WithoutCancel(ctx), s, e); err != nil {
				return err
			}
		}
		return nil
	}), []string{"Journal/an ended context fails each call"}},
	"writes behind": {func(s *store) {
		var mu sync.Mutex
		var behind, next []func() // writes that the next two loads, or the next one, do not see
		s.journal = journal{Journal: s.journal, append: func(ctx context.Context, inner relay.Journal, seg relay.Segment, events []relay.Event) error {
			if err := errors.Join(relay.CheckBatch(events), ctx.Err()); err != nil {
				return err
			}
			events = slices.Clone(events)
			mu.Lock()
			defer mu.Unlock()
			behind = append(behind, func() { _ = inner.Append(context.WithoutCancel(ctx), seg, events...) })
			return nil
		}, load: func(ctx context.Context, inner relay.Journal, seg relay.Segment) iter.Seq2[relay.Event, error] {
			return func(yield func(relay.Event, error) bool) {
				mu.Lock()
				writes := next
				behind, next = nil, behind
				mu.Unlock()
				inner.Load(ctx, seg)(yield)
				for _, write := range writes {
					write()
				}
			}
		}}
	}, []string{"Journal/events of one call all come back", "Journal/a load beside writers has what was acknowledged"}},
	"loses appends at the same time": {func(s *store) {
		var writing sync.Mutex
		s.journal = journal{Journal: s.journal, append: func(ctx context.Context, inner relay.Journal, seg relay.Segment, events []relay.Event) error {
			if !writing.TryLock() {
				return nil
			}
			defer writing.Unlock()
			time.Sleep(time.Millisecond)
			return inner.Append(ctx, seg, events...)
		}}
	}, []string{"Journal/writers at the same time lose nothing"}},
	"knows a segment by its id": {func(s *store) {
		lane := func(seg relay.Segment) relay.Segment { return relay.Segment{Lane: mailbox.MessageID{1}, ID: seg.ID} }
		s.journal = journal{Journal: s.journal, open: func(ctx context.Context, inner relay.Journal, seg relay.Segment) error {
			return errors.Join(inner.Open(ctx, seg), inner.Open(ctx, lane(seg)))
		}, append: func(ctx context.Context, inner relay.Journal, seg relay.Segment, events []relay.Event) error {
			return inner.Append(ctx, lane(seg), events...)
		}, load: func(ctx context.Context, inner relay.Journal, seg relay.Segment) iter.Seq2[relay.Event, error] {
			return inner.Load(ctx, lane(seg))
		}, close: func(ctx context.Context, inner relay.Journal, seg relay.Segment) error {
			return errors.Join(inner.Close(ctx, seg), inner.Close(ctx, lane(seg)))
		}}
	}, []string{"Journal/segments do not mix", "Journal/closing takes nothing of other segments"}},
	"shares its memory": {func(s *store) {
		var mu sync.Mutex
		shared := make(map[relay.Segment][]relay.Event)
		s.journal = journal{Journal: s.journal, append: func(ctx context.Context, inner relay.Journal, seg relay.Segment, events []relay.Event) error {
			mu.Lock()
			defer mu.Unlock()
			shared[seg] = append(shared[seg], events...)
			return inner.Append(ctx, seg, events...)
		}, load: func(ctx context.Context, _ relay.Journal, seg relay.Segment) iter.Seq2[relay.Event, error] {
			mu.Lock()
			defer mu.Unlock()
			events := shared[seg]
			return func(yield func(relay.Event, error) bool) {
				for _, e := range events {
					if !yield(e, ctx.Err()) {
						return
					}
				}
			}
		}}
	}, []string{"Journal/what was given to an append may be changed", "Journal/what was handed out may be kept and changed"}},
	"goes on after it was left": {func(s *store) {
		s.journal = journal{Journal: s.journal, load: func(ctx context.Context, inner relay.Journal, seg relay.Segment) iter.Seq2[relay.Event, error] {
			return func(yield func(relay.Event, error) bool) {
				for e, err := range inner.Load(ctx, seg) {
					yield(e, err)
				}
			}
		}}
	}, []string{"Journal/a load may be left early"}},
	"does not list what is empty": {func(s *store) {
		s.journal = journal{Journal: s.journal, list: func(ctx context.Context, inner relay.Journal, lane mailbox.MessageID) ([]relay.Segment, error) {
			all, err := inner.Segments(ctx, lane)
			return slices.DeleteFunc(all, func(seg relay.Segment) bool {
				for range inner.Load(ctx, seg) {
					return false
				}
				return true
			}), err
		}}
	}, []string{"Journal/an open segment is listed under its lane"}},
	"opens anew": {func(s *store) {
		s.journal = journal{Journal: s.journal, open: func(ctx context.Context, inner relay.Journal, seg relay.Segment) error {
			return errors.Join(inner.Close(ctx, seg), inner.Open(ctx, seg))
		}}
	}, []string{"Journal/opening again is harmless"}},
	"has the same lanes everywhere": {func(s *store) {
		s.journal = journal{Journal: s.journal, lanes: func(ctx context.Context, inner relay.Journal, _ string) ([]mailbox.MessageID, error) {
			return inner.Lanes(ctx, "")
		}}
	}, []string{"Journal/a lane with a segment is listed in its data centre"}},
	"lists no lanes": {func(s *store) {
		s.journal = journal{Journal: s.journal, lanes: func(ctx context.Context, _ relay.Journal, _ string) ([]mailbox.MessageID, error) {
			return nil, ctx.Err()
		}}
	}, []string{"Journal/a lane with a segment is listed in its data centre"}},
	"keeps what is closed": {func(s *store) {
		s.journal = journal{Journal: s.journal, close: func(ctx context.Context, _ relay.Journal, _ relay.Segment) error { return ctx.Err() }}
	}, []string{"Journal/a closed segment is forgotten", "Journal/closing again is harmless", "Journal/a close during a load ends it in order"}},
	"fails to close what is closed": {func(s *store) {
		s.journal = journal{Journal: s.journal, close: func(ctx context.Context, inner relay.Journal, seg relay.Segment) error {
			if open, err := inner.Segments(ctx, seg.Lane); err != nil || !slices.Contains(open, seg) {
				return errors.Join(err, mailbox.ErrNotFound)
			}
			return inner.Close(ctx, seg)
		}}
	}, []string{"Journal/closing again is harmless"}},
	"opens what is appended to": {appends(func(ctx context.Context, inner relay.Journal, s relay.Segment, events []relay.Event) error {
		return errors.Join(relay.CheckBatch(events), inner.Open(ctx, s), inner.Append(ctx, s, events...))
	}), []string{"Journal/an append after the close lists nothing"}},
	"loses content": {func(s *store) {
		s.contents = contents{s.contents, func(_ context.Context, _ mailbox.Contents, _ mailbox.Content, r io.Reader) (int64, error) {
			return io.Copy(io.Discard, r)
		}}
	}, []string{"Journal/content put before is there when an append returns"}},
	"forgets its context": {func(s *store) {
		s.journal = journal{Journal: s.journal, open: func(ctx context.Context, inner relay.Journal, seg relay.Segment) error {
			return inner.Open(context.WithoutCancel(ctx), seg)
		}}
		s.a = lanes{Lanes: s.a, beat: func(ctx context.Context, inner relay.Lanes, b relay.Beat) error {
			return inner.Beat(context.WithoutCancel(ctx), b)
		}}
	}, []string{"Journal/an ended context fails each call", "Lanes/an ended context fails each call"}},

	"hears itself alone": {func(s *store) { s.b = relaytest.NewMemory() }, []string{"Lanes/a beat is heard by both", "Lanes/a claim is read by both"}},
	"hears the first beat": {func(s *store) {
		var heard sync.Map
		both(lanes{beat: func(ctx context.Context, inner relay.Lanes, b relay.Beat) error {
			if _, again := heard.LoadOrStore(b.Lane, true); again {
				return nil
			}
			return inner.Beat(ctx, b)
		}})(s)
	}, []string{"Lanes/the last beat of a lane is heard", "Lanes/many lanes beat at the same time"}},
	"hears what came last": {func(s *store) {
		var last sync.Map
		both(lanes{beat: func(ctx context.Context, inner relay.Lanes, b relay.Beat) error {
			b.Data = bytes.Clone(b.Data)
			last.Store(b.Lane, b)
			return inner.Beat(ctx, b)
		}, beats: func(beats []relay.Beat) []relay.Beat {
			for i, b := range beats {
				said, _ := last.Load(b.Lane)
				beats[i] = said.(relay.Beat)
				beats[i].Data = bytes.Clone(beats[i].Data)
			}
			return beats
		}})(s)
	}, []string{"Lanes/a beat that comes late changes nothing"}},
	"hears of no order": {both(lanes{beats: func(beats []relay.Beat) []relay.Beat {
		return slices.DeleteFunc(beats, func(b relay.Beat) bool { return b.Seq == 0 })
	}}), []string{"Lanes/every field of a beat comes back/no count", "Lanes/an order to adopt gives way to a beat"}},
	"hears ten lanes": {both(lanes{beats: func(beats []relay.Beat) []relay.Beat { return beats[:min(10, len(beats))] }}), []string{"Lanes/many lanes beat at the same time"}},
	"forgets what a beat says": {both(lanes{beat: func(ctx context.Context, inner relay.Lanes, b relay.Beat) error {
		b.Data = nil
		return inner.Beat(ctx, b)
	}}), []string{"Lanes/every field of a beat comes back", "Lanes/the last beat of a lane is heard"}},
	"keeps 32 bits of the count": {both(lanes{beat: func(ctx context.Context, inner relay.Lanes, b relay.Beat) error {
		b.Seq &= 1<<32 - 1
		return inner.Beat(ctx, b)
	}}), []string{"Lanes/every field of a beat comes back/a large count"}},
	"shares what a beat says": {func(s *store) {
		var said sync.Map
		both(lanes{beat: func(ctx context.Context, inner relay.Lanes, b relay.Beat) error {
			said.Store(b.Lane, b.Data)
			return inner.Beat(ctx, b)
		}, beats: func(beats []relay.Beat) []relay.Beat {
			for i, b := range beats {
				data, _ := said.Load(b.Lane)
				beats[i].Data = data.([]byte)
			}
			return beats
		}})(s)
	}, []string{"Lanes/what a beat says is not shared with its caller"}},
	"has a claim on what nobody claimed": {both(lanes{claimed: func(c relay.Claim) relay.Claim {
		c.Version = max(c.Version, 1)
		return c
	}}), []string{"Lanes/a segment that nobody claimed has the zero claim"}},
	"claims by its clock": {both(lanes{claim: func(ctx context.Context, inner relay.Lanes, s relay.Segment, lane mailbox.MessageID, _ relay.Claim) error {
		return inner.Claim(ctx, s, lane, relay.Claim{})
	}}), []string{"Lanes/a claim over one from the future stays"}},
	"claims over whatever stands": {both(lanes{claim: func(ctx context.Context, inner relay.Lanes, s relay.Segment, lane mailbox.MessageID, over relay.Claim) error {
		stands, err := inner.Claimed(ctx, s)
		over.Version = max(over.Version, stands.Version)
		return errors.Join(err, inner.Claim(ctx, s, lane, over))
	}}), []string{"Lanes/a claim over one that was not read does not go before it"}},
	"claims what was not claimed before": {both(lanes{claim: func(ctx context.Context, inner relay.Lanes, s relay.Segment, lane mailbox.MessageID, over relay.Claim) error {
		if stands, err := inner.Claimed(ctx, s); err != nil || stands.Lane != (mailbox.MessageID{}) {
			return err
		}
		return inner.Claim(ctx, s, lane, over)
	}}), []string{"Lanes/a claim over one that was read stays", "Lanes/a lane may claim again"}},
	"claims whole lanes":          {both(lanes{segment: func(s relay.Segment) relay.Segment { return relay.Segment{Lane: s.Lane} }}), []string{"Lanes/segments are claimed one by one"}},
	"claims segments by their id": {both(lanes{segment: func(s relay.Segment) relay.Segment { return relay.Segment{ID: s.ID} }}), []string{"Lanes/segments are claimed one by one"}},
	"claims at the same time each for himself": {func(s *store) {
		var mu sync.Mutex
		own := make(map[relay.Lanes]relay.Claim)
		mine := func(inner relay.Lanes) lanes {
			return lanes{Lanes: inner, claim: func(ctx context.Context, inner relay.Lanes, seg relay.Segment, lane mailbox.MessageID, over relay.Claim) error {
				mu.Lock()
				own[inner] = relay.Claim{Lane: lane, Version: time.Now().UnixMicro()}
				mu.Unlock()
				return inner.Claim(ctx, seg, lane, over)
			}, claimed: func(c relay.Claim) relay.Claim {
				mu.Lock()
				defer mu.Unlock()
				if m, ok := own[inner]; ok && c != (relay.Claim{}) {
					return m
				}
				return c
			}}
		}
		s.a, s.b = mine(s.a), mine(s.b)
	}, []string{"Lanes/of claims at the same time one stays for both"}},
}

// A suite that cannot fail proves nothing. Each broken store breaks one promise; the
// cases that are there to catch it run on it in a process of their own, and each of them
// must fail.
func TestTheSuitesCatchABrokenStore(t *testing.T) {
	if name := os.Getenv(brokenEnv); name != "" {
		s := memory()
		brokenStores[name].change(s)
		s.suites(t)
		return
	}
	for name, broken := range brokenStores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheSuitesCatchABrokenStore$", "-test.timeout=2m")
			cmd.Env = append(os.Environ(), brokenEnv+"="+name)
			output, err := cmd.CombinedOutput()
			if err == nil {
				t.Error("every case passes")
			}
			for _, caughtBy := range broken.caughtBy {
				if !strings.Contains(string(output), "--- FAIL: TestTheSuitesCatchABrokenStore/"+strings.ReplaceAll(caughtBy, " ", "_")+" (") {
					t.Errorf("not caught by %q:\n%s", caughtBy, output)
				}
			}
		})
	}
}
