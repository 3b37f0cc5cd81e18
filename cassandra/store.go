package cassandra

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
)

// Options say where the cluster is and how a store uses it.
type Options struct {
	// Hosts are some nodes of the cluster, each host or host:port; the others are
	// found through them. The port is the same for all, 9042 where none is given.
	Hosts      []string
	Keyspace   string // it has to exist, with the tables of package schema
	Datacenter string // whose nodes are used: those of any other are not asked

	Username string // empty: no login
	Password string
	TLS      *tls.Config // nil: connections in clear text

	// Acknowledge is how many replicas have a message before it is acknowledged.
	Acknowledge Consistency

	Log        *slog.Logger          // nil: none
	Registerer prometheus.Registerer // nil: no metrics
	Now        func() time.Time      // nil: time.Now
}

const defaultPort = 9042

// withDefaults is the options with nothing left out, or what is wrong with them.
func (o Options) withDefaults() (Options, error) {
	if len(o.Hosts) == 0 {
		return o, errors.New("no hosts")
	}
	if o.Keyspace == "" {
		return o, errors.New("no keyspace")
	}
	if o.Datacenter == "" {
		return o, errors.New("no data centre")
	}
	if _, err := o.port(); err != nil {
		return o, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// port is the one of the hosts.
func (o Options) port() (int, error) {
	var port int
	for _, h := range o.Hosts {
		p := defaultPort
		if _, text, err := net.SplitHostPort(h); err == nil {
			if p, err = strconv.Atoi(text); err != nil || p <= 0 || p > 65535 {
				return 0, fmt.Errorf("host %s: not a port", h)
			}
		}
		if cmp.Or(port, p) != p {
			return 0, fmt.Errorf("host %s: the port of every node must be the same", h)
		}
		port = p
	}
	return port, nil
}

// A Store is mail in one keyspace. It is safe for concurrent use.
type Store struct {
	session      *session
	contents     *contents
	maildrops    *maildrops
	addresses    *addresses
	journal      *journal
	shared       *shared
	suppressions *suppressions
	schema       *schemaCheck
}

// Open connects to a cluster. It fails where waiting cannot help: options that
// contradict the cluster, credentials that it refuses. A cluster that is away, or
// has no such keyspace yet, is logged and awaited: until it is there every call
// fails with mailbox.ErrUnavailable, and Ping says what is missing.
func Open(ctx context.Context, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("cassandra: %w", err)
	}
	session, err := openSession(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("cassandra: %w", err)
	}
	s := &Store{
		session:      session,
		contents:     newContents(session),
		maildrops:    newMaildrops(session),
		addresses:    &addresses{session: session},
		journal:      &journal{session: session, segments: new(segments)},
		shared:       &shared{session: session},
		suppressions: newSuppressions(session),
		schema:       &schemaCheck{session: session},
	}
	if err := s.Ping(ctx); err != nil {
		o.Log.Warn("store is not ready", "err", err)
	}
	return s, nil
}

// Contents is where messages are.
func (s *Store) Contents() mailbox.Contents { return s.contents }

// Maildrops is where messages are listed.
func (s *Store) Maildrops() mailbox.Maildrops { return s.maildrops }

// Addresses is where addresses lead.
func (s *Store) Addresses() mailbox.Addresses { return s.addresses }

// Journal is what happened to mail on its way out.
func (s *Store) Journal() relay.Journal { return s.journal }

// Lanes is where the processes that send mail see each other.
func (s *Store) Lanes() relay.Lanes { return &relayLanes{s.session} }

// Shared is where these processes share the services that carry mail.
func (s *Store) Shared() pool.Shared { return s.shared }

// Suppressions are recipients that do not exist.
func (s *Store) Suppressions() relay.Suppressions { return s.suppressions }

// Time is the time by the clocks of the cluster, whatever the clock of this machine says.
// It fails with mailbox.ErrUnavailable where it was never read.
func (s *Store) Time() (time.Time, error) {
	now, known := s.session.clock.time()
	if !known {
		return time.Time{}, fmt.Errorf("cassandra: time of the cluster: %w", mailbox.ErrUnavailable)
	}
	return now, nil
}

// Ping reports whether the store can be used, and else what is missing: the tables are
// those of the program, a majority answers for some of what is in them, and the clock is
// right. That it answers for all is not asked: in a large cluster a few nodes that are
// down take some maildrops away, for every server of the data centre, and the others are
// to be served. Only the first time all tables are looked for.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.ping(ctx); err != nil {
		return fmt.Errorf("cassandra: %w", err)
	}
	return nil
}

func (s *Store) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if err := s.schema.check(ctx); err != nil {
		return err
	}
	return s.session.checkClock()
}

// Close releases the contents that wait for it, ends the calls that run with
// mailbox.ErrUnavailable, and disconnects.
func (s *Store) Close() error {
	s.contents.releases.close()
	s.session.close()
	return nil
}
