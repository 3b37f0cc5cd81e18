package cassandra

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"restante/mailbox"
)

// A maildrop is one partition. Its rows are the lines of its lanes, and for each lane
// a register, the row registerOrd, of which only the column dead is written.
var (
	permanentMaildrops = newMaildropTable("maildrop")
	temporaryMaildrops = newInlineTable("maildrop_temp")
)

// A maildropTable is the statements on the maildrops of one retention class.
type maildropTable struct {
	inline bool // a line may have its content

	insert, selectAll, selectRegisters statement

	// What a removal consists of, which is written together.
	removal, deleteRange, updateRegister statement
}

// The contents of permanent maildrops that are kept with their lines, and what of the
// two is written together.
var (
	insertShort = &statement{name: "maildrop insert with content"}
	insertLine  = &statement{
		name: "maildrop insert line",
		cql:  "INSERT INTO maildrop (maildrop, lane, ord, id, octets, recipients) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
	}
	insertContent = &statement{
		name: "maildrop_content insert",
		cql:  "INSERT INTO maildrop_content (maildrop, lane, ord, id, octets, data) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
	}
	selectContent = &statement{
		name:   "maildrop_content select",
		cql:    "SELECT data FROM maildrop_content WHERE maildrop = ? AND lane = ? AND ord = ?",
		octets: MaxInline,
	}
	deleteContents = &statement{
		name: "maildrop_content delete range",
		cql:  "DELETE FROM maildrop_content USING TIMESTAMP ? WHERE maildrop = ? AND lane = ? AND ord >= ? AND ord <= ?",
	}
)

// MaxInline is how many octets a message may have whose content is kept with its line in
// a maildrop that is not temporary. A maildrop of ten thousand of them is a partition of
// 160 MiB; longer contents have a partition each.
const MaxInline = 16 << 10

func newMaildropTable(table string) *maildropTable {
	return &maildropTable{
		insert: statement{
			name: table + " insert",
			cql:  "INSERT INTO " + table + " (maildrop, lane, ord, id, octets, recipients, expires) VALUES (?, ?, ?, ?, ?, ?, ?) USING TTL ?",
		},
		selectAll: statement{
			name: table + " select",
			cql:  "SELECT lane, ord, id, octets, recipients, expires FROM " + table + " WHERE maildrop = ?",

			rows:   linesAtOnce,
			octets: linesAtOnce * lineOctets,
		},
		selectRegisters: statement{
			name: table + " select registers",
			cql:  "SELECT lane, dead FROM " + table + " WHERE maildrop = ? AND lane IN ? AND ord = -1",
		},
		removal: statement{name: table + " delete"},
		deleteRange: statement{
			name: table + " delete range",
			cql:  "DELETE FROM " + table + " USING TIMESTAMP ? WHERE maildrop = ? AND lane = ? AND ord >= ? AND ord <= ?",
		},
		updateRegister: statement{
			name: table + " update register",
			cql:  "UPDATE " + table + " USING TIMESTAMP ? AND TTL ? SET dead = ? WHERE maildrop = ? AND lane = ? AND ord = -1",
		},
	}
}

// newInlineTable has lines with a content each, or without.
func newInlineTable(table string) *maildropTable {
	t := newMaildropTable(table)
	t.inline = true
	t.insert.cql = "INSERT INTO " + table + " (maildrop, lane, ord, id, octets, recipients, expires, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?"
	t.selectAll.cql = "SELECT lane, ord, id, octets, recipients, expires, content FROM " + table + " WHERE maildrop = ?"
	t.selectAll.rows, t.selectAll.octets = inlineAtOnce, inlineAtOnce*(lineOctets+mailbox.MaxInline)
	return t
}

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

func newMaildrops(s *session) *maildrops {
	ids := &mailbox.MessageIDs{Now: s.options.Now}
	return &maildrops{table: maildropTables{s}, writer: newWriter(ids.Next, maxLanes), now: s.options.Now}
}

