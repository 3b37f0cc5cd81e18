package cassandra

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/gocql/gocql"

	"restante/mailbox"
)

// RepairOptions say how to repair.
type RepairOptions struct {
	RoundOptions

	// Apply mends what is found. Otherwise it is only told.
	Apply bool

	// Found hears of each finding, when it was mended if it is to be. One call comes
	// after the other. It may be nil.
	Found func(Finding)
}

// A Finding is a message about which listing and content do not agree.
type Finding struct {
	Kind     FindingKind
	Message  mailbox.MessageID
	Maildrop mailbox.MaildropID
}

// A FindingKind is what does not agree.
type FindingKind uint8

const (
	// Missing: the content is there and the maildrop is one of its recipients, which
	// did not release it, and does not list it. Applied, it is listed again.
	Missing FindingKind = iota
	// Dangling: the maildrop lists it, every replica was asked for the content, and none
	// has it. Applied, it is taken off the listing.
	Dangling
)

func (k FindingKind) String() string {
	if k == Missing {
		return "missing"
	}
	return "dangling"
}

// RepairStats count findings.
type RepairStats struct {
	Missing  int
	Dangling int
}

func (s RepairStats) String() string {
	return fmt.Sprintf("%d missing from listings, %d listed without content", s.Missing, s.Dangling)
}

const (
	repairTask    = "repair"
	repairDryTask = "repair dry run"
	repairMemory  = 64 << 20
	// repairSpread makes a filter that overlooks one finding in 100,000.
	repairSpread = 24
)

// Repair compares listings with contents in the permanent class, after a disaster: a
// data centre was lost, or a backup of one table is older than that of the other.
//
// It is not for every day. A message that its owner removed while the content could
// not be released looks the same as one that was lost from the listing, and comes
// back. Only Sweep removes such content, and the two do not run at once.
//
// As with Sweep, nothing is decided about what is younger than the age, or without
// every data centre; it may run beside everything else, and be stopped and go on.
func (s *Store) Repair(ctx context.Context, o RepairOptions) (stats RepairStats, err error) {
	if err = o.check(); err == nil {
		stats, err = s.repair(ctx, o)
	}
	if err != nil {
		err = fmt.Errorf("cassandra: repair: %w", err)
	}
	return stats, err
}

func (s *Store) repair(ctx context.Context, o RepairOptions) (RepairStats, error) {
	name, others := repairTask, []string{sweepTask}
	if !o.Apply {
		name, others = repairDryTask, nil
	}
	if o.Memory <= 0 {
		o.Memory = repairMemory
	}
	p := &repair{maildrops: s.Maildrops(), apply: o.Apply, tell: o.Found}
	r, err := s.session.begin(ctx, name, 4, o.RoundOptions, &p.stats, others...)
	if err != nil {
		return p.stats, stopped(err)
	}
	p.round = r
	s.session.options.Log.Info("repair begins", "task", name, "younger", r.cutoff, "rate", r.options.Rate)
	err = r.end(ctx, p.run(ctx))
	return p.stats, err
}

// A repair goes round maildrop, to learn what is listed; then message and
// maildrop_content, where it finds what is missing and learns what there is; and maildrop
// again, where it finds what dangles.
type repair struct {
	*round
	maildrops mailbox.Maildrops
	apply     bool
	tell      func(Finding)

	mu    sync.Mutex
	stats RepairStats

	seen   *filter // ids that are listed, each with the maildrop
	stored *filter // ids of contents
}

func (p *repair) run(ctx context.Context) error {
	content, err := p.progress(ctx, "message")
	if err != nil {
		return err
	}
	short, err := p.progress(ctx, "maildrop_content")
	if err != nil {
		return err
	}
	// What was learnt is not kept, so that a repair that goes on learns it again.
	if min(content.token, short.token) < lastToken {
		p.pass("maildrop")
		p.seen = newFilter(p.options.Memory/2, repairSpread)
		if err := p.walk(ctx, firstToken, &learnListed{repair: p}); err != nil {
			return err
		}
	} else {
		p.step++
	}
	from, err := p.enter(ctx, "message")
	if err != nil {
		return err
	}
	p.stored = newFilter(p.options.Memory/2, repairSpread)
	if err := p.walk(ctx, firstToken, &findMissing{unlisted{repair: p, from: from, missing: p.missing}}); err != nil {
		return err
	}
	if from, err = p.enter(ctx, "maildrop_content"); err != nil {
		return err
	}
	if err := p.walk(ctx, firstToken, &findMissingShort{unlisted{repair: p, from: from, missing: p.missingShort}}); err != nil {
		return err
	}
	p.seen = nil
	if from, err = p.enter(ctx, "maildrop"); err != nil {
		return err
	}
	return p.walk(ctx, from, &findDangling{repair: p})
}

