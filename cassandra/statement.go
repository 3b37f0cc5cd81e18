package cassandra

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gocql/gocql"

	"restante/mailbox"
)

// A statement is CQL with the name that logs and metrics know it by. All of them
// are variables of the package, so that a test can read them.
type statement struct {
	name   string // a table and a verb: "maildrop insert"
	cql    string
	rows   int // a page of the answer; 0: defaultRows
	octets int // that a page of the answer weighs at most, where that is much
}

// defaultRows of small columns are about 100 KiB.
const defaultRows = 1000

// statementTimeout is how long a statement may take, with all its tries, unless
// the context of the caller ends sooner.
const statementTimeout = 5 * time.Second

// A writeTime is the write timestamp of a statement: what Cassandra orders writes
// to a cell by, in microseconds since 1970. Of two writes with the same one a
// delete wins.
type writeTime int64

// insertedAt is the write timestamp of all that is written for a message: it is
// the same in every try, so that a late one changes nothing.
func insertedAt(id mailbox.MessageID) writeTime { return writeTime(id.Time().UnixMicro()) }

// deletedAt is the write timestamp that takes away a message, or several of which
// id is the newest: now, and later than the insert whatever the clocks say.
func deletedAt(now time.Time, id mailbox.MessageID) writeTime {
	return max(writeTime(now.UnixMicro()), insertedAt(id)+1)
}

// A succession is the write timestamps of one process for what it may write over: what
// it writes last is what is found, even if its clock or that of another process is off.
type succession struct {
	mu   sync.Mutex
	last writeTime
}

// after is a write timestamp that is later than another and than all before it.
func (s *succession) after(now time.Time, seen writeTime) writeTime {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(writeTime(now.UnixMicro()), s.last+1, seen+1)
	return s.last
}

// saw makes what follows later than a write timestamp.
func (s *succession) saw(at writeTime) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, at)
}

var errNoWriteTime = errors.New("a write without a timestamp")

// write carries out a statement that changes something: an idempotent one, which
// is tried again where that may help, with the same timestamp each time. When it
// fails, it may have been carried out, or be later.
//
// Ids need no conversion. A zero time and a nil slice are not written, rather than
// as the tombstone that a null is.
func (s *session) write(ctx context.Context, st *statement, level Consistency, at writeTime, args ...any) error {
	if at <= 0 {
		return &failure{statement: st.name, outcome: failed, err: errNoWriteTime}
	}
	q := question{statement: st, level: level, args: args, with: func(q *gocql.Query) *gocql.Query { return q.WithTimestamp(int64(at)) }}
	return s.carryOut(ctx, st, level, st.weight(args), func(c *call, db *connected) error {
		_, err := db.send(c, q)
		return err
	})
}

// read carries out a SELECT. The answer is fetched page by page; each page is a
// statement of its own, with its own time, and nothing is held between two. The
// context is kept until the last row.
func (s *session) read(ctx context.Context, st *statement, level Consistency, args ...any) *rows {
	return &rows{session: s, ctx: ctx, statement: st, level: level, args: args}
}

// rows are the answer to a SELECT.
type rows struct {
	session   *session
	ctx       context.Context
	statement *statement
	level     Consistency
	args      []any

	begun bool
	page  *gocql.Iter // nil: none at hand
	state []byte      // where the next page begins; empty: there is none
	dest  []any       // of the last row
	error error
}

// scan copies the next row, and reports whether there was one. Ids need no
// conversion; nil skips a column.
func (r *rows) scan(dest ...any) bool {
	for r.error == nil {
		if r.page != nil {
			r.dest = into(r.dest[:0], dest)
			if r.page.Scan(r.dest...) {
				return true
			}
			if err := r.page.Close(); err != nil { // a column that is not what the destination is
				r.error = failureOf(r.statement, err)
			}
			r.page = nil
			continue
		}
		if r.begun && len(r.state) == 0 {
			return false
		}
		r.fetch()
	}
	return false
}

