package cassandra

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/gocql/gocql"

	"restante/schema"
)

// The driver opens a session or says little about why not. A probe asks the hosts
// one by one what there is, so that an operator reads what is missing.

// errHopeless marks what waiting does not mend.
var errHopeless = errors.New("cannot start")

var (
	datacenterLocal = &statement{name: "probe local", cql: "SELECT data_center FROM system.local"}
	datacenterPeers = &statement{name: "probe peers", cql: "SELECT data_center FROM system.peers"}
	replicationRead = &statement{name: "probe keyspace", cql: "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?"}
)

// A sight is what one node says about its cluster.
type sight struct {
	datacenter  string
	datacenters []string          // of the cluster, sorted
	replication map[string]string // of the keyspace; nil: there is none
}

// probe asks all hosts at once, and is content with the first node of the data
// centre that has the keyspace.
func (s *session) probe() error {
	results := make(chan error, len(s.options.Hosts))
	for _, host := range s.options.Hosts {
		s.tasks.Go(func() { results <- s.probeHost(host) })
	}
	var errs []error
	for range s.options.Hosts {
		err := <-results
		if err == nil || errors.Is(err, errHopeless) {
			return err
		}
		errs = append(errs, err)
	}
	return several(errs)
}

// several errors, on one line.
type several []error

func (l several) Error() string {
	texts := make([]string, len(l))
	for i, err := range l {
		texts[i] = err.Error()
	}
	slices.Sort(texts) // the hosts answer in any order
	return strings.Join(slices.Compact(texts), "; ")
}

func (l several) Unwrap() []error { return l }

func (s *session) probeHost(host string) error {
	seen, err := s.ask(host)
	if err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	o := s.options
	if !slices.Contains(seen.datacenters, o.Datacenter) {
		return fmt.Errorf("%w: the cluster at %s has no data centre %s, but %s", errHopeless, host, o.Datacenter, strings.Join(seen.datacenters, ", "))
	}
	if seen.datacenter != o.Datacenter {
		return fmt.Errorf("%s: is in data centre %s, and only the nodes of %s are used", host, seen.datacenter, o.Datacenter)
	}
	if seen.replication == nil {
		return &schema.MissingError{Keyspace: o.Keyspace}
	}
	if !replicated(seen.replication, o.Datacenter) {
		return fmt.Errorf("keyspace %s is not replicated to data centre %s", o.Keyspace, o.Datacenter)
	}
	return nil
}

// replicated reports whether a data centre has replicas of a keyspace.
func replicated(replication map[string]string, datacenter string) bool {
	if !strings.HasSuffix(replication["class"], "NetworkTopologyStrategy") {
		return true // the same in all
	}
	return replication[datacenter] != "" && replication[datacenter] != "0"
}

// ask connects to one host alone.
func (s *session) ask(host string) (sight, error) {
	db, err := openAlone(s.config(), host)
	if err != nil {
		return sight{}, err
	}
	defer db.Close()

	ctx, cancel := context.WithTimeout(s.life, statementTimeout)
	defer cancel()
	query := func(st *statement, args ...any) *gocql.Query {
		return db.Query(st.cql, args...).WithContext(ctx).Consistency(gocql.One)
	}
	var seen sight
	if err := query(datacenterLocal).Scan(&seen.datacenter); err != nil {
		return sight{}, failureOf(datacenterLocal, err)
	}
	names := map[string]bool{seen.datacenter: true}
	peers := query(datacenterPeers).Iter()
	for name := ""; peers.Scan(&name); {
		names[name] = true
	}
	if err := peers.Close(); err != nil {
		return sight{}, failureOf(datacenterPeers, err)
	}
	seen.datacenters = slices.Sorted(maps.Keys(names))
	err = query(replicationRead, s.options.Keyspace).Scan(&seen.replication)
	if err != nil && !errors.Is(err, gocql.ErrNotFound) {
		return sight{}, failureOf(replicationRead, err)
	}
	return seen, nil
}

// openAlone opens a session of the driver that knows one node and no other. It has
// no keyspace.
func openAlone(config *gocql.ClusterConfig, host string) (*gocql.Session, error) {
	var mu sync.Mutex
	var refusal error
	config.Hosts = []string{host}
	config.NumConns = 1
	config.DisableInitialHostLookup = true
	config.ReconnectInterval = 0
	config.ConnectObserver = connectObserver(func(o gocql.ObservedConnect) {
		mu.Lock()
		defer mu.Unlock()
		refusal = o.Err
	})
	db, err := config.CreateSession()
	if err != nil {
		mu.Lock()
		defer mu.Unlock()
		if refusal != nil {
			err = refusal // the driver keeps only its text
		}
		return nil, sayHopeless(err)
	}
	return db, nil
}

type connectObserver func(gocql.ObservedConnect)

func (f connectObserver) ObserveConnect(o gocql.ObservedConnect) { f(o) }

// sayHopeless says what is wrong with the options where a connection was refused
// for that.
func sayHopeless(err error) error {
	var answer gocql.RequestError
	var certificate *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	switch {
	case errors.Is(err, errNoUser):
		return fmt.Errorf("%w: Cassandra wants a user name and a password", errHopeless)
	case errors.As(err, &answer) && answer.Code() == gocql.ErrCodeCredentials && strings.Contains(answer.Message(), "incorrect"):
		// The code alone is also that of a node which cannot find out.
		return fmt.Errorf("%w: Cassandra refuses the user name and password: %w", errHopeless, err)
	case errors.As(err, &certificate):
		return fmt.Errorf("%w: the certificate of Cassandra: %w", errHopeless, err)
	case errors.As(err, &plain):
		return fmt.Errorf("%w: Cassandra speaks no TLS on this port: %w", errHopeless, err)
	}
	return err
}

// anonymous is the authenticator of a store that has no user name.
type anonymous struct{}

var errNoUser = errors.New("authentication required")

func (anonymous) Challenge([]byte) ([]byte, gocql.Authenticator, error) { return nil, nil, errNoUser }
func (anonymous) Success([]byte) error                                  { return nil }
