package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"restante/mailbox"
)

// maildrops are mailbox.Maildrops: a row for each line of a listing, and a
// listing in memory for each maildrop that was listed lately.
//
// # Cost
//
// A row that is removed leaves a tombstone which a walk over the rows has to
// pass until Pebble compacts it away, and nobody knows when that is. So the
// rows of a maildrop have a generation, and its head counts the dead. When they
// outnumber the living, the removal at hand copies the living to the next
// generation and drops the old one as a range that nobody walks any more. A
// listing thus costs what is in the maildrop, whatever has been there before,
// and a removal copies one row for each that it removes, at most.
//
// # Order
//
// Whatever changes a maildrop happens in two steps. Under the lock of the
// maildrop it is applied, which gives it a place in the log, with no wait for
// the disk, so that writers to one maildrop share a sync. Once it is durable,
// it takes the lock again and becomes visible. Until then a list leaves out
// what is being added, and still has what is being removed: it never shows what
// a power loss could undo.
type maildrops struct {
	store *Store
	cache *listingCache

	// The days for which there may be removals, in order. It is replaced as a
	// whole.
	days atomic.Pointer[[]uint32]
}

// minDead is how many dead rows a generation may always have: a new generation
// for each message removed would be wasteful, and a walk past this many is not
// felt.
const minDead = 32

func newMaildrops(s *Store, cached int) (*maildrops, error) {
	m := &maildrops{store: s, cache: newListingCache(cached)}
	days, err := m.readDays()
	if err != nil {
		return nil, err
	}
	m.days.Store(&days)
	return m, nil
}

// readDays finds the days for which there are removals.
func (m *maildrops) readDays() (days []uint32, err error) {
	from, end := []byte{prefixRemoval}, []byte{prefixRemoval + 1}
	for from != nil {
		next := []byte(nil)
		err := m.store.scan(context.Background(), from, end, func(key, _ []byte) (bool, error) {
			if len(key) < 5 {
				return false, fmt.Errorf("removal key: %w", errCorrupt)
			}
			day := binary.BigEndian.Uint32(key[1:])
			days = append(days, day)
			next = after(removalDayPrefix(day))
			return false, nil
		})
		if err != nil {
			return nil, err
		}
		from = next
	}
	return days, nil
}

func (m *maildrops) Add(ctx context.Context, entries []mailbox.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := m.add(ctx, entries); err != nil {
		return fmt.Errorf("embedded: add %s: %w", entries[0].Message.ID, err)
	}
	return nil
}

func (m *maildrops) add(ctx context.Context, entries []mailbox.Entry) error {
	s := m.store
	octets := len(entries) * batchOverhead
	for _, e := range entries {
		octets += len(e.Message.Inline)
	}
	if err := s.room.take(octets); err != nil {
		return err
	}
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.leaveWrite()
	held := m.cache.hold(dropsOf(entries))
	defer m.cache.release(held)
	b := s.batch(octets)
	if err := m.applyAdd(b, held, entries); err != nil {
		return err
	}
	if err := s.settle(b); err != nil {
		return err
	}
	for _, l := range held {
		l.mu.Lock()
		for _, e := range entries {
			if e.Maildrop == l.drop {
				l.added(e.Message)
			}
		}
		l.mu.Unlock()
	}
	return nil
}

// dropsOf are the maildrops of the entries, in order and each once.
func dropsOf(entries []mailbox.Entry) []mailbox.MaildropID {
	drops := make([]mailbox.MaildropID, len(entries))
	for i, e := range entries {
		drops[i] = e.Maildrop
	}
	return sortedDrops(drops)
}

// sortedDrops are maildrops in the order in which they are locked, each once.
func sortedDrops(drops []mailbox.MaildropID) []mailbox.MaildropID {
	return slices.Compact(slices.SortedFunc(slices.Values(drops), compareDrops))
}

func compareDrops(a, b mailbox.MaildropID) int { return bytes.Compare(a[:], b[:]) }

