package mailboxtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
)

// Memory is the reference implementation of the seams, as plain as it can be:
// it keeps every promise except durability, passes every suite, and forgets
// nothing it has to remember, so it grows for as long as it lives. It is for
// tests that need a store and not a disk. It reads the time from package time,
// so that in a synctest bubble messages expire in virtual time.
func Memory() Stores {
	return Stores{
		Contents:  &memoryContents{contents: make(map[mailbox.MessageID]*memoryContent)},
		Maildrops: &memoryMaildrops{drops: make(map[mailbox.MaildropID]*memoryMaildrop)},
		Addresses: &memoryAddresses{routes: make(map[mailbox.Address]mailbox.Route)},
	}
}

type memoryContents struct {
	mu       sync.Mutex
	contents map[mailbox.MessageID]*memoryContent
}

type memoryContent struct {
	octets  []byte
	needed  map[mailbox.MaildropID]bool // by those that have not released it
	removed bool                        // nobody needs it; only a Put that is Repeatable brings it back
}

func (s *memoryContents) Put(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
	octets, err := io.ReadAll(readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}))
	if err != nil {
		return 0, fmt.Errorf("memory: read content of %s: %w", c.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.contents[c.ID]; was == nil || c.Repeatable {
		needed := make(map[mailbox.MaildropID]bool, len(c.Maildrops))
		if was != nil {
			maps.Copy(needed, was.needed) // they may have listed it
		}
		for _, drop := range c.Maildrops {
			needed[drop] = true
		}
		s.contents[c.ID] = &memoryContent{octets: octets, needed: needed}
	}
	return int64(len(octets)), nil
}

func (s *memoryContents) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: open %s: %w", m.ID, err)
	}
	if r := m.OpenInline(); r != nil {
		return r, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contents[m.ID]
	if c == nil || c.removed {
		return nil, fmt.Errorf("memory: open %s: %w", m.ID, mailbox.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(c.octets)), nil
}

func (s *memoryContents) Release(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: release %d contents: %w", len(messages), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		c := s.contents[m.ID]
		if c == nil || !c.needed[drop] {
			continue
		}
		delete(c.needed, drop)
		if len(c.needed) == 0 {
			c.octets, c.removed = nil, true
		}
	}
	return nil
}

type memoryMaildrops struct {
	mu    sync.Mutex
	drops map[mailbox.MaildropID]*memoryMaildrop
}

type memoryMaildrop struct {
	listed  map[mailbox.MessageID]mailbox.Message
	removed map[mailbox.MessageID]bool // for ever: an Add may come late
}

// drop is the maildrop, made on first use. The caller holds the lock.
func (s *memoryMaildrops) drop(id mailbox.MaildropID) *memoryMaildrop {
	d := s.drops[id]
	if d == nil {
		d = &memoryMaildrop{
			listed:  make(map[mailbox.MessageID]mailbox.Message),
			removed: make(map[mailbox.MessageID]bool),
		}
		s.drops[id] = d
	}
	return d
}

func (s *memoryMaildrops) Add(ctx context.Context, entries []mailbox.Entry) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: add %d entries: %w", len(entries), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		if d := s.drop(e.Maildrop); !d.removed[e.Message.ID] {
			d.listed[e.Message.ID] = e.Message
		}
	}
	return nil
}

func (s *memoryMaildrops) Remove(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: remove %d messages: %w", len(messages), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.drop(drop)
	for _, m := range messages {
		delete(d.listed, m.ID)
		d.removed[m.ID] = true
	}
	return nil
}

func (s *memoryMaildrops) List(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: list maildrop %s: %w", drop, err)
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []mailbox.Message
	for _, m := range s.drop(drop).listed {
		if m.Expires.IsZero() || now.Before(m.Expires) {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b mailbox.Message) int { return a.ID.Compare(b.ID) })
	return list, nil
}

func (s *memoryMaildrops) Newest(ctx context.Context, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
	list, err := s.List(ctx, drop)
	return mailbox.Newest(list, before, n), err
}

type memoryAddresses struct {
	mu     sync.Mutex
	routes map[mailbox.Address]mailbox.Route
}

func (s *memoryAddresses) Lookup(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
	if err := ctx.Err(); err != nil {
		return mailbox.Route{}, fmt.Errorf("memory: look up %s: %w", a, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.routes[a]
	if !ok {
		return mailbox.Route{}, fmt.Errorf("memory: look up %s: %w", a, mailbox.ErrNotFound)
	}
	return cloneRoute(r), nil
}

func (s *memoryAddresses) Put(ctx context.Context, a mailbox.Address, r mailbox.Route) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: put %s: %w", a, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes[a] = cloneRoute(r)
	return nil
}

func (s *memoryAddresses) List(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
	return func(yield func(mailbox.Row, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(mailbox.Row{}, fmt.Errorf("memory: list domain %s: %w", domain, err))
			return
		}
		for _, row := range s.rows(domain) {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// rows is a snapshot, so that whoever goes through it may call the store.
func (s *memoryAddresses) rows(domain string) []mailbox.Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []mailbox.Row
	for a, r := range s.routes {
		if a.Domain == domain {
			rows = append(rows, mailbox.Row{Address: a, Route: cloneRoute(r)})
		}
	}
	return rows
}

func cloneRoute(r mailbox.Route) mailbox.Route {
	r.Targets = slices.Clone(r.Targets)
	return r
}

// A readerFunc is a function that reads.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
