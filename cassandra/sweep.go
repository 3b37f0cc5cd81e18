package cassandra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
)

// SweepOptions say how to sweep.
type SweepOptions struct {
	RoundOptions

	// DryRun finds and counts, and deletes nothing.
	DryRun bool

	// Unless is for servers that all sweep daily: nothing is done where a sweep is
	// running, or ended less than this ago. Zero: the sweep begins, or fails with
	// ErrRunning.
	Unless time.Duration
}

// SweepStats say what a sweep deleted, or a dry run found.
type SweepStats struct {
	Uncommitted int  // contents whose Put did not end
	Released    int  // contents that every recipient had released
	Unlisted    int  // contents that no recipient lists
	Leftovers   int  // contents that are gone and of which message_done still had rows
	Idle        bool // nothing was done: see SweepOptions.Unless
}

func (s SweepStats) String() string {
	if s.Idle {
		return "nothing to do yet"
	}
	return fmt.Sprintf("%d uncommitted, %d released, %d unlisted, %d leftovers",
		s.Uncommitted, s.Released, s.Unlisted, s.Leftovers)
}

// The kinds of what a sweep finds, as the metric has them.
const (
	foundUncommitted = "uncommitted"
	foundReleased    = "released"
	foundUnlisted    = "unlisted"
	foundLeftovers   = "leftovers"
)

const (
	sweepTask    = "sweep"
	sweepDryTask = "sweep dry run"
	sweepMemory  = 16 << 20
	// sweepSpread makes a filter that overlooks one in 300 of the contents that are
	// listed nowhere.
	sweepSpread = 12
)

// Sweep deletes what nobody can reach, in the permanent class: content that was never
// committed, was released by everyone, or is listed nowhere, because a process died
// in the middle of something; and what is left of content that is gone. The temporary
// class goes by itself, and so do lanes. Content for mailbox.Outbound is listed nowhere
// and stays for mailbox.OutboundKept.
//
// Nothing is deleted that is younger than the age, and nothing because it was not seen
// in one data centre: every data centre has to be reachable, else Sweep fails with
// mailbox.ErrUnavailable. Where it depends on what is nowhere, every replica is asked, and
// what one of them cannot answer for stays. It may run at any time, beside everything
// else, and again after it was stopped: it goes on where it was.
func (s *Store) Sweep(ctx context.Context, o SweepOptions) (stats SweepStats, err error) {
	if err := o.check(); err != nil {
		return stats, fmt.Errorf("cassandra: sweep: %w", err)
	}
	if o.Unless > 0 {
		idle, err := s.session.sweptWithin(ctx, o.Unless)
		if err != nil || idle {
			return SweepStats{Idle: idle}, err
		}
	}
	stats, err = s.session.sweep(ctx, o)
	if o.Unless > 0 && errors.Is(err, ErrRunning) {
		return SweepStats{Idle: true}, nil
	}
	if err != nil {
		err = fmt.Errorf("cassandra: sweep: %w", err)
	}
	return stats, err
}

// sweptWithin reports whether a sweep ended, here or elsewhere, less than this ago. When
// that was the metrics of every server show.
func (s *session) sweptWithin(ctx context.Context, d time.Duration) (bool, error) {
	t, found, err := (&ledger{session: s}).look(ctx, sweepTask)
	if err != nil {
		return false, fmt.Errorf("cassandra: sweep: %w", stopped(err))
	}
	if !found || t.token != lastToken {
		return false, nil
	}
	roundMetricsOf(s.options.Registerer).finish(sweepTask, t.updated)
	return s.options.Now().Sub(t.updated) < d, nil
}

func (s *session) sweep(ctx context.Context, o SweepOptions) (SweepStats, error) {
	name, others := sweepTask, []string{repairTask}
	if o.DryRun {
		name, others = sweepDryTask, nil
	}
	if o.Memory <= 0 {
		o.Memory = sweepMemory
	}
	w := &sweep{dryRun: o.DryRun}
	r, err := s.begin(ctx, name, 3, o.RoundOptions, &w.stats, others...)
	if err != nil {
		return w.stats, stopped(err)
	}
	w.round = r
	s.options.Log.Info("sweep begins", "task", name, "younger", r.cutoff, "rate", r.options.Rate)
	err = r.end(ctx, w.run(ctx))
	return w.stats, err
}

