// Package embedded keeps the mail of one machine in one directory: the seams of
// package mailbox and of package relay on Pebble, a log-structured merge tree in the
// same process.
//
// Everything written goes to one write-ahead log, in order. What a store
// acknowledges is therefore durable once the last of its writes is, and Contents
// need not wait for the disk: the Add that follows, and the sync that it shares
// with others, covers both. The same order lets content go without a sync,
// after the removal from the listing that it follows.
package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
)

// Options say where the store is and what it may use.
type Options struct {
	Dir        string                // made if it is not there
	FS         vfs.FS                // nil: the disk
	Log        *slog.Logger          // nil: none
	Registerer prometheus.Registerer // nil: no metrics
	Now        func() time.Time      // nil: time.Now

	// MinFree is how many octets of the disk are left free: with less, what
	// would add to the store is refused with mailbox.ErrFull. 0: 64 MiB.
	MinFree uint64

	// CachedMessages is how many lines of listings are kept in memory, at somewhat
	// more than 100 octets each. 0: 100,000.
	CachedMessages int

	memTableSize  uint64        // smaller in tests that want tables; 0: memTableSize
	flushPatience time.Duration // shorter in tests; 0: flushPatience
	expireEvery   time.Duration // shorter in tests; 0: expireEvery
}

const (
	defaultMinFree        = 64 << 20
	defaultCachedMessages = 100_000
)

// A Store is an open directory. It is safe for concurrent use.
type Store struct {
	db           *pebble.DB
	lock         *pebble.Lock
	guard        *guard
	room         *room
	stall        stall
	patience     patience
	gate         chan struct{} // a place for each writer between its first and last call of Pebble
	log          *slog.Logger
	now          func() time.Time
	metrics      *metrics
	registerer   prometheus.Registerer // may be nil
	newcomers    *newcomers
	contents     *contents
	maildrops    *maildrops
	addresses    *addresses
	journal      *journal
	perishables  *perishables
	shared       *shared
	suppressions *suppressions
	failed       chan error
	watcher      sync.WaitGroup // waits for the end of the guard
	sweeper      sync.WaitGroup // removes what expired
	endSweeper   context.CancelFunc

	life   sync.RWMutex // held for reading by every call of Pebble
	closed chan struct{}
}

// maxWriters bounds the writes in flight. Each holds a batch.
const maxWriters = 256

// Open opens the store in a directory, and makes it where there is none. It
// fails with ErrLocked, with ErrFormat, or with a sentence that says what is
// wrong with the directory.
func Open(o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.Default
		dir, err := filepath.Abs(o.Dir)
		if err != nil {
			return nil, fmt.Errorf("embedded: %w", err)
		}
		o.Dir = dir // a lock is known by its path
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.MinFree = cmp.Or(o.MinFree, defaultMinFree)
	o.CachedMessages = cmp.Or(o.CachedMessages, defaultCachedMessages)

	o.memTableSize = cmp.Or(o.memTableSize, memTableSize)
	o.flushPatience = cmp.Or(o.flushPatience, flushPatience)
	o.expireEvery = cmp.Or(o.expireEvery, expireEvery)

	lock, err := claim(o.FS, o.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	s, err := open(o, lock)
	if err != nil {
		return nil, fmt.Errorf("embedded: open %s: %w", o.Dir, errors.Join(err, lock.Close()))
	}
	return s, nil
}

func open(o Options, lock *pebble.Lock) (_ *Store, err error) {
	s := &Store{
		lock:       lock,
		room:       &room{fs: o.FS, dir: o.Dir, minFree: o.MinFree, now: o.Now},
		gate:       make(chan struct{}, maxWriters),
		log:        o.Log,
		now:        o.Now,
		metrics:    newMetrics(),
		registerer: o.Registerer,
		patience:   patience{limit: o.flushPatience},
		failed:     make(chan error, 1),
		closed:     make(chan struct{}),
	}
	s.guard = newGuard(o.FS, s.metrics.observeSync)
	s.db, err = pebble.Open(o.Dir, s.pebbleOptions(o))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.db.Close())
		}
	}()
	if err := s.guard.err(); err != nil {
		return nil, err
	}
	s.contents = newContents(s)
	latest, err := s.contents.latest()
	if err != nil {
		return nil, err
	}
	opened := &mailbox.MessageIDs{Now: o.Now}
	s.newcomers = newNewcomers(opened.Next(), latest)
	s.addresses = newAddresses(s)
	s.journal = &journal{s}
	s.perishables = newPerishables(s)
	s.shared = newShared(s)
	s.suppressions = &suppressions{s}
	if s.maildrops, err = newMaildrops(s, o.CachedMessages); err != nil {
		return nil, err
	}
	if o.Registerer != nil {
		if err := o.Registerer.Register(s.collector()); err != nil {
			return nil, err
		}
	}
	s.watcher.Go(s.watch)
	ctx, cancel := context.WithCancel(context.Background())
	s.endSweeper = cancel
	s.sweeper.Go(func() { s.expire(ctx, o.expireEvery) })
	return s, nil
}

