package cassandra

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"restante/mailbox"
)

// A round reads tables in the order of their tokens, slice by slice, each from
// several replicas: a row that was acknowledged anywhere is missed by no EACH_QUORUM.
// How much of the ring a slice is depends on how long the last ones took. A table
// that is full of deleted partitions takes time where it has no rows.
var (
	scanContents = &statement{
		name: "message scan",
		cql:  "SELECT DISTINCT token(id), id, octets FROM message WHERE token(id) > ? AND token(id) <= ?",
		rows: 500,
	}
	scanRecipients = &statement{
		name:   "message scan maildrops",
		cql:    "SELECT DISTINCT token(id), id, octets, maildrops FROM message WHERE token(id) > ? AND token(id) <= ?",
		rows:   500,
		octets: 500 * 16 * 20, // a few recipients each, and now and then many
	}
	scanDone = &statement{
		name: "message_done scan",
		cql:  "SELECT token(id), id, maildrop FROM message_done WHERE token(id) > ? AND token(id) <= ?",
	}
	scanMaildrops = &statement{
		name: "maildrop scan",
		cql:  "SELECT token(maildrop), maildrop, lane, ord, id, recipients FROM maildrop WHERE token(maildrop) > ? AND token(maildrop) <= ?",
	}
	scanListedContents = &statement{
		name: "maildrop_content scan",
		cql:  "SELECT token(maildrop), maildrop, lane, ord, id, octets FROM maildrop_content WHERE token(maildrop) > ? AND token(maildrop) <= ?",
	}
	selectPlace = &statement{
		name: "maildrop_content select id",
		cql:  "SELECT id FROM maildrop_content WHERE maildrop = ? AND lane = ? AND ord = ?",
	}
	selectListed = map[bool]*statement{
		false: {name: "maildrop select ids", cql: "SELECT id FROM maildrop WHERE maildrop = ?", rows: listedAtOnce},
		true:  {name: "maildrop_temp select ids", cql: "SELECT id FROM maildrop_temp WHERE maildrop = ?", rows: listedAtOnce},
	}
)

// The width of slices, in tokens.
const (
	firstWidth  = math.MaxUint64 / 4096
	widestSlice = math.MaxUint64 / 16
)

// How long a slice should take, without the waits for the limiter.
const (
	shortSlice = 250 * time.Millisecond
	longSlice  = time.Second
)

// listedAtOnce is how many lines of a maildrop are read at once, 16 octets each.
const listedAtOnce = 5000

// A step is what is done with a table.
type step interface {
	// read takes in the rows of a slice. After it failed it is called again for a
	// part of the slice, and has to forget the rest.
	read(ctx context.Context, begin, end int64) error

	// settle decides about what was read.
	settle(ctx context.Context) error
}

// walk takes a step with the rest of the ring, after a token.
func (r *round) walk(ctx context.Context, from int64, s step) error {
	width, tries := uint64(firstWidth), 0
	for from < lastToken {
		end := ahead(from, width)
		began, waited, rows := time.Now(), r.waited, r.rows
		err := s.read(ctx, from, end)
		took := time.Since(began) - (r.waited - waited)
		r.metrics.rows.WithLabelValues(r.name, r.table).Add(float64(r.rows - rows))
		if err != nil {
			tries++
			if tries == maxTries || !errors.Is(err, mailbox.ErrUnavailable) || ctx.Err() != nil || wait(ctx, r.pause.retry<<(tries-1)) != nil {
				return err
			}
			width = max(width/16, 1)
			continue
		}
		tries = 0
		if err := s.settle(ctx); err != nil {
			return err
		}
		from = end
		r.ring = ringAt(end)
		r.reach(ctx, end)
		r.report(false)
		switch {
		case took < shortSlice:
			width = min(2*width, widestSlice)
		case took > longSlice:
			width = max(width/2, 1)
		}
	}
	return nil
}

// ahead is a token so much further on, or the last.
func ahead(token int64, width uint64) int64 {
	if left := uint64(lastToken) - uint64(token); left <= width {
		return lastToken
	}
	return int64(uint64(token) + width)
}

// How many statements of a round are under way at once.
const (
	roundReads  = 8
	roundWrites = 16
)

