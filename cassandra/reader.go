package cassandra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/gocql/gocql"
	"golang.org/x/sync/semaphore"

	"restante/mailbox"
)

const (
	// maxAhead is how many parts a reader asks for before they are read.
	maxAhead = 4
	// aheadRoom is for the parts that all readers have asked for ahead, in octets.
	aheadRoom = 16 << 20
)

// contentLevels are who is asked for a content, one after the other. It does not
// change, so any one replica can answer, if it has it already; that it is nowhere
// only all data centres together can say. What was put again with other octets has another
// size, by which it is told from what one replica still has.
var contentLevels = []Consistency{localOne, LocalQuorum, EachQuorum}

// togetherLevels are who is asked for a content that was written together with its line, or
// with an event. What was not acknowledged may have reached one replica only, and a reader
// who found the line or event there has brought that, and no content, to others.
var togetherLevels = []Consistency{localOne, LocalQuorum, everyReplica}

// Open asks for the commit record and the first part at once, which for most
// contents is all there is. The context holds for the reading too; deadlines of the
// reader's own are for one part each, since its client may be slow.
func (c *contents) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	if r := m.OpenInline(); r != nil {
		return r, nil
	}
	r, err := c.open(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("cassandra: open %s: %w", m.ID, err)
	}
	return r, nil
}

