package mailbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// An Event is something that happened to maildrops: [Delivered] or [Expunged].
type Event interface{ event() }

type (
	// Delivered says that the content of a message is committed, for these maildrops.
	// The delivery listener fills in the places.
	Delivered struct {
		Entries    []Entry
		Recipients []Recipient // whose maildrops they are, in the same order
	}

	// Expunged says that messages were removed from a maildrop, by QUIT or otherwise.
	Expunged struct {
		Maildrop MaildropID
		Messages []Message
	}
)

func (Delivered) event() {}
func (Expunged) event()  {}

// A Listener reacts to events. The same event may arrive twice.
type Listener interface {
	Handle(ctx context.Context, ev Event) error
}

// A ListenerFunc is a function that listens.
type ListenerFunc func(ctx context.Context, ev Event) error

// Handle calls f.
func (f ListenerFunc) Handle(ctx context.Context, ev Event) error { return f(ctx, ev) }

// A Projector is the delivery listener: it keeps the projection in step, and
// nothing is accepted or removed before it has.
type Projector struct{ Maildrops Maildrops }

// Handle writes what happened to the listing.
func (p Projector) Handle(ctx context.Context, ev Event) error {
	switch ev := ev.(type) {
	case Delivered:
		return p.Maildrops.Add(ctx, ev.Entries)
	case Expunged:
		return p.Maildrops.Remove(ctx, ev.Maildrop, ev.Messages...)
	}
	return nil
}

// Announcements hands events to listeners that nothing waits for: web pages,
// webhooks, metrics. Each listener has a queue and a goroutine of its own and
// sees the events in order. An event that a listener refuses is tried again; one
// that finds the queue full is dropped and counted, since a slow listener must
// neither hold up a delivery nor fill the memory.
type Announcements struct {
	log    *slog.Logger
	queues []*announcements
	cancel context.CancelFunc
	done   sync.WaitGroup
}

type announcements struct {
	name     string
	listener Listener
	events   chan Event
	dropped  func()
}

const (
	announceQueue   = 1024
	announceTries   = 5
	announceTimeout = 10 * time.Second
)

// NewAnnouncements returns announcements without listeners. Stop ends them.
func NewAnnouncements(log *slog.Logger) *Announcements {
	return &Announcements{log: log}
}

// Listen adds a listener under a name for the log. The function dropped, which
// may be nil, is called for each event that the listener will never see. Listen
// must not be called after Start.
func (a *Announcements) Listen(name string, l Listener, dropped func()) {
	if dropped == nil {
		dropped = func() {}
	}
	a.queues = append(a.queues, &announcements{name: name, listener: l, events: make(chan Event, announceQueue), dropped: dropped})
}

// Start begins to hand out events.
func (a *Announcements) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	for _, q := range a.queues {
		a.done.Go(func() { a.run(ctx, q) })
	}
}

// Stop ends the announcements and waits for the listeners. Events that still
// wait are dropped and counted. Deliveries end first: nobody takes, or counts,
// an event that is announced later.
func (a *Announcements) Stop() {
	if a.cancel != nil {
		a.cancel()
	}
	a.done.Wait()
}

// Announce queues an event for every listener. It never blocks.
func (a *Announcements) Announce(ev Event) {
	for _, q := range a.queues {
		select {
		case q.events <- ev:
		default:
			q.dropped()
		}
	}
}

func (a *Announcements) run(ctx context.Context, q *announcements) {
	for {
		select {
		case <-ctx.Done():
			for range len(q.events) {
				<-q.events
				q.dropped()
			}
			return
		case ev := <-q.events:
			if err := q.handle(ctx, ev); err != nil {
				q.dropped()
				a.log.Warn("announcement given up", "listener", q.name, "err", err)
			}
		}
	}
}

func (q *announcements) handle(ctx context.Context, ev Event) (err error) {
	pause := 100 * time.Millisecond
	for try := range announceTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return errors.Join(err, ctx.Err())
			case <-time.After(pause):
			}
			pause *= 2
		}
		call, cancel := context.WithTimeout(ctx, announceTimeout)
		err = q.listener.Handle(call, ev)
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
}
