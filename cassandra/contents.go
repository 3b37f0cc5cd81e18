package cassandra

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"restante/mailbox"
)

// A content is one partition. Its parts are the rows; its commit record, without
// which there is no content, is the static columns. They are written with the last
// part, once all others are there. Most contents have one part: one INSERT.
var (
	permanentContents = newContentTable("message")
	temporaryContents = newContentTable("message_temp")
)

// A contentTable is the statements on the contents of one retention class.
type contentTable struct {
	insertPart, insertLast             statement
	selectFirst, selectPart, deleteAll statement
}

func newContentTable(table string) *contentTable {
	return &contentTable{
		insertPart: statement{
			name: table + " insert part",
			cql:  "INSERT INTO " + table + " (id, part, data) VALUES (?, ?, ?) USING TTL ?",
		},
		insertLast: statement{
			name: table + " insert",
			cql:  "INSERT INTO " + table + " (id, part, data, octets, parts, maildrops) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?",
		},
		selectFirst: statement{
			name:   table + " select",
			cql:    "SELECT octets, parts, data FROM " + table + " WHERE id = ? AND part = 0",
			octets: partSize,
		},
		selectPart: statement{
			name:   table + " select part",
			cql:    "SELECT data FROM " + table + " WHERE id = ? AND part = ?",
			octets: partSize,
		},
		deleteAll: statement{
			name: table + " delete",
			cql:  "DELETE FROM " + table + " WHERE id = ?",
		},
	}
}

const (
	// partSize is how much of a content is one row: far less than what Cassandra
	// would warn of, and little enough that each of many readers can hold one.
	partSize = 128 << 10
	// smallContent is what most messages fit in.
	smallContent = 8 << 10
	// maxWriting is how many parts of one content are on their way at once.
	maxWriting = 4
	// writingRoom is for parts of all contents that are written, in octets. The
	// driver takes as much again for its frames of those on their way.
	writingRoom = 2 * mostParts * partSize
	// undoTimeout is how long it may take to remove what was not completed.
	undoTimeout = 3 * time.Second
	// temporaryGrace is how much longer than its message a temporary content
	// stays, for sessions that have listed it and clocks that differ.
	temporaryGrace = time.Hour
)

// contents are mailbox.Contents.
type contents struct {
	*session
	writing  *semaphore.Weighted
	window   *window
	reading  *semaphore.Weighted
	releases *releases
}

func newContents(s *session) *contents {
	c := &contents{
		session: s,
		writing: semaphore.NewWeighted(writingRoom),
		window:  newWindow(),
		reading: semaphore.NewWeighted(aheadRoom),
	}
	c.releases = newReleases(s)
	return c
}

// tableFor is where a content belongs: to the temporary ones if it ends by itself
// for everyone it is for.
func tableFor(c mailbox.Content) *contentTable {
	stays := func(drop mailbox.MaildropID) bool { return !drop.Temporary() }
	if !temporary(c.ID.Time(), c.Expires) || slices.ContainsFunc(c.Maildrops, stays) {
		return permanentContents
	}
	return temporaryContents
}

// MaxLife is how long what has a time to live may live, and so a temporary address.
// Cassandra knows longer ones, but some of its versions and settings none that end after
// January 2038.
const MaxLife = 366 * 24 * time.Hour

// temporary reports whether what is written at a time and expires at another has a
// time to live.
func temporary(written, expires time.Time) bool {
	return !expires.IsZero() && expires.Sub(written) <= MaxLife
}

func (c *contents) Put(ctx context.Context, content mailbox.Content, r io.Reader) (int64, error) {
	octets, err := c.put(ctx, content, r)
	if err != nil {
		return 0, fmt.Errorf("cassandra: put %s: %w", content.ID, err)
	}
	return octets, nil
}

func (c *contents) put(ctx context.Context, content mailbox.Content, r io.Reader) (int64, error) {
	if err := c.checkClock(); err != nil {
		return 0, err
	}
	now := c.options.Now()
	p := &put{contents: c, content: content, table: tableFor(content), at: insertedAt(content.ID)}
	if p.table == temporaryContents {
		p.ttl = ttl(content.Expires.Sub(now) + temporaryGrace)
	}
	if content.Repeatable {
		p.at = max(p.at, writeTime(now.UnixMicro())) // after what a failed Put or a release left
		if err := p.forgetReleases(ctx); err != nil {
			return 0, err
		}
	}
	octets, err := p.copy(ctx, r)
	if err != nil {
		p.undo(ctx)
		return 0, err
	}
	return octets, nil
}

// ttl is a time to live in seconds. Zero would stand for ever.
func ttl(d time.Duration) int { return max(int(d/time.Second), 1) }

// lifetime is the time to live of what may be forgotten after so long, and not before:
// in seconds; 0, for ever, where that is longer than anything may live.
func lifetime(d time.Duration) int {
	if d > MaxLife {
		return 0
	}
	return ttl(d + time.Second - 1)
}

// A put writes one content.
type put struct {
	contents  *contents
	content   mailbox.Content
	table     *contentTable
	at        writeTime
	ttl       int  // in seconds; 0: for ever
	begun     bool // a part may have been written
	committed bool // the commit record may have been
}

