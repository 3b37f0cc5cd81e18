package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A judge walks a history whose facts are known.
type judge struct {
	*facts
	rules   Rules
	verdict *Verdict
	watches []watch
}

// A listing is what a login in a data centre has listed of a maildrop.
type listing struct {
	line     int
	to       time.Duration // when it was known
	messages []*message
}

func newJudge(f *facts, r Rules) *judge {
	j := &judge{facts: f, rules: r, verdict: newVerdict(), watches: make([]watch, len(f.datacenters))}
	j.verdict.Spells, j.verdict.Seconds = f.spells, f.end.Seconds()
	seen := func() []Noticed {
		var n []Noticed
		for _, name := range f.datacenters {
			n = append(n, Noticed{Datacenter: name})
		}
		return n
	}
	j.verdict.Noticed = seen()
	for _, s := range f.spells {
		s.Noticed = seen()
	}
	return j
}

func (j *judge) add(e Entry) error {
	at := slices.Index(j.datacenters, e.Datacenter)
	switch e.Op {
	case Deliver:
		j.deliver(e)
	case List:
		j.verdict.Listings++
		if e.Result == OK {
			if err := j.list(e, at); err != nil {
				return err
			}
		}
	case Retr:
		j.retr(e, at)
	case Quit:
		if e.Result == OK {
			j.verdict.Removed += len(e.UIDs)
		}
	default:
		return nil
	}
	if e.Result == Permanent {
		j.verdict.found(Refused, "%s at %s: %s (%d)", e.Op, e.Server, e.Reply, e.Line)
	}
	if e.Op != Retr { // which is put off for a message that somebody else has removed
		j.notice(e, at)
	}
	return nil
}

// notice tells every spell that may be the reason. Of a time without success, what came
// before a spell or after the next one began is not its own.
func (j *judge) notice(e Entry, at int) {
	w := &j.watches[at]
	var gap, begun time.Duration
	switch {
	case e.Result != OK:
		begun = w.failure(e)
	case e.Op == Deliver || e.Op == List:
		gap = w.success(e)
	default:
		return
	}
	j.verdict.Noticed[at].notice(e, gap, begun)
	for i, s := range j.spells {
		until, next := s.End+j.rules.Heal, e.To
		if i+1 < len(j.spells) {
			next = max(s.End, j.spells[i+1].Begin)
			until = min(until, next)
		}
		if s.Begin <= e.To && e.To-gap <= until {
			own := min(e.To, next) - max(e.To-gap, s.Begin)
			s.Noticed[at].notice(e, own, max(begun, s.Begin))
		}
	}
}

func (j *judge) deliver(e Entry) {
	switch e.Result {
	case Temporary:
		j.verdict.Later++
	case Unknown:
		j.verdict.Unknown++
	case OK:
		for _, name := range e.Maildrops {
			d := j.drops[name]
			if m := d.mails[e.Letter]; m.ackLine == e.Line {
				d.due = append(d.due, m)
			}
		}
	}
}

// list holds a listing to what is known by then.
func (j *judge) list(e Entry, at int) error {
	d := j.drops[e.Maildrop]
	if d == nil { // it is empty, and nobody has ever sent there
		return nil
	}
	if len(e.Sizes) != len(e.UIDs) {
		return fmt.Errorf("history: line %d: %d unique-ids and %d sizes", e.Line, len(e.UIDs), len(e.Sizes))
	}
	seen := knowledge{at, e.From, e.To, j.trouble.converged(e.To)}
	lasting := j.destroyer(seen, never) == nil
	unknown := 0
	messages := make([]*message, 0, len(e.UIDs))
	for i, uid := range e.UIDs {
		m := d.messages[uid]
		if m.seen == e.Line {
			j.verdict.found(Duplicated, "%s lists unique-id %s twice (%d)", d.name, uid, e.Line)
			continue
		}
		m.seen = e.Line
		if m.octets != e.Sizes[i] {
			j.verdict.found(WrongBytes, "%s lists %s with %d octets (%d) and with %d (%d)", d.name, uid, m.octets, m.octetsLine, e.Sizes[i], e.Line)
		}
		if m.mail != nil {
			m.mail.seen = e.Line
			if lasting {
				m.mail.proofs = prove(m.mail.proofs, seen)
			}
		} else {
			unknown++
		}
		if len(messages) > 0 {
			d.order.add(step{messages[len(messages)-1].index, m.index}, e.Line)
		}
		messages = append(messages, m)
		j.back(e, at, d, m)
	}
	now := &listing{e.Line, e.To, messages}
	if e.From >= j.final {
		d.outcome[at] = now
		return nil // what it lacks is lost, or is not
	}
	if lasting && !j.rules.Relaxed {
		d.last[at].gone(e, seen)
	}
	d.last[at] = now
	j.lacking(e, at, d, unknown)
	return nil
}

