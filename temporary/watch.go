package temporary

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"restante/mailbox"
)

const (
	// pollInterval is how often what is watched is looked at, where other servers
	// deliver too.
	pollInterval = 2 * time.Second
	// pollsAtOnce is how many maildrops are looked at at the same time.
	pollsAtOnce = 16
	// pollTimeout is how long a look may take.
	pollTimeout = 5 * time.Second
)

// Watch tells of changes: something can be received from changed after each delivery
// to the maildrop and each removal from it, once for all since it was received from
// last. It may come without a change. Whoever lists the maildrop after Watch returned,
// and again after each signal, misses nothing. The caller stops it, once or more often.
// It fails with ErrWatchers.
func (m *Mailboxes) Watch(drop mailbox.MaildropID) (changed <-chan struct{}, stop func(), err error) {
	w, err := m.watched.add(drop)
	if err != nil {
		return nil, nil, err
	}
	return w.changed, sync.OnceFunc(func() { m.watched.remove(w) }), nil
}

// watchers know who watches what.
type watchers struct {
	limit int

	mu     sync.Mutex
	byDrop map[mailbox.MaildropID]*watchedDrop
	count  int
}

// A watchedDrop is a maildrop that somebody watches.
type watchedDrop struct {
	watchers map[*watcher]struct{}
	seen     uint64 // a digest of what it held when it was looked at last
}

type watcher struct {
	drop    mailbox.MaildropID
	changed chan struct{} // holds one
	polled  bool          // it was looked at since the watcher came
}

func newWatchers(limit int) *watchers {
	return &watchers{limit: limit, byDrop: make(map[mailbox.MaildropID]*watchedDrop)}
}

func (ws *watchers) add(drop mailbox.MaildropID) (*watcher, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.count >= ws.limit {
		return nil, ErrWatchers
	}
	d := ws.byDrop[drop]
	if d == nil {
		d = &watchedDrop{watchers: make(map[*watcher]struct{})}
		ws.byDrop[drop] = d
	}
	w := &watcher{drop: drop, changed: make(chan struct{}, 1)}
	d.watchers[w] = struct{}{}
	ws.count++
	return w, nil
}

func (ws *watchers) remove(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	d := ws.byDrop[w.drop]
	delete(d.watchers, w)
	ws.count--
	if len(d.watchers) == 0 {
		delete(ws.byDrop, w.drop)
	}
}

// signalAll tells everyone who watches, whatever it is.
func (ws *watchers) signalAll() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, d := range ws.byDrop {
		for w := range d.watchers {
			w.signal()
		}
	}
}

// signal tells everyone who watches a maildrop.
func (ws *watchers) signal(drop mailbox.MaildropID) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if d := ws.byDrop[drop]; d != nil {
		for w := range d.watchers {
			w.signal()
		}
	}
}

func (w *watcher) signal() {
	select {
	case w.changed <- struct{}{}:
	default: // it has not received the last one yet
	}
}

// saw notes what a maildrop holds, and tells everyone who may not know it: what another
// server did between a watcher's own look and the first look here cannot be told.
func (ws *watchers) saw(drop mailbox.MaildropID, digest uint64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	d := ws.byDrop[drop]
	if d == nil {
		return
	}
	for w := range d.watchers {
		if !w.polled || digest != d.seen {
			w.polled = true
			w.signal()
		}
	}
	d.seen = digest
}

func (ws *watchers) drops() []mailbox.MaildropID {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	drops := make([]mailbox.MaildropID, 0, len(ws.byDrop))
	for drop := range ws.byDrop {
		drops = append(drops, drop)
	}
	return drops
}

func (ws *watchers) len() int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.count
}

// poll looks at what is watched for what other servers did.
func (m *Mailboxes) poll(ctx context.Context) {
	seed := maphash.MakeSeed()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		var looks errgroup.Group
		looks.SetLimit(pollsAtOnce)
		for _, drop := range m.watched.drops() {
			looks.Go(func() error {
				m.look(ctx, seed, drop)
				return nil
			})
		}
		_ = looks.Wait() // they do not fail
	}
}

// look looks at one maildrop. Where it cannot be listed, the next round will tell.
func (m *Mailboxes) look(ctx context.Context, seed maphash.Seed, drop mailbox.MaildropID) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	list, err := m.shown.List(ctx, drop)
	if err != nil {
		m.options.Log.Debug("watched maildrop not listed", "maildrop", drop, "err", err)
		return
	}
	var digest maphash.Hash
	digest.SetSeed(seed)
	for _, message := range list {
		digest.Write(message.ID[:])
	}
	m.watched.saw(drop, digest.Sum64())
}
