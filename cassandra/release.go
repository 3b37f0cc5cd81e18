package cassandra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gocql/gocql"

	"restante/mailbox"
)

// Contents go a while after Release returned: QUIT waits for the listing alone. A
// content for one maildrop is one delete. Of a content for several, message_done
// names those that released it: once it names all, the content goes and those rows
// after it. Both sets only ever grow, so that this needs no lock: of two maildrops
// that release it at once, in whatever order, one sees both or, in two data
// centres, the sweep does.
//
// A temporary content is left to its time to live.
var (
	selectRecipients = &statement{
		name: "message select maildrops",
		cql:  "SELECT DISTINCT id, maildrops FROM message WHERE id = ?",
	}
	insertDone = &statement{
		name: "message_done insert",
		cql:  "INSERT INTO message_done (id, maildrop) VALUES (?, ?)",
	}
	selectDone = &statement{
		name: "message_done select",
		cql:  "SELECT maildrop FROM message_done WHERE id = ?",
	}
	deleteDone = &statement{
		name: "message_done delete",
		cql:  "DELETE FROM message_done WHERE id = ?",
	}
)

const (
	// releaseWorkers is how many contents are released at once.
	releaseWorkers = 8
	// maxReleases is how many wait. The others are swept.
	maxReleases = 1 << 16
	// releaseDrain is how long Close waits for them.
	releaseDrain = 10 * time.Second
)

// A release is a content that a maildrop no longer needs.
type release struct {
	id    mailbox.MessageID
	drop  mailbox.MaildropID
	alone bool // nobody else needs it
}

// releases are what waits to be released, and who does it.
type releases struct {
	session *session
	ctx     context.Context // of the workers
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu     sync.RWMutex // held for writing to close the queue
	closed bool
	queue  chan release
}

// What becomes of a release, as the metric has it.
const (
	contentRemoved = "removed"
	contentKept    = "kept"  // others need it, or it was not there
	contentLeft    = "swept" // left to the sweep
)

func newReleases(s *session) *releases {
	q := &releases{session: s, queue: make(chan release, maxReleases)}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	for range releaseWorkers {
		q.workers.Go(q.work)
	}
	return q
}

// Release puts the contents in the queue. What finds no place there is swept.
func (c *contents) Release(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	if err := c.releases.add(ctx, drop, messages); err != nil {
		return fmt.Errorf("cassandra: release %d contents: %w", len(messages), err)
	}
	return nil
}

func (q *releases) add(ctx context.Context, drop mailbox.MaildropID, messages []mailbox.Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, errClosed)
	}
	left := 0
	for _, m := range messages {
		alone := m.Recipients == 1
		listed := m.Inline != "" || m.Place.HasContent()
		if !mayExist(m.ID) || listed || alone && drop.Temporary() && temporary(m.ID.Time(), m.Expires) {
			continue // nobody has put it, it went with its line, or it goes by itself
		}
		select {
		case q.queue <- release{id: m.ID, drop: drop, alone: alone}:
		default:
			left++
		}
	}
	if left > 0 {
		q.session.metrics.releases.WithLabelValues(contentLeft).Add(float64(left))
		return fmt.Errorf("%w: too many wait, %d of them are left to the sweep", mailbox.ErrUnavailable, left)
	}
	return nil
}

// work releases contents until the queue is closed and empty.
func (q *releases) work() {
	for r := range q.queue {
		result := contentKept
		removed, err := q.session.release(q.ctx, r)
		switch {
		case err != nil:
			result = contentLeft
			q.session.options.Log.Debug("content left to the sweep", "maildrop", r.drop, "message", r.id, "err", err)
		case removed:
			result = contentRemoved
		}
		q.session.metrics.releases.WithLabelValues(result).Inc()
	}
}

// close waits until everything in the queue was released, but not for long.
func (q *releases) close() {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.queue)
	}
	q.mu.Unlock()
	drain := time.AfterFunc(releaseDrain, q.cancel)
	defer drain.Stop()
	q.workers.Wait()
	q.cancel()
}

// release notes that a maildrop no longer needs a content, and removes the content
// if nobody does.
func (s *session) release(ctx context.Context, r release) (removed bool, err error) {
	if r.alone {
		return true, s.remove(ctx, permanentContents, r.id)
	}
	drops, err := s.recipients(ctx, r)
	if err != nil || !slices.Contains(drops, gocql.UUID(r.drop)) {
		return false, err
	}
	if len(drops) == 1 {
		return true, s.remove(ctx, permanentContents, r.id)
	}
	if err := s.write(ctx, insertDone, LocalQuorum, insertedAt(r.id), r.id, r.drop); err != nil {
		return false, err
	}
	done := s.read(ctx, selectDone, LocalQuorum, r.id)
	for drop := (gocql.UUID{}); done.scan(&drop); {
		drops = slices.DeleteFunc(drops, func(d gocql.UUID) bool { return d == drop })
	}
	if err := done.err(); err != nil || len(drops) > 0 {
		return false, err
	}
	if err := s.remove(ctx, permanentContents, r.id); err != nil {
		return false, err
	}
	return true, s.write(ctx, deleteDone, LocalQuorum, deletedAt(s.options.Now(), r.id), r.id)
}

// recipients are the maildrops of a content, none where there is no such content. One
// replica may have them as they were before a notification was repeated for more.
func (s *session) recipients(ctx context.Context, r release) (drops []gocql.UUID, err error) {
	err = widen([]Consistency{LocalQuorum, EachQuorum}, func(level Consistency) (bool, error) {
		if r.drop.Temporary() && level == EachQuorum {
			return false, mailbox.ErrNotFound // nearly always it is a temporary content
		}
		_, err := s.read(ctx, selectRecipients, level, r.id).one(nil, &drops)
		return len(drops) > 0, err
	})
	if errors.Is(err, mailbox.ErrNotFound) {
		err = nil
	}
	return drops, err
}