// each does something patiently with every one of a list, some at a time.
func each[T any](ctx context.Context, r *round, atOnce int, list []T, do func(context.Context, T) error) error {
	group, doing := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, item := range list {
		if doing.Err() != nil {
			break
		}
		group.Go(func() error { return r.patiently(doing, func() error { return do(doing, item) }) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return unlessEnded(ctx, nil)
}

// recipientsOf are the maildrops of each content; a content that is not there, or
// not committed, has none.
func (r *round) recipientsOf(ctx context.Context, ids []mailbox.MessageID) (map[mailbox.MessageID][]mailbox.MaildropID, error) {
	var mu sync.Mutex
	recipients := make(map[mailbox.MessageID][]mailbox.MaildropID)
	err := each(ctx, r, roundReads, ids, func(ctx context.Context, id mailbox.MessageID) error {
		drops, err := r.recipientsAt(ctx, EachQuorum, id)
		if len(drops) > 0 {
			mu.Lock()
			defer mu.Unlock()
			recipients[id] = drops
		}
		return err
	})
	return recipients, err
}

// recipientsAt are those of one content.
func (r *round) recipientsAt(ctx context.Context, level Consistency, id mailbox.MessageID) ([]mailbox.MaildropID, error) {
	var drops []gocql.UUID
	_, err := r.read(ctx, selectRecipients, level, id).one(nil, &drops)
	return maildropIDs(drops), err
}

func maildropIDs(drops []gocql.UUID) []mailbox.MaildropID {
	ids := make([]mailbox.MaildropID, len(drops))
	for i, d := range drops {
		ids[i] = mailbox.MaildropID(d)
	}
	return ids
}

// doneWith are the maildrops that released a content for several.
func (r *round) doneWith(ctx context.Context, id mailbox.MessageID) (drops []mailbox.MaildropID, err error) {
	done := r.read(ctx, selectDone, EachQuorum, id)
	for drop := (mailbox.MaildropID{}); done.scan(&drop); {
		drops = append(drops, drop)
	}
	return drops, done.err()
}

// wanted are messages that are looked for in maildrops.
type wanted map[mailbox.MaildropID]map[mailbox.MessageID]bool

func (w wanted) add(drop mailbox.MaildropID, id mailbox.MessageID) {
	if w[drop] == nil {
		w[drop] = make(map[mailbox.MessageID]bool)
	}
	w[drop][id] = true
}

// wantedFor are contents, each in the maildrops of its recipients.
func wantedFor(ids []mailbox.MessageID, recipients map[mailbox.MessageID][]mailbox.MaildropID) wanted {
	look := make(wanted)
	for _, id := range ids {
		for _, drop := range recipients[id] {
			look.add(drop, id)
		}
	}
	return look
}

// listed are those of the wanted messages that are listed in any data centre, expired
// or not. Each maildrop is read once.
func (r *round) listed(ctx context.Context, in wanted, level Consistency) (wanted, error) {
	var mu sync.Mutex
	found := make(wanted)
	err := each(ctx, r, roundReads, slices.Collect(maps.Keys(in)), func(ctx context.Context, drop mailbox.MaildropID) error {
		some, err := r.listedIn(ctx, level, drop, in[drop])
		if level == everyReplica && err != nil {
			some, err = in[drop], r.orLeave(ctx, err) // may be listed
		}
		mu.Lock()
		defer mu.Unlock()
		found[drop] = some
		return err
	})
	return found, err
}

// listedIn are those of the wanted messages that are listed in one maildrop.
func (r *round) listedIn(ctx context.Context, level Consistency, drop mailbox.MaildropID, in map[mailbox.MessageID]bool) (map[mailbox.MessageID]bool, error) {
	found := make(map[mailbox.MessageID]bool)
	rows := r.read(ctx, selectListed[drop.Temporary()], level, drop)
	for id := (mailbox.MessageID{}); rows.scan(&id); id = (mailbox.MessageID{}) {
		if err := r.limiter.Wait(ctx); err != nil {
			return nil, unlessEnded(ctx, err)
		}
		if in[id] {
			found[id] = true
		}
	}
	return found, rows.err()
}

// unlessEnded is an error, or what ended the context.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, context.Cause(ctx))
	}
	return err
}