// found tells of a finding.
func (p *repair) found(kind FindingKind, id mailbox.MessageID, drop mailbox.MaildropID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if kind == Missing {
		p.stats.Missing++
	} else {
		p.stats.Dangling++
	}
	p.metrics.found.WithLabelValues(p.name, kind.String()).Inc()
	if p.tell != nil {
		p.tell(Finding{kind, id, drop})
	}
}

// A line is a message in a maildrop.
type line struct {
	drop    mailbox.MaildropID
	message mailbox.Message
}

// key is what a filter knows a line by.
func (l line) key() []byte { return append(l.message.ID[:], l.drop[:]...) }

// idsOf are the ids of lines, each once.
func idsOf(lines []line) []mailbox.MessageID {
	all := make([]mailbox.MessageID, len(lines))
	for i, l := range lines {
		all[i] = l.message.ID
	}
	slices.SortFunc(all, mailbox.MessageID.Compare)
	return slices.Compact(all)
}

// which are those of some lines that are listed, or those that are not.
func (p *repair) which(ctx context.Context, lines []line, listed bool) ([]line, error) {
	look := make(wanted)
	for _, l := range lines {
		look.add(l.drop, l.message.ID)
	}
	found, err := p.listed(ctx, look, EachQuorum)
	return slices.DeleteFunc(lines, func(l line) bool { return found[l.drop][l.message.ID] != listed }), err
}

// readLines reads a slice of maildrop.
func (p *repair) readLines(ctx context.Context, begin, end int64, each func(line)) error {
	rows := p.round.read(ctx, scanMaildrops, EachQuorum, begin, end)
	for {
		var token int64
		var l line
		var recipients intColumn
		place := &l.message.Place
		if !rows.scan(&token, &l.drop, &place.Lane, &place.Ord, &l.message.ID, &recipients) {
			return rows.err()
		}
		if err := p.row(ctx, token); err != nil {
			return err
		}
		if recipients == withContent {
			place.Within = l.drop
		}
		if place.Ord > registerOrd && p.old(l.message.ID) {
			each(l)
		}
	}
}

// learnListed reads what is listed.
type learnListed struct{ *repair }

func (p *learnListed) read(ctx context.Context, begin, end int64) error {
	return p.readLines(ctx, begin, end, func(l line) { p.seen.add(l.key()) })
}

func (p *learnListed) settle(context.Context) error { return nil }

// An unlisted step reads what contents there are, and looks for those that a recipient
// does not list.
type unlisted struct {
	*repair
	from  int64 // what comes later was not looked at before
	lines []line

	// missing are those of some lines that are not listed and should be.
	missing func(context.Context, []line) ([]line, error)
}

// findMissing is unlisted of the contents that stand by themselves.
type findMissing struct{ unlisted }

func (p *findMissing) read(ctx context.Context, begin, end int64) error {
	p.lines = nil
	rows := p.round.read(ctx, scanRecipients, EachQuorum, begin, end)
	for {
		var token int64
		var id mailbox.MessageID
		var octets *int64
		var drops []gocql.UUID
		if !rows.scan(&token, &id, &octets, &drops) {
			return rows.err()
		}
		if err := p.row(ctx, token); err != nil {
			return err
		}
		if octets == nil {
			continue
		}
		p.stored.add(id[:])
		if token <= p.from || !p.old(id) {
			continue
		}
		for _, drop := range maildropIDs(drops) {
			l := line{drop, mailbox.Message{ID: id, Octets: *octets, Recipients: len(drops)}}
			// What is listed for a temporary address ends by itself, and what is on its
			// way to the outside is not listed.
			if !drop.Temporary() && drop != mailbox.Outbound && !p.seen.has(l.key()) {
				p.lines = append(p.lines, l)
			}
		}
	}
}

func (p *unlisted) settle(ctx context.Context) error {
	lines, err := p.missing(ctx, p.lines)
	if err != nil || len(lines) == 0 {
		return err
	}
	if p.apply {
		// What is being removed now is off the listing first.
		p.report(true)
		if err := wait(ctx, p.pause.settle); err != nil {
			return err
		}
		if lines, err = p.missing(ctx, lines); err != nil {
			return err
		}
		if err := p.sure(ctx); err != nil {
			return err
		}
	}
	return each(ctx, p.round, roundWrites, lines, func(ctx context.Context, l line) error {
		if p.apply {
			if err := p.maildrops.Add(ctx, []mailbox.Entry{{Maildrop: l.drop, Message: l.message}}); err != nil {
				return err
			}
		}
		p.found(Missing, l.message.ID, l.drop)
		return nil
	})
}