// A sweep goes round three tables: message_done; maildrop, to learn what is listed;
// and message.
type sweep struct {
	*round
	dryRun bool
	seen   *filter // the ids that are listed

	mu    sync.Mutex
	stats SweepStats
}

func (w *sweep) run(ctx context.Context) error {
	from, err := w.enter(ctx, "message_done")
	if err == nil {
		err = w.walk(ctx, from, &sweepDone{sweep: w})
	}
	if err != nil {
		return err
	}
	// What was listed is not kept anywhere, so that this step is always a whole one.
	w.pass("maildrop")
	w.seen = newFilter(w.options.Memory, sweepSpread)
	if err := w.walk(ctx, firstToken, sweepMaildrops{w}); err != nil {
		return err
	}
	if share := w.seen.mistakes(); share > 0.05 {
		w.session.options.Log.Warn("more is listed than the sweep has memory for: it will overlook some of what is not",
			"listed", w.seen.keys, "overlooked", fmt.Sprintf("%.0f%%", 100*share))
	}
	from, err = w.enter(ctx, "message")
	if err == nil {
		err = w.walk(ctx, from, &sweepContents{sweep: w})
	}
	return err
}

// count adds one to what was found.
func (w *sweep) count(n *int, kind string) {
	w.mu.Lock()
	*n++
	w.mu.Unlock()
	w.metrics.found.WithLabelValues(w.name, kind).Inc()
}

// old reports whether a message is old enough to decide about.
func (r *round) old(id mailbox.MessageID) bool { return id.Time().Before(r.cutoff) }

// remove deletes a content, and what message_done has about it.
func (w *sweep) remove(ctx context.Context, id mailbox.MessageID, shared bool) error {
	if w.dryRun {
		return nil
	}
	if err := w.session.remove(ctx, permanentContents, id); err != nil || !shared {
		return err
	}
	return w.forget(ctx, id)
}

// forget deletes what message_done has about a content.
func (w *sweep) forget(ctx context.Context, id mailbox.MessageID) error {
	if w.dryRun {
		return nil
	}
	return w.write(ctx, deleteDone, LocalQuorum, deletedAt(w.session.options.Now(), id), id)
}

// sweepDone looks at the contents for several maildrops of which one or more are
// done. Of those who released it in two data centres at once, neither may have seen
// the other.
type sweepDone struct {
	*sweep
	ids  []mailbox.MessageID
	done map[mailbox.MessageID][]mailbox.MaildropID
}

func (w *sweepDone) read(ctx context.Context, begin, end int64) error {
	w.ids, w.done = nil, make(map[mailbox.MessageID][]mailbox.MaildropID)
	rows := w.session.read(ctx, scanDone, EachQuorum, begin, end)
	var token int64
	var id mailbox.MessageID
	var drop mailbox.MaildropID
	for rows.scan(&token, &id, &drop) {
		if err := w.row(ctx, token); err != nil {
			return err
		}
		if !w.old(id) {
			continue
		}
		if w.done[id] == nil {
			w.ids = append(w.ids, id)
		}
		w.done[id] = append(w.done[id], drop)
	}
	return rows.err()
}

func (w *sweepDone) settle(ctx context.Context) error {
	if len(w.ids) == 0 {
		return nil
	}
	if err := w.sure(ctx); err != nil {
		return err
	}
	recipients, err := w.recipientsOf(ctx, w.ids)
	if err != nil {
		return err
	}
	return each(ctx, w.round, roundWrites, w.ids, func(ctx context.Context, id mailbox.MessageID) error {
		waiting := func(drop mailbox.MaildropID) bool { return !slices.Contains(w.done[id], drop) }
		switch drops := recipients[id]; {
		case len(drops) == 0:
			if err := w.forget(ctx, id); err != nil {
				return err
			}
			w.count(&w.stats.Leftovers, foundLeftovers)
		case !slices.ContainsFunc(drops, waiting):
			if err := w.remove(ctx, id, true); err != nil {
				return err
			}
			w.count(&w.stats.Released, foundReleased)
		}
		return nil
	})
}