// A projection is the table of maildrops: the statements on a partition of it.
type projection interface {
	// insert writes a line, at its place, for so long; zero: for ever.
	insert(ctx context.Context, e mailbox.Entry, at writeTime, life time.Duration) error

	// list reads all lines, lane by lane. What it has so far it gives to prune from time
	// to time, and goes on with what comes back.
	list(ctx context.Context, drop mailbox.MaildropID, prune pruning) ([]mailbox.Message, error)

	// registers reads the registers that these lanes have.
	registers(ctx context.Context, drop mailbox.MaildropID, lanes []mailbox.MessageID) (map[mailbox.MessageID][]byte, error)

	// remove carries out removals. Where it fails, any part of each may have been
	// carried out, or be later.
	remove(ctx context.Context, drop mailbox.MaildropID, removals []removal) error
}

// A pruning says which of some lines are needed. It may reorder and overwrite them.
type pruning func(lines []mailbox.Message) []mailbox.Message

// keepAll needs all lines.
func keepAll(lines []mailbox.Message) []mailbox.Message { return lines }

// addsAtOnce is how many lines of one message are written at the same time.
const addsAtOnce = 32

func (m *maildrops) Add(ctx context.Context, entries []mailbox.Entry) error {
	for i, e := range entries {
		if e.Message.Place == (mailbox.Place{}) {
			entries[i].Message.Place = m.writer.place(e.Maildrop)
		}
		if e.Message.Inline != "" && !e.Maildrop.Temporary() {
			entries[i].Message.Place.Within = e.Maildrop
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
	life := time.Duration(0)
	if expires := e.Message.Expires; !expires.IsZero() {
		life = max(m.life(expires), time.Second)
	}
	if err := m.table.insert(ctx, e, insertedAt(e.Message.ID), life); err != nil {
		return fmt.Errorf("cassandra: add %s to maildrop %s: %w", e.Message.ID, e.Maildrop, err)
	}
	return nil
}

func (m *maildrops) List(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
	lines, err := m.table.list(ctx, drop, keepAll)
	if err != nil {
		return nil, fmt.Errorf("cassandra: list maildrop %s: %w", drop, err)
	}
	return listing(lines, m.now()), nil
}

// Newest reads all of the listing, since its lanes have to be merged, and keeps little
// more than it returns.
func (m *maildrops) Newest(ctx context.Context, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
	prune := func(lines []mailbox.Message) []mailbox.Message { return newest(listing(lines, m.now()), before, n) }
	lines, err := m.table.list(ctx, drop, prune)
	if err != nil {
		return nil, fmt.Errorf("cassandra: list the newest of maildrop %s: %w", drop, err)
	}
	lines = prune(lines)
	slices.Reverse(lines)
	return lines, nil
}

// newest are the last n lines of a listing below a bound. They take the place of the
// others, so that nothing of those stays in memory.
func newest(list []mailbox.Message, before mailbox.MessageID, n int) []mailbox.Message {
	if !before.IsZero() {
		list = slices.DeleteFunc(list, func(m mailbox.Message) bool { return m.ID.Compare(before) >= 0 })
	}
	return slices.Delete(list, 0, max(0, len(list)-max(0, n)))
}

// listing is what a maildrop shows of its lines at a time. A message that was added
// twice, each time as a new one, has two lines: it is listed once, as the later one has
// it, for as many recipients as either has, and without a place, so that removing it finds
// both.
func listing(lines []mailbox.Message, now time.Time) []mailbox.Message {
	lines = slices.DeleteFunc(lines, func(m mailbox.Message) bool { return !m.Expires.IsZero() && !now.Before(m.Expires) })
	lines = inOrder(lines)
	listed := lines[:0]
	for _, m := range lines {
		if n := len(listed); n > 0 && listed[n-1].ID == m.ID {
			m.Place, m.Recipients = mailbox.Place{}, max(m.Recipients, listed[n-1].Recipients)
			listed[n-1] = m
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
				if a[0].ID.Compare(b[0].ID) <= 0 {
					merged, a = append(merged, a[0]), a[1:]
				} else {
					merged, b = append(merged, b[0]), b[1:]
				}
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
		if !expires.IsZero() {
			removals[i].registerLife = min(registerLife, m.life(expires))
		}
	}
	return m.table.remove(ctx, drop, removals)
}

// life is how long a row is kept whose message expires: a little longer, as clocks
// differ.
func (m *maildrops) life(expires time.Time) time.Duration { return expires.Add(time.Hour).Sub(m.now()) }

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
	lines, err := m.table.list(ctx, drop, func(lines []mailbox.Message) []mailbox.Message {
		return slices.DeleteFunc(lines, func(line mailbox.Message) bool { return !wanted[line.ID] })
	})
	for _, line := range lines {
		if wanted[line.ID] {
			placed = append(placed, line)
		}
	}
	return placed, err
}

// maildropTables are the projection.
type maildropTables struct {
	*session
}

const (
	// linesAtOnce is how many lines are read at once: a page more costs a listing
	// another statement, and a page larger each session memory.
	linesAtOnce = 10_000
	// inlineAtOnce is that of lines with contents: a megabyte where each is as long as
	// may be, and still all that most temporary addresses show.
	inlineAtOnce = 250
	// lineOctets is what a line is in the answer.
	lineOctets = 76
)

func (maildropTables) of(drop mailbox.MaildropID) *maildropTable {
	if drop.Temporary() {
		return temporaryMaildrops
	}
	return permanentMaildrops
}

func (t maildropTables) insert(ctx context.Context, e mailbox.Entry, at writeTime, life time.Duration) error {
	m, table := e.Message, t.of(e.Maildrop)
	var content []byte // nil: is not written
	if m.Inline != "" {
		if err := t.checkClock(); err != nil { // as before content is put
			return err
		}
		content = []byte(m.Inline)
		if !table.inline {
			return t.insertShort(ctx, e, at, content)
		}
	}
	recipients := m.Recipients
	if m.Place.HasContent() {
		recipients = withContent
	}
	args := append(make([]any, 0, 9), e.Maildrop, m.Place.Lane, m.Place.Ord, m.ID, m.Octets, recipients, m.Expires)
	if table.inline {
		args = append(args, content)
	}
	if e.Maildrop.Temporary() { // where for ever is not as long
		life = min(life, MaxLife)
	}
	var seconds any = gocql.UnsetValue // the default of the table
	if life > 0 && life <= MaxLife {
		seconds = ttl(life)
	}
	return t.write(ctx, &table.insert, t.options.Acknowledge, at, append(args, seconds)...)
}

// withContent stands in a line for the number of recipients: there is one, and
// maildrop_content has what it gets.
const withContent = -1

// insertShort writes a line and its content.
func (t maildropTables) insertShort(ctx context.Context, e mailbox.Entry, at writeTime, content []byte) error {
	m := e.Message
	if len(content) > MaxInline || !m.Expires.IsZero() {
		return fmt.Errorf("content of %d octets, which expires at %s, in the listing", len(content), m.Expires)
	}
	place := m.Place
	return t.writeTogether(ctx, insertShort, t.options.Acknowledge, []bound{
		{insertContent, []any{e.Maildrop, place.Lane, place.Ord, m.ID, m.Octets, content, int64(at)}},
		{insertLine, []any{e.Maildrop, place.Lane, place.Ord, m.ID, m.Octets, withContent, int64(at)}},
	})
}

func (t maildropTables) list(ctx context.Context, drop mailbox.MaildropID, prune pruning) ([]mailbox.Message, error) {
	table := t.of(drop)
	var lines []mailbox.Message
	var lane, id uuidColumn
	var ord, octets, recipients, expires intColumn
	var content textColumn
	row := []any{&lane, &ord, &id, &octets, &recipients, &expires}
	if table.inline {
		row = append(row, &content)
	}
	rows := t.read(ctx, &table.selectAll, LocalQuorum, drop)
	for rows.scan(row...) {
		if ord == registerOrd {
			continue
		}
		if len(lines) == cap(lines) {
			lines = slices.Grow(prune(lines), rows.page.NumRows())
		}
		m := mailbox.Message{
			ID:         mailbox.MessageID(id),
			Octets:     int64(octets),
			Recipients: int(recipients),
			Place:      mailbox.Place{Lane: mailbox.MessageID(lane), Ord: int64(ord)},
			Inline:     string(content),
		}
		if recipients == withContent && !table.inline {
			m.Recipients, m.Place.Within = 1, drop
		}
		if expires != 0 {
			m.Expires = time.UnixMilli(int64(expires)).UTC()
		}
		lines = append(lines, m)
	}
	return lines, rows.err()
}

func (t maildropTables) registers(ctx context.Context, drop mailbox.MaildropID, lanes []mailbox.MessageID) (map[mailbox.MessageID][]byte, error) {
	registers := make(map[mailbox.MessageID][]byte, len(lanes))
	for some := range slices.Chunk(lanes, lanesAtOnce) {
		ids := make([]gocql.UUID, len(some))
		for i, lane := range some {
			ids[i] = gocql.UUID(lane)
		}
		rows := t.read(ctx, &t.of(drop).selectRegisters, LocalQuorum, drop, ids)
		var lane mailbox.MessageID
		var dead []byte
		for rows.scan(&lane, &dead) {
			registers[lane] = dead
			dead = nil
		}
		if err := rows.err(); err != nil {
			return nil, err
		}
	}
	return registers, nil
}

func (t maildropTables) remove(ctx context.Context, drop mailbox.MaildropID, removals []removal) error {
	table := t.of(drop)
	// A range goes with the contents in it, whether there are any or not, as nobody knows
	// that of what the register names; and a register no sooner than its ranges.
	var writes []bound
	write := func(least int) error {
		if len(writes) < least {
			return nil
		}
		some := writes
		writes = nil
		return t.writeTogether(ctx, &table.removal, t.options.Acknowledge, some)
	}
	for _, r := range removals {
		for _, gone := range r.ranges {
			where := []any{int64(r.at), drop, r.lane, gone.first, gone.last}
			writes = append(writes, bound{&table.deleteRange, where})
			if !drop.Temporary() {
				writes = append(writes, bound{deleteContents, where})
			}
			if err := write(removalsAtOnce); err != nil {
				return err
			}
		}
		if r.register != nil {
			writes = append(writes, bound{&table.updateRegister, []any{int64(r.registerAt), ttl(r.registerLife), r.register, drop, r.lane}})
		}
	}
	return write(1)
}

const (
	// lanesAtOnce is how many registers are asked for at once.
	lanesAtOnce = 100
	// removalsAtOnce is how many deletes and registers are written at once, of a
	// kilobyte in all, or a few more for each register.
	removalsAtOnce = 200
)

// The columns of a listing are read without reflection.
type (
	uuidColumn [16]byte
	intColumn  int64  // of 4 or 8 octets; zero: null
	textColumn string // empty: null
)

// UnmarshalCQL is part of gocql.Unmarshaler.
func (c *uuidColumn) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	*c = uuidColumn{}
	if copy(c[:], data) != len(data) {
		return fmt.Errorf("an id of %d octets", len(data))
	}
	return nil
}

// UnmarshalCQL is part of gocql.Unmarshaler.
func (c *intColumn) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	switch len(data) {
	case 0:
		*c = 0
	case 4:
		*c = intColumn(int32(binary.BigEndian.Uint32(data)))
	case 8:
		*c = intColumn(binary.BigEndian.Uint64(data))
	default:
		return fmt.Errorf("a number of %d octets", len(data))
	}
	return nil
}

// UnmarshalCQL is part of gocql.Unmarshaler.
func (c *textColumn) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	*c = textColumn(data)
	return nil
}