// err is why scan came to an end before the last row, or nil.
func (r *rows) err() error { return r.error }

// one copies the only row of the answer, and reports whether there is one.
func (r *rows) one(dest ...any) (bool, error) {
	found := r.scan(dest...)
	return found, r.error
}

func (r *rows) fetch() {
	r.begun = true
	q := question{statement: r.statement, level: r.level, args: r.args, with: func(q *gocql.Query) *gocql.Query {
		return q.PageSize(r.statement.page()).PageState(r.state)
	}}
	r.error = r.session.carryOut(r.ctx, r.statement, r.level, r.statement.weight(r.args), func(c *call, db *connected) (err error) {
		r.page, err = r.session.hedge(c, func(c *call) (*gocql.Iter, error) { return db.send(c, q) })
		return err
	})
	if r.error == nil {
		r.state = r.page.PageState()
	}
}

func (st *statement) page() int {
	if st.rows > 0 {
		return st.rows
	}
	return defaultRows
}

// weight is how many octets a statement holds in memory while it runs: those of
// the answer, or those of the arguments.
func (st *statement) weight(args []any) int64 {
	octets := int64(st.octets)
	for _, a := range args {
		switch a := a.(type) {
		case []byte:
			octets += int64(len(a))
		case string:
			octets += int64(len(a))
		}
	}
	return octets
}

// bind is the arguments as the driver knows them.
func bind(args []any) []any {
	bound := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case mailbox.MessageID:
			bound[i] = gocql.UUID(a)
		case mailbox.MaildropID:
			bound[i] = gocql.UUID(a)
		case []mailbox.MaildropID:
			ids := make([]gocql.UUID, len(a))
			for j, id := range a {
				ids[j] = gocql.UUID(id)
			}
			bound[i] = ids
		case time.Time:
			bound[i] = a
			if a.IsZero() {
				bound[i] = gocql.UnsetValue
			}
		case []byte:
			bound[i] = a
			if a == nil {
				bound[i] = gocql.UnsetValue
			}
		default:
			bound[i] = a
		}
	}
	return bound
}

// into adds destinations as the driver knows them to a slice.
func into(known, dest []any) []any {
	for _, d := range dest {
		switch d := d.(type) {
		case *mailbox.MessageID:
			known = append(known, (*gocql.UUID)(d))
		case *mailbox.MaildropID:
			known = append(known, (*gocql.UUID)(d))
		default:
			known = append(known, d)
		}
	}
	return known
}

// A question is a statement as it is sent.
type question struct {
	*statement
	level Consistency
	args  []any
	with  func(*gocql.Query) *gocql.Query
}

// send sends a statement, to one node after another where that may help.
func (d *connected) send(c *call, q question) (*gocql.Iter, error) {
	args := bind(q.args)
	text := d.learn(c, q.statement, args)
	page := q.with(d.Query(text, args...).WithContext(c).Consistency(q.level.code())).Iter()
	// A page is closed to learn of an error, and cannot be read then; one that has
	// rows has none.
	if page.NumRows() == 0 {
		return page, page.Close()
	}
	return page, nil
}

// carryOut sends what logs and metrics know by the name of st, within its time and
// the bounds of the session.
func (s *session) carryOut(ctx context.Context, st *statement, level Consistency, weight int64, send func(*call, *connected) error) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	c := &call{Context: ctx, far: level.far()}
	err := s.inTurn(c, weight, send)
	s.metrics.retries.Add(float64(max(0, c.tries-1)))
	if err != nil {
		f := failureOf(st, err)
		f.host = c.host
		s.metrics.observe(st, f.outcome, time.Since(began))
		return f
	}
	s.metrics.observe(st, succeeded, time.Since(began))
	return nil
}

// inTurn sends when there is room among what is in flight.
func (s *session) inTurn(c *call, weight int64, send func(*call, *connected) error) error {
	leave, err := s.enter(c, weight)
	if err != nil {
		return err
	}
	defer leave()
	db, err := s.connection()
	if err != nil {
		return err
	}
	return send(c, db)
}