func (c *contents) open(ctx context.Context, m mailbox.Message) (*reader, error) {
	if !mayExist(m.ID) {
		return nil, mailbox.ErrNotFound
	}
	if m.Place.HasContent() {
		return c.openListed(ctx, m)
	}
	tables := []*contentTable{permanentContents, temporaryContents}
	if !m.Expires.IsZero() {
		slices.Reverse(tables)
	}
	var e extent
	var first []byte
	var in *contentTable
	levels := contentLevels
	err := widen(contentLevels, func(level Consistency) (found bool, err error) {
		levels = contentLevels[slices.Index(contentLevels, level):]
		for _, table := range tables {
			if e, first, found, err = c.first(ctx, table, level, m.ID); found || err != nil {
				in = table
				return found && (level != localOne || m.Octets == 0 || m.Octets == e.octets), err
			}
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	r := &reader{id: m.ID, extent: e, unread: first, next: 1}
	if e.parts > 1 {
		r.ctx, r.cancel = context.WithCancel(ctx)
		r.room = c.reading
		r.fetch = func(ctx context.Context, n int) ([]byte, error) { return c.part(ctx, in, levels, m.ID, e, n) }
	}
	return r, nil
}

// openListed opens a content that is kept with its line.
func (c *contents) openListed(ctx context.Context, m mailbox.Message) (*reader, error) {
	var data []byte
	err := widen(togetherLevels, func(level Consistency) (bool, error) {
		return c.read(ctx, selectContent, level, m.Place.Within, m.Place.Lane, m.Place.Ord).one((*uncopied)(&data))
	})
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != m.Octets {
		return nil, fmt.Errorf("%d octets instead of %d: %w", len(data), m.Octets, errCorrupt)
	}
	return &reader{id: m.ID, extent: extent{octets: m.Octets, parts: 1, part: m.Octets}, unread: data, next: 1}, nil
}

// mayExist reports whether there may be a content with this id. Cassandra refuses to
// look for anything but a TimeUUID.
func mayExist(id mailbox.MessageID) bool { return id[6]>>4 == 1 }

// widen asks more and more replicas until one has what is looked for. Not found is
// the answer of all data centres. Where that of one replica cannot be had, others
// may still answer; where that of a quorum cannot, asking more is no use.
func widen(levels []Consistency, ask func(level Consistency) (found bool, err error)) error {
	for _, level := range levels {
		found, err := ask(level)
		if found || err != nil && level != localOne {
			return err
		}
	}
	return mailbox.ErrNotFound
}

// first asks for the commit record and the first part of a content. Where a replica
// has only one of them, the content is not found there.
func (c *contents) first(ctx context.Context, table *contentTable, level Consistency, id mailbox.MessageID) (e extent, data []byte, found bool, err error) {
	var octets *int64
	var parts *int
	found, err = c.read(ctx, &table.selectFirst, level, id).one(&octets, &parts, (*uncopied)(&data))
	if err != nil || !found || octets == nil || parts == nil {
		return extent{}, nil, false, err
	}
	e = extent{octets: *octets, parts: *parts, part: int64(len(data))}
	if err := e.check(); err != nil {
		return extent{}, nil, false, err
	}
	return e, data, true, nil
}

// part asks for one more part, of those who have the first.
func (c *contents) part(ctx context.Context, table *contentTable, levels []Consistency, id mailbox.MessageID, e extent, n int) (data []byte, err error) {
	err = widen(levels, func(level Consistency) (bool, error) {
		found, err := c.read(ctx, &table.selectPart, level, id, n).one((*uncopied)(&data))
		if err == nil && found && int64(len(data)) != e.octetsOf(n) {
			err = fmt.Errorf("%d octets instead of %d: %w", len(data), e.octetsOf(n), errCorrupt)
		}
		return found, err
	})
	if errors.Is(err, mailbox.ErrNotFound) {
		// It was there, and is released now.
		err = fmt.Errorf("%w: %w", mailbox.ErrUnavailable, io.ErrUnexpectedEOF)
	}
	return data, err
}

var errCorrupt = errors.New("content is not what was written")

// An uncopied column stays where the driver received it: it makes the memory of every
// answer anew.
type uncopied []byte

// UnmarshalCQL is what the driver calls with the value.
func (u *uncopied) UnmarshalCQL(_ gocql.TypeInfo, value []byte) error {
	*u = value
	return nil
}

// An extent is how much a content is. All parts but the last have as many octets as
// the first.
type extent struct {
	octets int64
	parts  int
	part   int64 // octets of the first part
}

func (e extent) check() error {
	last := e.octetsOf(e.parts - 1)
	if e.parts < 1 || last > e.part || e.parts > 1 && last < 1 || e.parts == 1 && last != e.part {
		return fmt.Errorf("%d octets in %d parts, %d in the first: %w", e.octets, e.parts, e.part, errCorrupt)
	}
	return nil
}

// octetsOf is how many octets part n has, counted from 0.
func (e extent) octetsOf(n int) int64 {
	if n < e.parts-1 {
		return e.part
	}
	return e.octets - int64(n)*e.part
}

// A reader reads a content part by part, and asks for the next parts while one is
// read. A content of one part is there when it was opened.
//
// How far ahead it asks grows with what was read, from one part to maxAhead, so
// that a client who wants the header of a large message (TOP) costs one part in
// vain. Parts ahead stay in memory until the client, who may be slow, gets to them:
// all readers share the room for those, and one that finds no room asks for each
// part when it is needed.
type reader struct {
	id     mailbox.MessageID
	extent extent
	unread []byte // of the current part
	next   int    // the part after it
	err    error  // the end, of one kind or the other

	// Where there is more than one part.
	fetch   func(ctx context.Context, n int) ([]byte, error)
	ctx     context.Context // of the fetches
	cancel  context.CancelFunc
	running sync.WaitGroup      // the fetches
	ahead   []*fetched          // the parts from next on that were asked for
	room    *semaphore.Weighted // for parts ahead, in octets
}

// A fetched part is there, or why it is not, once done is closed.
type fetched struct {
	done   chan struct{}
	octets []byte
	err    error
	room   int64 // that it takes of what is for parts ahead
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, r.err
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

// WriteTo saves io.Copy a buffer and a copy.
func (r *reader) WriteTo(w io.Writer) (written int64, err error) {
	for {
		switch err := r.fill(); err {
		case nil:
		case io.EOF:
			return written, nil
		default:
			return written, err
		}
		n, err := w.Write(r.unread)
		r.unread = r.unread[n:]
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
}

// fill makes sure that something is unread and that what follows was asked for.
// After the last part it says io.EOF.
func (r *reader) fill() error {
	if r.err != nil {
		return r.err
	}
	if len(r.unread) == 0 {
		if r.next == r.extent.parts {
			r.err = io.EOF
			return r.err
		}
		if err := r.advance(); err != nil {
			r.err = fmt.Errorf("cassandra: read %s, part %d: %w", r.id, r.next, err)
			return r.err
		}
	}
	r.askAhead()
	return nil
}

// advance makes the next part the current one.
func (r *reader) advance() error {
	r.unread = nil // so that its memory is free before that of the next is taken
	if len(r.ahead) == 0 {
		r.ask(0)
	}
	part := r.ahead[0]
	<-part.done // the statements of a fetch have deadlines
	r.ahead = r.ahead[1:]
	r.room.Release(part.room)
	if part.err != nil {
		return part.err
	}
	r.unread = part.octets
	r.next++
	return nil
}

// askAhead asks for parts that will be needed, as far as there is room.
func (r *reader) askAhead() {
	for len(r.ahead) < min(r.next, maxAhead) && r.next+len(r.ahead) < r.extent.parts {
		room := r.extent.octetsOf(r.next + len(r.ahead))
		if !r.room.TryAcquire(room) {
			return
		}
		r.ask(room)
	}
}

// ask begins to fetch the first part that was not asked for.
func (r *reader) ask(room int64) {
	n := r.next + len(r.ahead)
	part := &fetched{done: make(chan struct{}), room: room}
	r.ahead = append(r.ahead, part)
	r.running.Go(func() {
		defer close(part.done)
		part.octets, part.err = r.fetch(r.ctx, n)
	})
}

// Close ends what is still being fetched.
func (r *reader) Close() error {
	if r.cancel != nil {
		r.cancel()
	}
	r.running.Wait()
	for _, part := range r.ahead {
		r.room.Release(part.room)
	}
	r.ahead, r.unread = nil, nil
	r.err = errReaderClosed
	return nil
}

var errReaderClosed = errors.New("content is closed")