// applyAdd is the first step of an addition.
func (m *maildrops) applyAdd(b *batch, held []*listing, entries []mailbox.Entry) error {
	for _, l := range held { // in the order of the maildrops, so that nobody waits in a circle
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	type line struct {
		listing *listing
		message mailbox.Message
	}
	var fresh []line
	ids := idsOf(entries)
	for _, e := range entries {
		if e.Message.Inline != "" { // it is put by this
			m.store.newcomers.arrive(e.Message.ID)
		}
	}
	first := make(map[mailbox.MessageID]bool, len(ids))
	for _, id := range ids {
		first[id] = m.store.newcomers.touch(id)
	}
	for _, e := range entries {
		i, _ := slices.BinarySearchFunc(held, e.Maildrop, func(l *listing, drop mailbox.MaildropID) int {
			return compareDrops(l.drop, drop)
		})
		e.Message.Place, e.Message.Recipients = mailbox.Place{}, 0 // of no use here
		unseen, err := m.addRow(b, held[i], e.Message, first[e.Message.ID])
		if err != nil {
			return err
		}
		e.Message.Inline = ""
		if unseen {
			fresh = append(fresh, line{held[i], e.Message})
		}
	}
	// Whoever is listed needs no watching.
	for _, id := range ids {
		b.delete(watchKey(id))
	}
	if err := m.store.apply(b); err != nil {
		return err
	}
	for _, f := range fresh {
		f.listing.adding[f.message.ID] = f.message
	}
	return nil
}

// idsOf are the messages of the entries: nearly always one.
func idsOf(entries []mailbox.Entry) []mailbox.MessageID {
	ids := []mailbox.MessageID{entries[0].Message.ID}
	for _, e := range entries[1:] {
		if !slices.Contains(ids, e.Message.ID) {
			ids = append(ids, e.Message.ID)
		}
	}
	return ids
}

// addRow adds a line to a batch, unless it was removed before, and says whether
// no reader has seen it yet. Of a message that is heard of for the first time,
// there is no need to look.
func (m *maildrops) addRow(b *batch, l *listing, message mailbox.Message, first bool) (unseen bool, err error) {
	if !first {
		if removed, err := m.wasRemoved(l.drop, message.ID); err != nil || removed {
			return false, err
		}
	}
	if err := m.readHead(l); err != nil {
		return false, err
	}
	if message.Inline != "" {
		m.store.contents.putIn(b, l.drop, message)
	}
	key := rowKey(l.drop, l.head.generation, message.ID)
	if !first {
		listed, err := m.isListed(l, message.ID, key)
		if err != nil {
			return false, err
		}
		unseen = !listed
	}
	b.set(key, appendRow(nil, message))
	if !message.Expires.IsZero() {
		b.set(rowExpiryKey(message.Expires, l.drop, message.ID), nil)
	}
	return unseen || first, nil
}

// isListed reports whether readers may have seen the line already.
func (m *maildrops) isListed(l *listing, id mailbox.MessageID, key []byte) (bool, error) {
	if _, ok := l.adding[id]; ok {
		return false, nil
	}
	if l.loaded {
		_, found := l.find(id)
		return found, nil
	}
	return m.store.has(key)
}

// wasRemoved reports whether a removal of the message is on record.
func (m *maildrops) wasRemoved(drop mailbox.MaildropID, id mailbox.MessageID) (bool, error) {
	days := *m.days.Load()
	first, _ := slices.BinarySearch(days, dayOf(id.Time()))
	for _, day := range days[first:] {
		if found, err := m.store.has(removalKey(day, drop, id)); err != nil || found {
			return found, err
		}
	}
	return false, nil
}

func (m *maildrops) Remove(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	if len(messages) == 0 {
		return nil
	}
	ids := make([]mailbox.MessageID, len(messages))
	for i, message := range messages {
		ids[i] = message.ID
	}
	if err := m.remove(ctx, drop, ids); err != nil {
		return fmt.Errorf("embedded: remove %d messages of maildrop %s: %w", len(messages), drop, err)
	}
	return nil
}

func (m *maildrops) remove(ctx context.Context, drop mailbox.MaildropID, ids []mailbox.MessageID) error {
	s := m.store
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.leaveWrite()
	held := m.cache.hold([]mailbox.MaildropID{drop})
	defer m.cache.release(held)
	l := held[0]
	b := s.batch(0)
	gone, err := m.applyRemove(ctx, b, l, ids)
	if err != nil {
		return err
	}
	if err := s.settle(b); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed(gone)
	return nil
}

// applyRemove is the first step of a removal. It says which lines go.
func (m *maildrops) applyRemove(ctx context.Context, b *batch, l *listing, ids []mailbox.MessageID) (gone map[mailbox.MessageID]bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := m.load(ctx, l); err != nil {
		return nil, err
	}
	gone = make(map[mailbox.MessageID]bool, len(ids))
	dying := make([]mailbox.Message, 0, len(ids))
	for _, id := range ids {
		if gone[id] {
			continue
		}
		gone[id] = true
		m.store.newcomers.touch(id)
		b.set(removalKey(m.removalDay(id), l.drop, id), nil)
		if message, ok := l.strike(id); ok {
			dying = append(dying, message)
		}
	}
	for _, message := range dying {
		if !message.Expires.IsZero() {
			b.delete(rowExpiryKey(message.Expires, l.drop, message.ID))
		}
	}
	if len(dying) > 0 {
		m.bury(b, l, dying)
	}
	return gone, m.store.apply(b)
}

// bury removes rows, one by one or with all of their generation.
func (m *maildrops) bury(b *batch, l *listing, dying []mailbox.Message) {
	l.head.dead += uint64(len(dying))
	if l.head.dead < minDead+uint64(l.living()) {
		m.deleteRows(b, l, dying)
	} else {
		b.deletePrefix(rowPrefix(l.drop, l.head.generation))
		l.head = head{generation: l.head.generation + 1}
		for message := range l.rows() {
			b.set(rowKey(l.drop, l.head.generation, message.ID), appendRow(nil, message))
		}
	}
	m.writeHead(b, l)
}

// headRest is how long a temporary maildrop keeps its head at least, and the grain of
// the times at which it is looked whether it needs one: not for each removal.
const headRest = time.Hour

// writeHead writes the head of a maildrop. In a temporary one, it is of no use any more
// when the messages that are there now have expired, unless others came.
func (m *maildrops) writeHead(b *batch, l *listing) {
	b.set(headKey(l.drop), appendHead(nil, l.head))
	l.headStored = true
	if !l.drop.Temporary() {
		return
	}
	last := m.store.now()
	for message := range l.rows() {
		if message.Expires.After(last) {
			last = message.Expires
		}
	}
	b.set(headExpiryKey(last.Truncate(headRest).Add(headRest), l.drop), nil)
}

// An expiringListing is a maildrop in which lines expired.
type expiringListing struct {
	*listing
	dying   []mailbox.Message
	gone    map[mailbox.MessageID]bool
	headDue bool // it is to be looked whether the head is needed
}

// readExpiring reads what buryExpired needs to know. A listing that is not in memory is
// read only where there are many dead: nearly all temporary maildrops end as they came,
// with a message or two.
func (m *maildrops) readExpiring(ctx context.Context, l *expiringListing) error {
	if err := m.readHead(l.listing); err != nil {
		return err
	}
	l.headDue = l.headDue && l.headStored
	if l.headDue || l.head.dead+uint64(len(l.dying)) >= minDead {
		return m.load(ctx, l.listing)
	}
	return nil
}

// buryExpired removes the rows of lines that expired, and a head that is not needed.
func (m *maildrops) buryExpired(b *batch, l expiringListing) {
	for _, message := range l.dying {
		if l.loaded {
			l.strike(message.ID)
		} else {
			delete(l.adding, message.ID)
		}
	}
	dead := l.head.dead + uint64(len(l.dying))
	switch {
	case l.headDue && l.living() == 0:
		m.deleteRows(b, l.listing, l.dying)
		b.delete(headKey(l.drop))
		l.head, l.headStored = head{}, false
	case l.headDue, l.loaded && dead >= minDead:
		m.bury(b, l.listing, l.dying)
	case len(l.dying) > 0:
		m.deleteRows(b, l.listing, l.dying)
		l.head.dead = dead
		if l.headStored {
			m.writeHead(b, l.listing)
		}
	}
}

func (m *maildrops) deleteRows(b *batch, l *listing, messages []mailbox.Message) {
	for _, message := range messages {
		b.delete(rowKey(l.drop, l.head.generation, message.ID))
	}
}

// removalDay is the day under which a removal now is on record: today, and for a
// message from what the clock calls the future, its own. So a removal is never
// of an earlier day than its message, however the clock was set, and an addition
// need not look there.
func (m *maildrops) removalDay(id mailbox.MessageID) uint32 {
	day := max(dayOf(m.store.now()), dayOf(id.Time()))
	for {
		days := m.days.Load()
		i, found := slices.BinarySearch(*days, day)
		if found {
			return day
		}
		more := slices.Insert(slices.Clone(*days), i, day)
		if m.days.CompareAndSwap(days, &more) {
			return day
		}
	}
}

func (m *maildrops) List(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
	messages, err := m.list(ctx, drop)
	if err != nil {
		return nil, fmt.Errorf("embedded: list maildrop %s: %w", drop, err)
	}
	return messages, nil
}

func (m *maildrops) list(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
	if err := m.store.enter(ctx); err != nil {
		return nil, err
	}
	defer m.store.leave()
	held := m.cache.hold([]mailbox.MaildropID{drop})
	defer m.cache.release(held)
	l := held[0]
	l.mu.Lock()
	defer l.mu.Unlock()
	m.store.metrics.listed(l.loaded)
	if err := m.load(ctx, l); err != nil {
		return nil, err
	}
	return l.at(m.store.now()), nil
}

func (m *maildrops) Newest(ctx context.Context, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
	messages, err := m.newest(ctx, drop, before, n)
	if err != nil {
		return nil, fmt.Errorf("embedded: list the newest of maildrop %s: %w", drop, err)
	}
	return messages, nil
}

// newest costs what is asked for: a listing that is not in memory stays where it is,
// and its rows are read from the end. Rows that are dead lie between them at worst,
// and never more than there are living.
func (m *maildrops) newest(ctx context.Context, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
	if err := m.store.enter(ctx); err != nil {
		return nil, err
	}
	defer m.store.leave()
	held := m.cache.hold([]mailbox.MaildropID{drop})
	defer m.cache.release(held)
	l := held[0]
	l.mu.Lock()
	defer l.mu.Unlock()
	m.store.metrics.listed(l.loaded)
	if n <= 0 {
		return nil, nil
	}
	if l.loaded {
		return l.newest(m.store.now(), before, n), nil
	}
	if err := m.readHead(l); err != nil {
		return nil, err
	}
	prefix := rowPrefix(drop, l.head.generation)
	end := after(prefix)
	if !before.IsZero() {
		end = rowKey(drop, l.head.generation, before)
	}
	var newest []mailbox.Message
	now := m.store.now()
	err := m.store.scanBack(ctx, prefix, end, func(key, value []byte) (bool, error) {
		message, err := decodeRowOf(prefix, key, value)
		if _, adding := l.adding[message.ID]; !adding && err == nil && unexpired(message, now) {
			newest = append(newest, message)
		}
		return len(newest) < n, err
	})
	return newest, err
}

// decodeRowOf reads a row of the maildrop and generation with the prefix.
func decodeRowOf(prefix, key, value []byte) (message mailbox.Message, err error) {
	if len(key) != len(prefix)+16 {
		return message, fmt.Errorf("row key of %d octets: %w", len(key), errCorrupt)
	}
	message, err = decodeRow(value)
	message.ID = decodeID(key[len(prefix):])
	return message, err
}

// load brings the rows of a maildrop to memory. The caller holds its lock.
func (m *maildrops) load(ctx context.Context, l *listing) error {
	if l.loaded {
		return nil
	}
	if err := m.readHead(l); err != nil {
		return err
	}
	var messages []mailbox.Message
	prefix := rowPrefix(l.drop, l.head.generation)
	err := m.store.scan(ctx, prefix, after(prefix), func(key, value []byte) (bool, error) {
		message, err := decodeRowOf(prefix, key, value)
		if _, adding := l.adding[message.ID]; !adding && err == nil {
			messages = append(messages, message)
		}
		return true, err
	})
	if err != nil {
		return err
	}
	l.set(messages)
	return nil
}

// readHead reads the head of a maildrop. The caller holds its lock.
func (m *maildrops) readHead(l *listing) error {
	if l.headRead {
		return nil
	}
	found, err := m.store.get(headKey(l.drop), func(value []byte) (err error) {
		l.head, err = decodeHead(value)
		return err
	})
	l.headRead, l.headStored = err == nil, found
	return err
}

// rowOf reads a line, whether it is durable already or not. The caller has the lock of
// the maildrop.
func (m *maildrops) rowOf(l *listing, id mailbox.MessageID) (message mailbox.Message, found bool, err error) {
	if err := m.readHead(l); err != nil {
		return message, false, err
	}
	found, err = m.store.get(rowKey(l.drop, l.head.generation, id), func(value []byte) (err error) {
		message, err = decodeRow(value)
		return err
	})
	message.ID = id
	return message, found, err
}

// closeDay forgets the removals of a day.
func (m *maildrops) closeDay(ctx context.Context, day uint32) error {
	s := m.store
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.leaveWrite()
	b := s.batch(0)
	b.deletePrefix(removalDayPrefix(day))
	if err := s.commitUnsynced(b); err != nil {
		return err
	}
	for {
		days := m.days.Load()
		less := slices.DeleteFunc(slices.Clone(*days), func(d uint32) bool { return d == day })
		if m.days.CompareAndSwap(days, &less) {
			return nil
		}
	}
}
