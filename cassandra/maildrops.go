package cassandra

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"restante/mailbox"
)

// maildrops are mailbox.Maildrops: a partition for each maildrop, which consists of
// lanes.
//
// A listing is one query. What was removed costs it nothing, since the ranges that
// are deleted of a lane become one, as far as nothing is left between them.
type maildrops struct {
	table  projection
	writer *writer
	now    func() time.Time
}

// A projection is the table of maildrops: the statements on a partition of it.
type projection interface {
	// insert writes a line, at its place.
	insert(ctx context.Context, e mailbox.Entry, at writeTime) error

	// list reads all lines, lane by lane.
	list(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error)

	// registers reads the registers that these lanes have.
	registers(ctx context.Context, drop mailbox.MaildropID, lanes []mailbox.MessageID) (map[mailbox.MessageID][]byte, error)

	// remove carries out removals. Where it fails, any part of each may have been
	// carried out, or be later.
	remove(ctx context.Context, drop mailbox.MaildropID, removals []removal) error
}

// addsAtOnce is how many lines of one message are written at the same time.
const addsAtOnce = 32

func (m *maildrops) Add(ctx context.Context, entries []mailbox.Entry) error {
	for i, e := range entries {
		if e.Message.Place == (mailbox.Place{}) {
			entries[i].Message.Place = m.writer.place(e.Maildrop)
		}
	}
	if len(entries) == 1 {
		return m.add(ctx, entries[0])
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(addsAtOnce)
	for _, e := range entries {
		all.Go(func() error { return m.add(ctx, e) })
	}
	return all.Wait()
}

func (m *maildrops) add(ctx context.Context, e mailbox.Entry) error {
	if err := m.table.insert(ctx, e, insertedAt(e.Message.ID)); err != nil {
		return fmt.Errorf("cassandra: add %s to maildrop %s: %w", e.Message.ID, e.Maildrop, err)
	}
	return nil
}

func (m *maildrops) List(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
	lines, err := m.table.list(ctx, drop)
	if err != nil {
		return nil, fmt.Errorf("cassandra: list maildrop %s: %w", drop, err)
	}
	return listing(lines, m.now()), nil
}

// listing is what a maildrop shows of its lines at a time. A message that was added
// twice, each time as a new one, has two lines: it is listed once and without a
// place, so that removing it finds both.
func listing(lines []mailbox.Message, now time.Time) []mailbox.Message {
	lines = slices.DeleteFunc(lines, func(m mailbox.Message) bool { return !m.Expires.IsZero() && !now.Before(m.Expires) })
	lines = inOrder(lines)
	listed := lines[:0]
	for _, m := range lines {
		if n := len(listed); n > 0 && listed[n-1].ID == m.ID {
			listed[n-1].Place = mailbox.Place{}
		} else {
			listed = append(listed, m)
		}
	}
	return listed
}

// inOrder merges lines in the order of their ids. Those of a lane mostly have it
// already, so that it takes a few comparisons for each.
func inOrder(lines []mailbox.Message) []mailbox.Message {
	var ends []int // of what is in order
	for i := 1; i <= len(lines); i++ {
		if i == len(lines) || lines[i-1].ID.Compare(lines[i].ID) > 0 {
			ends = append(ends, i)
		}
	}
	for spare := []mailbox.Message(nil); len(ends) > 1; {
		merged, begin, left := slices.Grow(spare[:0], len(lines)), 0, ends[:0]
		for i := 0; i < len(ends); i += 2 {
			a, b := lines[begin:ends[i]], []mailbox.Message(nil)
			begin = ends[i]
			if i+1 < len(ends) {
				b = lines[begin:ends[i+1]]
				begin = ends[i+1]
			}
			for len(a) > 0 && len(b) > 0 {
				next := &a
				if a[0].ID.Compare(b[0].ID) > 0 {
					next = &b
				}
				merged = append(merged, (*next)[0])
				*next = (*next)[1:]
			}
			merged = append(append(merged, a...), b...)
			left = append(left, begin)
		}
		lines, spare, ends = merged, lines, left
	}
	return lines
}

func (m *maildrops) Remove(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	if err := m.remove(ctx, drop, messages); err != nil {
		return fmt.Errorf("cassandra: remove %d messages of maildrop %s: %w", len(messages), drop, err)
	}
	return nil
}

func (m *maildrops) remove(ctx context.Context, drop mailbox.MaildropID, messages []mailbox.Message) error {
	lines, err := m.placed(ctx, drop, messages)
	if err != nil || len(lines) == 0 {
		return err
	}
	var at writeTime
	var expires time.Time
	ords := make(map[mailbox.MessageID][]int64)
	for _, l := range lines {
		if l.Place.Lane.IsZero() || l.Place.Ord < 0 || l.Place.Ord > maxOrd {
			return fmt.Errorf("%s: no such place", l.ID)
		}
		ords[l.Place.Lane] = append(ords[l.Place.Lane], l.Place.Ord)
		at = max(at, deletedAt(m.now(), l.ID))
		if l.Expires.After(expires) {
			expires = l.Expires
		}
	}
	lanes := make([]mailbox.MessageID, 0, len(ords))
	for lane := range ords {
		lanes = append(lanes, lane)
	}
	slices.SortFunc(lanes, mailbox.MessageID.Compare)
	registers, err := m.table.registers(ctx, drop, lanes)
	if err != nil {
		return err
	}
	removals := make([]removal, len(lanes))
	for i, lane := range lanes {
		removals[i] = planRemoval(lane, runsOf(ords[lane]), registers[lane], at)
		removals[i].expires = expires
	}
	return m.table.remove(ctx, drop, removals)
}

// placed are the lines of messages. Those that have no place are looked for; what
// is not listed has no line.
func (m *maildrops) placed(ctx context.Context, drop mailbox.MaildropID, messages []mailbox.Message) ([]mailbox.Message, error) {
	placed := make([]mailbox.Message, 0, len(messages))
	wanted := make(map[mailbox.MessageID]bool)
	for _, message := range messages {
		if message.Place == (mailbox.Place{}) {
			wanted[message.ID] = true
		} else {
			placed = append(placed, message)
		}
	}
	if len(wanted) == 0 {
		return placed, nil
	}
	lines, err := m.table.list(ctx, drop)
	for _, line := range lines {
		if wanted[line.ID] {
			placed = append(placed, line)
		}
	}
	return placed, err
}