// findMissingShort is unlisted of the contents that are kept with their lines.
type findMissingShort struct{ unlisted }

func (p *findMissingShort) read(ctx context.Context, begin, end int64) error {
	p.lines = nil
	rows := p.round.read(ctx, scanListedContents, EachQuorum, begin, end)
	for {
		var token int64
		l := line{message: mailbox.Message{Recipients: 1}}
		m := &l.message
		if !rows.scan(&token, &l.drop, &m.Place.Lane, &m.Place.Ord, &m.ID, &m.Octets) {
			return rows.err()
		}
		if err := p.row(ctx, token); err != nil {
			return err
		}
		p.stored.add(m.ID[:])
		if token > p.from && p.old(m.ID) && !p.seen.has(l.key()) {
			m.Place.Within = l.drop
			p.lines = append(p.lines, l)
		}
	}
}

// missingShort is missing of contents that are kept with their lines. A content that is
// there was not removed, as the two are removed at once.
func (p *repair) missingShort(ctx context.Context, lines []line) ([]line, error) {
	lines, err := p.which(ctx, lines, false)
	if err != nil {
		return nil, err
	}
	there, err := p.kept(ctx, lines)
	return slices.DeleteFunc(lines, func(l line) bool { return !there[l.message.ID] }), err
}

// kept are the ids of those of some lines whose contents are kept with them.
func (p *repair) kept(ctx context.Context, lines []line) (map[mailbox.MessageID]bool, error) {
	var mu sync.Mutex
	there := make(map[mailbox.MessageID]bool)
	err := each(ctx, p.round, roundReads, lines, func(ctx context.Context, l line) error {
		found, err := p.keptWith(ctx, EachQuorum, l)
		if found {
			mu.Lock()
			defer mu.Unlock()
			there[l.message.ID] = true
		}
		return err
	})
	return there, err
}

// keptWith reports whether the content of a line is kept with it.
func (r *round) keptWith(ctx context.Context, level Consistency, l line) (bool, error) {
	place := l.message.Place
	if !place.HasContent() {
		return false, nil
	}
	return r.read(ctx, selectPlace, level, place.Within, place.Lane, place.Ord).one(nil)
}

// missing is that of contents that stand by themselves. The listing is read first: what
// is removed meanwhile was listed, or is released.
func (p *repair) missing(ctx context.Context, lines []line) ([]line, error) {
	lines, err := p.which(ctx, lines, false)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	done := make(map[mailbox.MessageID][]mailbox.MaildropID)
	err = each(ctx, p.round, roundReads, idsOf(lines), func(ctx context.Context, id mailbox.MessageID) error {
		drops, err := p.doneWith(ctx, id)
		mu.Lock()
		defer mu.Unlock()
		done[id] = drops
		return err
	})
	if err != nil {
		return nil, err
	}
	recipients, err := p.recipientsOf(ctx, idsOf(lines))
	return slices.DeleteFunc(lines, func(l line) bool {
		return len(recipients[l.message.ID]) == 0 || slices.Contains(done[l.message.ID], l.drop)
	}), err
}

// findDangling looks for what is listed and has no content.
type findDangling struct {
	*repair
	lines []line
}

func (p *findDangling) read(ctx context.Context, begin, end int64) error {
	p.lines = nil
	return p.readLines(ctx, begin, end, func(l line) {
		if !p.stored.has(l.message.ID[:]) {
			p.lines = append(p.lines, l)
		}
	})
}

func (p *findDangling) settle(ctx context.Context) error {
	stored, err := p.recipientsOf(ctx, idsOf(p.lines))
	if err != nil {
		return err
	}
	there, err := p.kept(ctx, p.lines)
	if err != nil {
		return err
	}
	p.lines = slices.DeleteFunc(p.lines, func(l line) bool { return len(stored[l.message.ID]) > 0 || there[l.message.ID] })
	// The content of what is being removed now goes after the line.
	lines, err := p.which(ctx, p.lines, true)
	if err != nil {
		return err
	}
	lines, err = nowhere(ctx, p.round, lines, p.storedAnywhere)
	if err != nil || len(lines) == 0 {
		return err
	}
	if err := p.sure(ctx); err != nil {
		return err
	}
	drops := make(map[mailbox.MaildropID][]mailbox.Message)
	for _, l := range lines {
		drops[l.drop] = append(drops[l.drop], l.message)
	}
	return each(ctx, p.round, roundWrites, slices.Collect(maps.Keys(drops)), func(ctx context.Context, drop mailbox.MaildropID) error {
		if p.apply {
			if err := p.maildrops.Remove(ctx, drop, drops[drop]...); err != nil {
				return err
			}
		}
		for _, m := range drops[drop] {
			p.found(Dangling, m.ID, drop)
		}
		return nil
	})
}
