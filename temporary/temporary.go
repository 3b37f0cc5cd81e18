// Package temporary makes mailboxes that end by themselves: an address that somebody
// gives away once, the mail that comes for it, and the end of both at a time set when
// it was made. Mail comes by SMTP and is read by POP3 as any other; here is what the
// REST interface and the web page need beside.
package temporary

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
)

// The kinds of failure beside those of package mailbox.
var (
	// ErrLife: the life that was asked for is shorter than a second or longer than
	// the longest.
	ErrLife = errors.New("life out of range")
	// ErrWatchers: as many watch already as may.
	ErrWatchers = errors.New("too many watchers")
)

// A Mailbox is a temporary address and what is known of it.
type Mailbox struct {
	Address  mailbox.Address
	Maildrop mailbox.MaildropID
	Created  time.Time
	Expires  time.Time // from then on it is as if it had never been
	Password string    // for POP3; only Create knows it
}

// A Request says what mailbox to make. The zero value is a random one.
type Request struct {
	Local  string        // empty: random, which nobody can guess
	Domain string        // empty: the first of the domains of temporary addresses
	Life   time.Duration // 0: the default
}

// Options configures [Mailboxes]. Where a field says so, zero is a default.
type Options struct {
	Directory  *mailbox.Directory
	Maildrops  mailbox.Maildrops // all of them are kept, and the newest MaxMessages shown
	Contents   mailbox.Contents
	Deliveries *mailbox.Deliveries

	Life        time.Duration // of a mailbox of which nothing is said; 0: 15 min
	MaxLife     time.Duration // 0: 7 days
	MaxMessages int           // that a mailbox shows, the newest; 0: 200
	MaxLive     int           // mailboxes at a time; 0: no limit
	MaxWatchers int           // 0: 10,000

	// Poll says that other servers use the stores too. What is watched is looked at
	// every two seconds then, and mailboxes that others made are not counted.
	Poll bool

	Log        *slog.Logger          // nil: none
	Registerer prometheus.Registerer // nil: no metrics
	Now        func() time.Time      // nil: time.Now
}

func (o Options) withDefaults() (Options, error) {
	o.Life = cmp.Or(o.Life, 15*time.Minute)
	o.MaxLife = cmp.Or(o.MaxLife, 7*24*time.Hour)
	o.MaxMessages = cmp.Or(o.MaxMessages, 200)
	o.MaxWatchers = cmp.Or(o.MaxWatchers, 10_000)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case len(o.Directory.TempDomains) == 0:
		return o, errors.New("temporary: no domain of temporary addresses")
	case o.Life < minLife || o.Life > o.MaxLife:
		return o, fmt.Errorf("temporary: the life %v is not between %v and the longest, %v", o.Life, minLife, o.MaxLife)
	case o.MaxMessages < 0 || o.MaxLive < 0 || o.MaxWatchers < 0:
		return o, errors.New("temporary: a limit is negative")
	}
	return o, nil
}

// minLife is the shortest life of a mailbox: stores count in seconds.
const minLife = time.Second

// Mailboxes makes, shows and removes temporary mailboxes. It is safe for concurrent
// use.
type Mailboxes struct {
	options Options
	shown   mailbox.Maildrops // the newest of each
	names   names
	living  *population
	watched *watchers
	trims   *trims
	left    *leftovers
	metrics *metrics
	since   time.Time // what was made before is counted by Run
}

// New returns mailboxes. [Mailboxes.Run] does what is done in the background; with a
// limit of live ones, nothing is created or removed before it runs.
func New(o Options) (*Mailboxes, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Mailboxes{
		options: o,
		shown:   mailbox.NewestOnly(o.Maildrops, o.MaxMessages),
		living:  newPopulation(o.MaxLive, o.Now),
		watched: newWatchers(o.MaxWatchers),
		trims:   newTrims(o.MaxMessages),
		left:    newLeftovers(),
		since:   o.Now().UTC().Truncate(time.Millisecond),
	}
	m.metrics = newMetrics(m)
	if o.Registerer != nil {
		for _, c := range m.metrics.all() {
			if err := o.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("temporary: register metrics: %w", err)
			}
		}
	}
	return m, nil
}

// Run does what is done in the background, until the context ends: it counts the
// mailboxes that are there, notices those that expire, removes old mail of full ones
// and what is left of removed ones, and looks for what other servers did.
func (m *Mailboxes) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, work := range []func(context.Context){m.count, m.expire, m.clear} {
		all.Go(func() { work(ctx) })
	}
	for range trimmers {
		all.Go(func() { m.trim(ctx) })
	}
	if m.options.Poll {
		all.Go(func() { m.poll(ctx) })
	}
}

// Handle listens to what happened to maildrops, for [mailbox.Announcements]. It does
// no more than take note, and never fails.
func (m *Mailboxes) Handle(_ context.Context, ev mailbox.Event) error {
	switch ev := ev.(type) {
	case mailbox.Delivered:
		for _, e := range ev.Entries {
			m.watched.signal(e.Maildrop)
		}
		for _, r := range ev.Recipients {
			if !m.isTemporary(r.Address) {
				continue
			}
			m.living.use(r.Maildrop)
			if !m.trims.delivered(r.Maildrop) {
				m.metrics.untrimmed.Inc() // the next delivery comes back to it
			}
		}
	case mailbox.Expunged:
		m.watched.signal(ev.Maildrop)
	}
	return nil
}

// Dropped has everyone who watches look again: what happened and was not announced may
// have been in any maildrop.
func (m *Mailboxes) Dropped() { m.watched.signalAll() }

// isTemporary reports whether an address is in a domain of temporary ones.
func (m *Mailboxes) isTemporary(a mailbox.Address) bool {
	return slices.Contains(m.options.Directory.TempDomains, a.Domain)
}