// copy stores r to its end.
func (p *put) copy(ctx context.Context, r io.Reader) (octets int64, err error) {
	group, writing := errgroup.WithContext(ctx)
	group.SetLimit(maxWriting)
	n, last, err := p.cut(writing, group, r)
	// When a part could not be written, that is why the cutting ended.
	if failed := group.Wait(); failed != nil {
		err = failed
	}
	if last != nil {
		defer last.free()
	}
	if err != nil {
		return 0, err
	}
	octets = int64(n)*partSize + int64(len(last.octets))
	p.begun, p.committed = true, true
	commit := func() error {
		return p.write(ctx, &p.table.insertLast,
			p.content.ID, n, last.octets, octets, n+1, p.content.Maildrops, p.ttl)
	}
	if n == 0 { // small, and its sender soon comes again
		return octets, commit()
	}
	return octets, p.contents.window.carry(ctx, commit)
}

// cut reads r to its end and lets the group write every part but the last, which
// it returns with its number.
func (p *put) cut(ctx context.Context, group *errgroup.Group, r io.Reader) (n int, last *buffer, err error) {
	cutter := cutter{r: r}
	for part := 0; ; part++ {
		buf, end, err := cutter.next()
		if err != nil {
			return 0, nil, fmt.Errorf("read content: %w", err)
		}
		if end {
			return part, buf, nil
		}
		if err := p.contents.writing.Acquire(ctx, partSize); err != nil {
			buf.free()
			return 0, nil, fmt.Errorf("%w: too much to write: %w", mailbox.ErrUnavailable, err)
		}
		p.begun = true
		group.Go(func() error {
			defer p.contents.writing.Release(partSize)
			defer buf.free()
			return p.contents.window.carry(ctx, func() error {
				return p.write(ctx, &p.table.insertPart, p.content.ID, part, buf.octets, p.ttl)
			})
		})
	}
}

func (p *put) write(ctx context.Context, st *statement, args ...any) error {
	return p.contents.write(ctx, st, p.contents.options.Acknowledge, p.at, args...)
}

// forgetReleases takes back, before a repeat, who has released the content: they may list
// it again. As it is deleted at a time later than that of any release, before and after,
// the content goes with the sweep.
func (p *put) forgetReleases(ctx context.Context) error {
	if len(p.content.Maildrops) == 1 { // it takes no note
		return nil
	}
	return p.write(ctx, deleteDone, p.content.ID)
}

// undo removes what was not completed, also after the end of the context. What it
// fails to remove is swept: nobody was promised it, and mostly nobody can open it.
// A temporary content without a commit record goes by itself. One that is put again is
// left: it may be listed already.
func (p *put) undo(ctx context.Context) {
	if !p.begun || p.content.Repeatable || p.table == temporaryContents && !p.committed {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if err := p.contents.remove(ctx, p.table, p.content.ID); err != nil {
		p.contents.options.Log.Warn("content left to the sweep", "message", p.content.ID, "err", err)
	}
}

// remove deletes a content, whoever needs it. Its id is spent: what is put under it
// later stays deleted, unless that is Repeatable.
func (s *session) remove(ctx context.Context, table *contentTable, id mailbox.MessageID) error {
	return s.write(ctx, &table.deleteAll, LocalQuorum, deletedAt(s.options.Now(), id), id)
}

// A cutter cuts a stream into parts.
type cutter struct {
	r     io.Reader
	begun bool
	ended bool
	more  [1]byte // the first octet of the next part
	have  int     // 1 where that was read
}

// next is the next part, which the caller frees, and whether it is the last. To
// tell that of a full one it reads an octet more.
func (c *cutter) next() (part *buffer, last bool, err error) {
	size := partSize + 1
	if !c.begun {
		size, c.begun = smallContent, true
	}
	part = takeBuffer(size)
	n := copy(part.space, c.more[:c.have])
	for !c.ended && n <= partSize {
		if n == len(part.space) {
			larger := takeBuffer(partSize + 1)
			copy(larger.space, part.space)
			part.free()
			part = larger
		}
		var read int
		read, err = c.r.Read(part.space[n:])
		n += read
		// An error that wraps io.EOF may be of a connection that broke.
		if c.ended = err == io.EOF; err != nil && !c.ended {
			part.free()
			return nil, false, err
		}
	}
	c.have = copy(c.more[:], part.space[min(n, partSize):n])
	part.octets = part.space[:n-c.have]
	return part, c.ended && c.have == 0, nil
}

// A buffer holds a part on its way to Cassandra.
type buffer struct {
	space  []byte
	octets []byte // the part of it that is in use
	pool   *sync.Pool
}

var smallBuffers, partBuffers = newPool(smallContent), newPool(partSize + 1)

func newPool(size int) *sync.Pool {
	pool := new(sync.Pool)
	pool.New = func() any { return &buffer{space: make([]byte, size), pool: pool} }
	return pool
}

// takeBuffer is a buffer with space for n octets. The caller frees it.
func takeBuffer(n int) *buffer {
	if n <= smallContent {
		return smallBuffers.Get().(*buffer)
	}
	return partBuffers.Get().(*buffer)
}

// free gives the buffer to the next. The driver has copied what is in it by the
// time a statement returns.
func (b *buffer) free() { b.pool.Put(b) }