// watch reports the end of writing.
func (s *Store) watch() {
	select {
	case <-s.guard.ended:
		s.log.Error("store stopped writing", "err", s.guard.cause)
		s.failed <- s.guard.cause
	case <-s.closed:
	}
}

// Contents is where messages are.
func (s *Store) Contents() mailbox.Contents { return s.contents }

// Maildrops is where messages are listed.
func (s *Store) Maildrops() mailbox.Maildrops { return s.maildrops }

// Addresses is where addresses lead.
func (s *Store) Addresses() mailbox.Addresses { return s.addresses }

// Journal is where it stands what became of outbound mail.
func (s *Store) Journal() relay.Journal { return s.journal }

// Shared is where the services that carry outbound mail are remembered.
func (s *Store) Shared() pool.Shared { return s.shared }

// Suppressions are recipients that do not exist.
func (s *Store) Suppressions() relay.Suppressions { return s.suppressions }

// Failed receives the cause when the store could not write to its log or its
// manifest. From then on every call that writes fails with
// mailbox.ErrUnavailable, nothing is acknowledged, and reading goes on as far as
// it can. Only closing the store and opening it again can help.
func (s *Store) Failed() <-chan error { return s.failed }

// Ping reports whether the store reads and writes.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.enterWrite(ctx); err != nil {
		return fmt.Errorf("embedded: ping: %w", err)
	}
	defer s.leaveWrite()
	if _, err := s.get([]byte{0}, func([]byte) error { return nil }); err != nil {
		return fmt.Errorf("embedded: ping: %w", err)
	}
	return nil
}

// Close waits for the calls that run, ends the others with
// mailbox.ErrUnavailable, and gives the directory free.
func (s *Store) Close() error {
	s.endSweeper()
	s.sweeper.Wait()
	s.life.Lock()
	defer s.life.Unlock()
	if s.isClosed() {
		return nil
	}
	close(s.closed)
	s.watcher.Wait()
	if s.registerer != nil {
		s.registerer.Unregister(s.collector())
	}
	err := s.db.Close()
	if err := errors.Join(err, s.lock.Close()); err != nil {
		return fmt.Errorf("embedded: close: %w", err)
	}
	return nil
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// enter begins a call of Pebble, leave ends it. A call does not enter twice.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	s.life.RLock()
	if s.isClosed() {
		s.life.RUnlock()
		return fmt.Errorf("%w: closed", mailbox.ErrUnavailable)
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

// enterWrite begins a write, leaveWrite ends it. It waits while Pebble is
// behind with its own work and while there are too many writers.
func (s *Store) enterWrite(ctx context.Context) error {
	if err := s.stall.wait(ctx); err != nil {
		return err
	}
	select {
	case s.gate <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: too many writers: %w", mailbox.ErrUnavailable, ctx.Err())
	}
	err := s.enter(ctx)
	if err == nil {
		if err = s.stopped(); err != nil {
			s.leave()
		}
	}
	if err != nil {
		<-s.gate
	}
	return err
}

func (s *Store) leaveWrite() {
	s.leave()
	<-s.gate
}

func (s *Store) stopped() error {
	if err := s.guard.err(); err != nil {
		return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	return nil
}

// A stall holds writers back while Pebble cannot keep up, outside all locks and
// where their contexts are obeyed.
type stall struct {
	mu   sync.Mutex
	over chan struct{} // nil while there is none
}

func (s *stall) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over == nil {
		s.over = make(chan struct{})
	}
}

func (s *stall) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil {
		close(s.over)
		s.over = nil
	}
}

func (s *stall) wait(ctx context.Context) error {
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	if over == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: writing is stalled: %w", mailbox.ErrUnavailable, ctx.Err())
	}
}
