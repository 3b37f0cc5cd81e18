package cassandra

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"restante/mailbox"
)

func TestRepair(t *testing.T) {
	p := newPile(t)
	p.run(t, "lists again what is missing and takes off what dangles", (*pile).mends)
	p.run(t, "leaves what is removed while it looks", (*pile).leavesWhatIsBeingRemoved)
	p.run(t, "goes on where it was stopped", (*pile).repairGoesOn)
}

// findings are what a repair told.
type findings struct {
	mu  sync.Mutex
	all []string
}

func (f *findings) add(found Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, finding(found.Kind, found.Message, found.Maildrop))
}

func finding(kind FindingKind, id mailbox.MessageID, drop mailbox.MaildropID) string {
	return fmt.Sprint(kind, " ", id, " ", drop)
}

// checkRepair repairs, and compares what it told.
func (p *pile) checkRepair(o RepairOptions, want ...string) {
	p.t.Helper()
	var got findings
	o.pause, o.Found = impatient, got.add
	stats, err := p.Repair(p.t.Context(), o)
	if err != nil || stats.Missing+stats.Dangling != len(want) {
		p.t.Errorf("repaired %+v, %v; want %d findings", stats, err, len(want))
	}
	slices.Sort(got.all)
	slices.Sort(want)
	if !slices.Equal(got.all, want) {
		p.t.Errorf("it told %q, want %q", got.all, want)
	}
}

// shortEntry is a message whose content is to be kept with its line.
func (p *pile) shortEntry(id mailbox.MessageID, drop mailbox.MaildropID) mailbox.Entry {
	return mailbox.Entry{Maildrop: drop, Message: mailbox.Message{
		ID: id, Octets: int64(len(smallLetter)), Recipients: 1, Inline: string(smallLetter),
		Place: mailbox.Place{Lane: p.old.Next(), Ord: 7, Within: drop},
	}}
}

func (p *pile) mends() {
	var drops []mailbox.MaildropID
	drop := func() mailbox.MaildropID {
		drops = append(drops, aDrop())
		return drops[len(drops)-1]
	}
	// As it should be.
	p.delivered(p.old.Next(), drop(), drop())
	halfReleased := someDrops(2)
	shared := p.content(p.old.Next(), halfReleased...)
	p.done(shared, halfReleased[0])
	p.list(shared, halfReleased[1])
	p.content(p.old.Next(), aTemporaryDrop()) // long over
	p.torn(p.old.Next())
	p.content(p.old.Next(), mailbox.Outbound) // on its way to the outside
	// Not yet to be decided about.
	p.content(p.young.Next(), aDrop())
	p.list(p.young.Next(), aDrop())
	short := p.shortEntry(p.old.Next(), drop())
	add(p.t, p.Store.Maildrops(), []mailbox.Entry{short})
	// To be mended.
	lonely, lost := p.old.Next(), drop()
	p.content(lonely, lost)
	several, listed, forgotten, released := p.old.Next(), drop(), drop(), drop()
	p.content(several, listed, forgotten, released, aTemporaryDrop())
	p.done(several, released)
	p.list(several, listed)
	dangling, at := p.old.Next(), drop()
	p.list(dangling, at)
	beside := p.delivered(p.old.Next(), at)
	uncommitted, in := p.torn(p.old.Next()), drop()
	p.list(uncommitted, in)
	unlisted, bare := p.shortEntry(p.old.Next(), drop()), p.shortEntry(p.old.Next(), drop())
	m := unlisted.Message
	p.write(insertContent, insertedAt(m.ID), unlisted.Maildrop, m.Place.Lane, m.Place.Ord, m.ID, m.Octets, smallLetter, int64(insertedAt(m.ID)))
	bare.Message.Inline = ""
	add(p.t, p.Store.Maildrops(), []mailbox.Entry{bare})

	want := []string{
		finding(Missing, lonely, lost),
		finding(Missing, several, forgotten),
		finding(Dangling, dangling, at),
		finding(Dangling, uncommitted, in),
		finding(Missing, unlisted.Message.ID, unlisted.Maildrop),
		finding(Dangling, bare.Message.ID, bare.Maildrop),
	}
	before := p.listing(drops)
	p.checkRepair(RepairOptions{}, want...)
	if after := p.listing(drops); !slices.Equal(after, before) {
		p.t.Errorf("a dry run made %v of %v", after, before)
	}
	p.checkRepair(RepairOptions{Apply: true}, want...)
	for drop, id := range map[mailbox.MaildropID]mailbox.MessageID{
		lost: lonely, forgotten: several, listed: several, at: beside,
		short.Maildrop: short.Message.ID, unlisted.Maildrop: unlisted.Message.ID,
	} {
		list, err := p.Store.Maildrops().List(p.t.Context(), drop)
		if err != nil || len(list) != 1 || list[0].ID != id || list[0].Octets != int64(len(smallLetter)) {
			p.t.Errorf("%s lists %+v, %v; want %s", drop, list, err, id)
			continue
		}
		if octets, err := contentOf(p.t.Context(), p.Store, list[0]); err != nil || string(octets) != string(smallLetter) {
			p.t.Errorf("%s: %q, %v", id, octets, err)
		}
	}
	list, err := p.Store.Maildrops().List(p.t.Context(), forgotten)
	if err != nil || len(list) != 1 || list[0].Recipients != 4 {
		p.t.Errorf("it lists %+v, %v; want 4 recipients", list, err)
	}
	for _, drop := range []mailbox.MaildropID{released, in, bare.Maildrop} {
		if list, err := p.Store.Maildrops().List(p.t.Context(), drop); err != nil || len(list) != 0 {
			p.t.Errorf("%s lists %+v, %v", drop, list, err)
		}
	}
	p.checkRepair(RepairOptions{Apply: true})
}

