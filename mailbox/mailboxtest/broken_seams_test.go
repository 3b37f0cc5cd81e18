package mailboxtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// Each type here is a seam of which some methods are replaced by functions.

type contents struct {
	mailbox.Contents
	put     func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error)
	open    func(ctx context.Context, m mailbox.Message) (io.ReadCloser, error)
	release func(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error
}

func (s contents) Put(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
	if s.put == nil {
		return s.Contents.Put(ctx, c, r)
	}
	return s.put(ctx, c, r)
}

func (s contents) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	if s.open == nil {
		return s.Contents.Open(ctx, m)
	}
	return s.open(ctx, m)
}

func (s contents) Release(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	if s.release == nil {
		return s.Contents.Release(ctx, drop, messages...)
	}
	return s.release(ctx, drop, messages...)
}

// reads changes what Open gives.
func reads(s *mailboxtest.Stores, change func([]byte) []byte) {
	inner := s.Contents
	s.Contents = contents{inner, nil, func(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
		r, err := inner.Open(ctx, m)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(change(b))), nil
	}, nil}
}

// puts changes what Put reads.
func puts(s *mailboxtest.Stores, change func(io.Reader) io.Reader) {
	inner := s.Contents
	s.Contents = contents{inner, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
		return inner.Put(ctx, c, change(r))
	}, nil, nil}
}

// releases replaces Release.
func releases(s *mailboxtest.Stores, release func(context.Context, mailbox.Contents, mailbox.MaildropID, []mailbox.Message) error) {
	inner := s.Contents
	s.Contents = contents{inner, nil, nil, func(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
		return release(ctx, inner, drop, messages)
	}}
}

type maildrops struct {
	mailbox.Maildrops
	add    func(ctx context.Context, entries []mailbox.Entry) error
	remove func(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error
	list   func(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error)
}

func (s maildrops) Add(ctx context.Context, entries []mailbox.Entry) error {
	if s.add == nil {
		return s.Maildrops.Add(ctx, entries)
	}
	return s.add(ctx, entries)
}

func (s maildrops) Remove(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	if s.remove == nil {
		return s.Maildrops.Remove(ctx, drop, messages...)
	}
	return s.remove(ctx, drop, messages...)
}

func (s maildrops) List(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
	if s.list == nil {
		return s.Maildrops.List(ctx, drop)
	}
	return s.list(ctx, drop)
}

// newests changes what Newest gives.
type newests struct {
	mailbox.Maildrops
	newest func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error)
}

func (s newests) Newest(ctx context.Context, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
	return s.newest(ctx, s.Maildrops, drop, before, n)
}

// looks replaces Newest.
func looks(s *mailboxtest.Stores, newest func(context.Context, mailbox.Maildrops, mailbox.MaildropID, mailbox.MessageID, int) ([]mailbox.Message, error)) {
	s.Maildrops = newests{s.Maildrops, newest}
}

// adds replaces Add.
func adds(s *mailboxtest.Stores, add func(context.Context, mailbox.Maildrops, []mailbox.Entry) error) {
	inner := s.Maildrops
	s.Maildrops = maildrops{inner, func(ctx context.Context, entries []mailbox.Entry) error {
		return add(ctx, inner, entries)
	}, nil, nil}
}

// removes replaces Remove.
func removes(s *mailboxtest.Stores, remove func(context.Context, mailbox.Maildrops, mailbox.MaildropID, []mailbox.Message) error) {
	inner := s.Maildrops
	s.Maildrops = maildrops{inner, nil, func(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
		return remove(ctx, inner, drop, messages)
	}, nil}
}

// lists changes what List gives.
func lists(s *mailboxtest.Stores, change func([]mailbox.Message) []mailbox.Message) {
	inner := s.Maildrops
	s.Maildrops = maildrops{inner, nil, nil, func(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
		list, err := inner.List(ctx, drop)
		return change(list), err
	}}
}

func has(list []mailbox.Message, m mailbox.Message) bool {
	return slices.ContainsFunc(list, func(l mailbox.Message) bool { return l.ID == m.ID })
}

type lookups struct {
	mailbox.Addresses
	lookup func(ctx context.Context, a mailbox.Address) (mailbox.Route, error)
}

func (s lookups) Lookup(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
	return s.lookup(ctx, a)
}

type routes struct {
	mailbox.Addresses
	put func(ctx context.Context, a mailbox.Address, r mailbox.Route) error
}

func (s routes) Put(ctx context.Context, a mailbox.Address, r mailbox.Route) error {
	return s.put(ctx, a, r)
}

type listings struct {
	mailbox.Addresses
	list func(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error]
}

func (s listings) List(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
	return s.list(ctx, domain)
}