// sweepMaildrops learns what is listed.
type sweepMaildrops struct{ *sweep }

func (w sweepMaildrops) read(ctx context.Context, begin, end int64) error {
	rows := w.session.read(ctx, scanMaildrops, EachQuorum, begin, end)
	for {
		var token, ord int64
		var id mailbox.MessageID
		var recipients intColumn
		if !rows.scan(&token, nil, nil, &ord, &id, &recipients) {
			return rows.err()
		}
		if err := w.row(ctx, token); err != nil {
			return err
		}
		if recipients != withContent && ord > registerOrd && w.old(id) {
			w.seen.add(id[:])
		}
	}
}

func (sweepMaildrops) settle(context.Context) error { return nil }

// sweepContents finds content that was not committed, and content that the filter has
// not seen listed. That is asked for again: in the maildrops of its recipients.
type sweepContents struct {
	*sweep
	uncommitted, unseen []mailbox.MessageID
}

func (w *sweepContents) read(ctx context.Context, begin, end int64) error {
	w.uncommitted, w.unseen = nil, nil
	rows := w.session.read(ctx, scanContents, EachQuorum, begin, end)
	for {
		var token int64
		var id mailbox.MessageID
		var octets *int64
		if !rows.scan(&token, &id, &octets) {
			break
		}
		if err := w.row(ctx, token); err != nil {
			return err
		}
		switch {
		case !w.old(id):
		case octets == nil:
			w.uncommitted = append(w.uncommitted, id)
		case !w.seen.has(id[:]):
			w.unseen = append(w.unseen, id)
		}
	}
	return rows.err()
}

func (w *sweepContents) settle(ctx context.Context) error {
	if len(w.uncommitted)+len(w.unseen) == 0 {
		return nil
	}
	if err := w.sure(ctx); err != nil {
		return err
	}
	if err := w.removeUncommitted(ctx); err != nil {
		return err
	}
	return w.removeUnlisted(ctx)
}

func (w *sweepContents) removeUncommitted(ctx context.Context) error {
	ids, err := nowhere(ctx, w.round, w.uncommitted, w.committedAnywhere)
	if err != nil {
		return err
	}
	return each(ctx, w.round, roundWrites, ids, func(ctx context.Context, id mailbox.MessageID) error {
		if err := w.remove(ctx, id, false); err != nil {
			return err
		}
		w.count(&w.stats.Uncommitted, foundUncommitted)
		return nil
	})
}

func (w *sweepContents) removeUnlisted(ctx context.Context) error {
	recipients, err := w.recipientsOf(ctx, w.unseen)
	if err != nil {
		return err
	}
	maps.DeleteFunc(recipients, w.leaves)
	ids := slices.DeleteFunc(w.unseen, func(id mailbox.MessageID) bool { return len(recipients[id]) == 0 })
	for _, level := range []Consistency{EachQuorum, everyReplica} {
		listed, err := w.listed(ctx, wantedFor(ids, recipients), level)
		if err != nil {
			return err
		}
		ids = slices.DeleteFunc(ids, func(id mailbox.MessageID) bool {
			return slices.ContainsFunc(recipients[id], func(drop mailbox.MaildropID) bool { return listed[drop][id] })
		})
	}
	return each(ctx, w.round, roundWrites, ids, func(ctx context.Context, id mailbox.MessageID) error {
		if err := w.remove(ctx, id, len(recipients[id]) > 1); err != nil {
			return err
		}
		w.count(&w.stats.Unlisted, foundUnlisted)
		return nil
	})
}

// leaves reports whether a content is on its way to the outside: it is listed nowhere,
// and released when nothing is left to do for it.
func (w *sweep) leaves(id mailbox.MessageID, drops []mailbox.MaildropID) bool {
	return len(drops) == 1 && drops[0] == mailbox.Outbound && w.began.Sub(id.Time()) < mailbox.OutboundKept
}

// LogValue is the stats in a log.
func (s SweepStats) LogValue() slog.Value { return slog.StringValue(s.String()) }