// listing is what some maildrops list.
func (p *pile) listing(drops []mailbox.MaildropID) (lines []mailbox.Message) {
	p.t.Helper()
	for _, drop := range drops {
		list, err := p.Store.Maildrops().List(p.t.Context(), drop)
		if err != nil {
			p.t.Fatal(err)
		}
		lines = append(lines, list...)
	}
	return lines
}

// A message that is being removed is off the listing before its content goes: it is
// found, and found again after a pause. A line that is being removed is looked for
// again, too.
func (p *pile) leavesWhatIsBeingRemoved() {
	drop := aDrop()
	id := p.content(p.old.Next(), drop)
	dangling := p.list(p.old.Next(), drop)
	o := RepairOptions{Apply: true}
	o.pause = impatient
	var last Progress
	did := 0
	o.Report = func(pr Progress) {
		var err error
		switch {
		case pr.Step == 2 && pr.Rows == last.Rows && pr.Ring == last.Ring: // the pause begins
			err = p.session.remove(p.t.Context(), permanentContents, id)
			did++
		case pr.Step == 4 && pr.Rows > last.Rows: // it has read the line
			err = p.Store.Maildrops().Remove(p.t.Context(), drop, dangling)
			did++
		}
		if err != nil {
			p.t.Error(err)
		}
		last = pr
	}
	if stats, err := p.Repair(p.t.Context(), o); err != nil || stats != (RepairStats{}) || did != 2 {
		p.t.Errorf("it found %+v, %v, when %d of 2 were removed", stats, err, did)
	}
}

func (p *pile) repairGoesOn() {
	const n = 40
	drop := aDrop()
	for range n {
		p.content(p.old.Next(), drop)
		p.list(p.old.Next(), aDrop())
	}
	stopped := func(step int, at float64) (RepairStats, Progress) {
		p.t.Helper()
		ctx, cancel := context.WithCancel(p.t.Context())
		defer cancel()
		first := Progress{Ring: math.NaN()}
		o := RepairOptions{Apply: true}
		o.pause = impatient
		o.Report = func(pr Progress) {
			if math.IsNaN(first.Ring) {
				first = pr
			}
			if pr.Step == step && pr.Ring > at {
				cancel()
			}
		}
		stats, err := p.Repair(ctx, o)
		if !errors.Is(err, context.Canceled) {
			p.t.Errorf("stopped with %v", err)
		}
		return stats, first
	}
	a, first := stopped(2, 0.5)
	if a.Missing == 0 || a.Missing == n || first.Step != 1 {
		p.t.Errorf("it found %+v, having begun at step %d", a, first.Step)
	}
	// It reads from the start, and has nothing to look for before it was stopped.
	if b, _ := stopped(2, 0.1); b != (RepairStats{}) {
		p.t.Errorf("what was looked for before has %+v", b)
	}
	if t, _, err := (&ledger{session: p.session}).look(p.t.Context(), "repair message"); err != nil || ringAt(t.token) < 0.4 {
		p.t.Errorf("it would go on at %.2f of the ring, %v", ringAt(t.token), err)
	}
	b, first := stopped(4, 0.5)
	if a.Missing+b.Missing != n || b.Dangling == 0 || b.Dangling == n || first.Step != 1 {
		p.t.Errorf("it found %+v and then %+v, having begun at step %d", a, b, first.Step)
	}
	// What is missing need not be looked for any more.
	var first2 *Progress
	var got findings
	o := RepairOptions{Apply: true, Found: got.add}
	o.pause = impatient
	o.Report = func(pr Progress) {
		if first2 == nil {
			first2 = &pr
		}
	}
	c, err := p.Repair(p.t.Context(), o)
	if err != nil || c.Missing != 0 || b.Dangling+c.Dangling != n || first2.Step != 2 {
		p.t.Errorf("it found %+v, %v, having begun at step %d", c, err, first2.Step)
	}
	p.checkRepair(RepairOptions{Apply: true})
}