// hides makes rows invisible to Lookup and List.
func hides(s *mailboxtest.Stores, hidden func(mailbox.Address, mailbox.Route) bool) {
	inner := s.Addresses
	s.Addresses = listings{lookups{inner, func(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
		r, err := inner.Lookup(ctx, a)
		if err == nil && hidden(a, r) {
			return mailbox.Route{}, mailbox.ErrNotFound
		}
		return r, err
	}}, func(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
		return func(yield func(mailbox.Row, error) bool) {
			for row, err := range inner.List(ctx, domain) {
				if err == nil && hidden(row.Address, row.Route) {
					continue
				}
				if !yield(row, err) {
					return
				}
			}
		}
	}}
}

// keyed keeps rows under another address.
func keyed(s *mailboxtest.Stores, key func(mailbox.Address) mailbox.Address) {
	inner := s.Addresses
	s.Addresses = listings{lookups{routes{inner, func(ctx context.Context, a mailbox.Address, r mailbox.Route) error {
		return inner.Put(ctx, key(a), r)
	}}, func(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
		return inner.Lookup(ctx, key(a))
	}}, func(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
		return inner.List(ctx, key(mailbox.Address{Local: "x", Domain: domain}).Domain)
	}}
}

// placed gives every listed message the place where it stands, and removes one
// message at a time.
type placed struct {
	mailbox.Maildrops
	remove func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, m mailbox.Message) error
}

func (s placed) List(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
	list, err := s.Maildrops.List(ctx, drop)
	for i := range list {
		list[i].Place.Ord = int64(i + 1)
	}
	return list, err
}

func (s placed) Remove(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	for _, m := range messages {
		if err := s.remove(ctx, s.Maildrops, drop, m); err != nil {
			return err
		}
	}
	return nil
}

// forgetful remembers a removal only until the message has been added.
type forgetful struct {
	mu     sync.Mutex
	listed map[mailbox.MaildropID]map[mailbox.MessageID]mailbox.Message
	early  map[mailbox.MaildropID]map[mailbox.MessageID]bool
}

func (s *forgetful) drop(id mailbox.MaildropID) (map[mailbox.MessageID]mailbox.Message, map[mailbox.MessageID]bool) {
	if s.listed == nil {
		s.listed = make(map[mailbox.MaildropID]map[mailbox.MessageID]mailbox.Message)
		s.early = make(map[mailbox.MaildropID]map[mailbox.MessageID]bool)
	}
	if s.listed[id] == nil {
		s.listed[id] = make(map[mailbox.MessageID]mailbox.Message)
		s.early[id] = make(map[mailbox.MessageID]bool)
	}
	return s.listed[id], s.early[id]
}

func (s *forgetful) Add(ctx context.Context, entries []mailbox.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		listed, early := s.drop(e.Maildrop)
		if !early[e.Message.ID] {
			listed[e.Message.ID] = e.Message
		}
	}
	return ctx.Err()
}

func (s *forgetful) Remove(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	listed, early := s.drop(drop)
	for _, m := range messages {
		if _, there := listed[m.ID]; !there {
			early[m.ID] = true
		}
		delete(listed, m.ID)
	}
	return ctx.Err()
}

func (s *forgetful) List(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	listed, _ := s.drop(drop)
	now := time.Now()
	list := slices.Collect(maps.Values(listed))
	list = slices.DeleteFunc(list, func(m mailbox.Message) bool { return !m.Expires.IsZero() && !now.Before(m.Expires) })
	slices.SortFunc(list, func(a, b mailbox.Message) int { return a.ID.Compare(b.ID) })
	return list, ctx.Err()
}

func (s *forgetful) Newest(ctx context.Context, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
	list, err := s.List(ctx, drop)
	return mailbox.Newest(list, before, n), err
}

// untilReleased is a reader that takes a release for the end.
type untilReleased struct {
	io.ReadCloser
	released func() bool
}

func (r *untilReleased) Read(p []byte) (int, error) {
	if r.released() {
		return 0, io.EOF
	}
	return r.ReadCloser.Read(p)
}

// sliding is what was written so far.
type sliding struct {
	mu  sync.Mutex
	all []byte
}

func (s *sliding) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, p...)
	return len(p), nil
}

func (s *sliding) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// lockedReader is a reader that several may use.
type lockedReader struct {
	mu sync.Mutex
	r  io.ReadCloser
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

func (l *lockedReader) Close() error { return nil }

// meetAnother waits a little for a call at the same time, and says whether there
// was one.
func meetAnother(meet chan struct{}) bool {
	select {
	case meet <- struct{}{}:
		return true
	case <-meet:
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}
