package rest

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/semaphore"

	"restante/letter"
	"restante/mailbox"
)

// What a listing reads of each message at most, and shows of its text, in octets.
const (
	glanceOctets = 256 << 10
	glanceText   = 32 << 10
)

// A glance is what a listing says of a message beside what is listed. It never
// changes, since no message does.
type glance struct {
	sender, subject string
	sent            time.Time
	text            string
	cut             bool // there is more text
	header          bool // only the header was read: there is no text
}

// glanceLimits bound what a glance costs.
var glanceLimits = letter.Limits{Octets: glanceOctets, Text: glanceText, HTML: glanceOctets, Parts: 100, Time: 5 * time.Second}

func glanceOf(l *letter.Letter) glance {
	g := glance{sender: l.Sender, subject: l.Subject, sent: l.Date, text: l.Text, cut: l.Truncated}
	if len(g.text) > glanceText {
		g.text, g.cut = cutText(g.text, glanceText), true
	}
	return g
}

// cutText is the beginning of a text, not in the middle of a character.
func cutText(text string, most int) string {
	for most > 0 && text[most]&0xc0 == 0x80 {
		most--
	}
	return text[:most]
}

// summaries remembers glances: the newest messages of a mailbox are listed over and
// over by whoever waits for more.
type summaries struct {
	cache *otter.Cache[mailbox.MessageID, glance]
}

// How much the glances in memory weigh, in octets.
const (
	summariesWeight = 16 << 20
	glanceWeight    = 200 // of one, beside its text
)

func newSummaries() *summaries {
	return &summaries{otter.Must(&otter.Options[mailbox.MessageID, glance]{
		MaximumWeight: summariesWeight,
		Weigher: func(_ mailbox.MessageID, g glance) uint32 {
			return uint32(glanceWeight + len(g.sender) + len(g.subject) + len(g.text))
		},
	})}
}

// get is a glance that is remembered, with the text if that is wanted.
func (s *summaries) get(id mailbox.MessageID, text bool) (glance, bool) {
	g, ok := s.cache.GetIfPresent(id)
	return g, ok && !(text && g.header)
}

func (s *summaries) put(id mailbox.MessageID, g glance) { s.cache.Set(id, g) }

// glance looks into a message. It fails with mailbox.ErrNotFound where that was
// removed in between.
func (p *public) glance(ctx context.Context, m mailbox.Message, text bool) (glance, error) {
	if g, ok := p.summaries.get(m.ID, text); ok {
		return g, nil
	}
	content, err := p.Mailboxes.Open(ctx, m)
	if err != nil {
		return glance{}, fmt.Errorf("open %s: %w", m.ID, err)
	}
	defer content.Close()
	var l *letter.Letter
	if text {
		if err := p.reading.wait(ctx); err != nil {
			return glance{}, err
		}
		defer p.reading.done()
		l, err = letter.Read(content, glanceLimits)
	} else {
		l, err = letter.ReadHeader(content)
	}
	if err != nil {
		return glance{}, fmt.Errorf("read %s: %w", m.ID, err)
	}
	g := glanceOf(l)
	g.header = !text
	p.summaries.put(m.ID, g)
	return g, nil
}

// turns bound how many messages are taken apart at once: it costs memory for each,
// and time of the processors, of which there are so many.
type turns struct{ *semaphore.Weighted }

func newTurns() *turns { return &turns{semaphore.NewWeighted(int64(2 * runtime.GOMAXPROCS(0)))} }

func (t *turns) wait(ctx context.Context) error {
	if err := t.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("wait for others to read: %w", err)
	}
	return nil
}

func (t *turns) done() { t.Release(1) }

// read takes a whole message apart.
func (p *public) read(ctx context.Context, m mailbox.Message) (*letter.Letter, error) {
	content, err := p.Mailboxes.Open(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", m.ID, err)
	}
	defer content.Close()
	return p.take(ctx, content)
}

// take takes apart what r has.
func (p *public) take(ctx context.Context, r io.Reader) (*letter.Letter, error) {
	if err := p.reading.wait(ctx); err != nil {
		return nil, err
	}
	defer p.reading.done()
	l, err := letter.Read(r, letter.Limits{})
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	return l, nil
}