// back looks whether a listed message was removed before. Each removal has to be known or
// to be excused, and one that is excused says nothing of the time after the next one.
func (j *judge) back(e Entry, at int, d *drop, m *message) {
	if m.told {
		return
	}
	tell := func(rule Rule, r removal) {
		j.verdict.found(rule, "%s: %s, removed by %s (%d), is listed in %s (%d)", d.name, m.uid, j.datacenters[r.in], r.line, e.Datacenter, e.Line)
	}
	var excused []removal
	for _, r := range m.removed {
		switch {
		case e.From < j.final && e.From < r.due(at):
		case !j.proven(m.proofs, at, e.From) && j.destroyer(r.knowledge, e.To) != nil:
			excused = append(excused, r)
		default:
			m.told = true
			tell(Resurrected, r)
			return
		}
	}
	if len(excused) > 0 && !m.excused {
		m.excused = true
		tell(BackWithout, excused[0])
	}
}

// lacking looks whether a listing lacks a mail that is due. Of messages that nobody has
// read, each may be one of the mails that nobody has found.
func (j *judge) lacking(e Entry, at int, d *drop, unknown int) {
	d.due = slices.DeleteFunc(d.due, func(m *mail) bool {
		if m.asked < e.To {
			return true // for good, as listings come in the order in which they end
		}
		if m.ack > e.From || m.seen == e.Line || len(m.messages) == 0 && d.blind > 0 {
			return false
		}
		if len(m.messages) == 0 && unknown > 0 {
			unknown--
			return false
		}
		gone := j.took(m, at, e.From, e.To) != nil
		tell := func(rule Rule, told *bool) {
			if !*told {
				*told = true
				j.verdict.found(rule, "%s: %s, acknowledged by %s (%d), is not listed in %s (%d)", d.name, m.letter, j.datacenters[m.at], m.ackLine, e.Datacenter, e.Line)
			}
		}
		switch {
		case m.at != at && (gone || e.From < m.elsewhere):
		case m.at != at:
			tell(LateElsewhere, &m.late)
		case gone, j.rules.Relaxed && j.troubled(at, m.ack, e.To):
			tell(Hidden, &m.hidden)
		default:
			tell(NotVisible, &m.missed)
		}
		return false
	})
}

// retr holds what was retrieved to what was sent.
func (j *judge) retr(e Entry, at int) {
	if e.Result != OK {
		return
	}
	j.verdict.Retrieved++
	d := j.drops[e.Maildrop]
	m := d.messages[e.UID]
	if e.From >= j.final && !slices.Contains(m.read, at) {
		m.read = append(m.read, at)
	}
	wrong := func(format string, args ...any) {
		j.verdict.found(WrongBytes, "%s: %s: %s (%d)", d.name, e.UID, fmt.Sprintf(format, args...), e.Line)
	}
	switch {
	case e.Damaged != "":
		wrong("%s", e.Damaged)
	case e.Letter != m.letter:
		j.verdict.found(ChangedUID, "%s: %s was %s (%d) and is %s (%d)", d.name, e.UID, m.letter, m.line, e.Letter, e.Line)
	case m.mail == nil:
		wrong("%s was never sent there", e.Letter)
	case m.mail.sum != e.Sum:
		wrong("%s was sent with hash %s (%d) and has %s", e.Letter, m.mail.sum, m.mail.line, e.Sum)
	case m.octetsLine > 0 && m.octets != e.Octets:
		wrong("it is listed with %d octets (%d) and has %d", m.octets, m.octetsLine, e.Octets)
	}
}

// end looks at what the final read has found, and at what only the whole tells.
func (j *judge) end() {
	for at := range j.datacenters { // how long nothing has come until the end counts as well
		for _, op := range []Op{Deliver, List} {
			if j.final == never {
				j.notice(Entry{Op: op, Result: OK, To: j.facts.end}, at)
			}
		}
	}
	if j.final == never {
		j.verdict.found(Unread, "there is no final read")
	}
	for _, name := range slices.Sorted(maps.Keys(j.drops)) {
		d := j.drops[name]
		for at := range j.datacenters {
			if j.final != never {
				j.outcome(d, at)
			}
		}
		for _, letter := range slices.Sorted(maps.Keys(d.mails)) {
			j.mail(d, d.mails[letter])
		}
		for _, round := range d.order.rounds() {
			j.verdict.found(Reordered, "%s: %s", d.name, d.steps(round))
		}
	}
}

// outcome is what a data centre has of a maildrop in the end.
func (j *judge) outcome(d *drop, at int) {
	last := d.outcome[at]
	if last == nil {
		if len(d.mails) > 0 {
			j.verdict.found(Unread, "%s was not to be listed in %s", d.name, j.datacenters[at])
		}
		return
	}
	const final = -1 // no line of a history, and another one for each data centre
	unknown := 0     // messages that nobody has read, each of which may be any mail
	for _, m := range last.messages {
		if at == 0 {
			j.verdict.Remaining++
		}
		if m.mail != nil {
			m.mail.seen = final - at
		} else {
			unknown++
		}
		if !slices.Contains(m.read, at) {
			j.verdict.found(Unread, "%s: %s was not to be retrieved in %s (%d)", d.name, m.uid, j.datacenters[at], last.line)
		}
	}
	for _, m := range d.mails {
		if m.ack == never || m.asked != never || m.seen == final-at || len(m.messages) == 0 && d.blind+unknown > 0 {
			continue
		}
		m.lacking = append(m.lacking, at)
	}
}

// mail is what has become of one mail.
func (j *judge) mail(d *drop, m *mail) {
	j.verdict.Mails++
	if m.ack != never {
		j.verdict.Acknowledged++
	}
	if extra := len(m.messages) - 1; extra > 0 {
		rule := Repeated
		if len(m.messages) > m.copies {
			rule = Duplicated
		}
		j.verdict.found(rule, "%s: %s is there %d times, and %d attempts were sent whole: %s", d.name, m.letter, len(m.messages), m.copies, uids(m.messages))
	}
	if len(m.lacking) == 0 {
		return
	}
	if s := j.took(m, m.at, never, never); s != nil && len(m.lacking) == len(j.datacenters) {
		j.verdict.found(GoneWith, "%s: %s, acknowledged by %s (%d)", d.name, m.letter, j.datacenters[m.at], m.ackLine)
		j.verdict.LostWindow = max(j.verdict.LostWindow, s.Begin-m.ack)
		return
	}
	var where []string
	for _, at := range m.lacking {
		where = append(where, fmt.Sprintf("%s (%d)", j.datacenters[at], d.outcome[at].line))
	}
	j.verdict.found(Lost, "%s: %s, acknowledged by %s (%d), is not in %s", d.name, m.letter, j.datacenters[m.at], m.ackLine, strings.Join(where, " and "))
}

func uids(messages []*message) string {
	var all []string
	for _, m := range messages {
		all = append(all, fmt.Sprintf("%s (%d)", m.uid, m.line))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// steps names the messages of a round, with the line of each step.
func (d *drop) steps(round []step) string {
	names := make([]string, len(d.messages))
	for uid, m := range d.messages {
		names[m.index] = uid
	}
	var all []string
	for _, s := range round {
		all = append(all, fmt.Sprintf("%s before %s (%d)", names[s.from], names[s.to], d.order.lines[s]))
	}
	return strings.Join(all, ", ")
}
