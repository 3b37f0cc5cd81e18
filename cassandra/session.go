package cassandra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocql/gocql"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

// How the driver is set up.
const (
	// A coordinator gives up a write after 2 s and says so; one that says nothing
	// does not answer at all. Two tries fit into the time of a statement.
	tryTimeout     = 2500 * time.Millisecond
	connectTimeout = 2500 * time.Millisecond
	keepAlive      = 15 * time.Second
	// How often nodes that are away, or a cluster not found yet, are looked for.
	reconnectInterval = 2 * time.Second
	// A connection carries 32,768 statements at once; more of them spread the work
	// of reading over the cores, here and there.
	minConns, maxConns = 2, 8
)

// The bounds of what is in flight at once. Beyond them statements wait for their
// turn, and fail when it does not come in time.
const (
	maxStatements = 1024
	maxOctets     = 64 << 20
	// lightOctets is what a statement may weigh that does not wait for octets, such as the
	// delivery of a short mail or a sign of life: all that have a place are 16 MiB.
	lightOctets = MaxInline
)

// A session is the way to the cluster that every statement takes.
type session struct {
	options Options
	metrics *metrics
	clock   *clock

	places *semaphore.Weighted
	octets *semaphore.Weighted
	hedges *rate.Limiter

	db      atomic.Pointer[connected] // nil until the cluster was reached
	missing atomic.Pointer[error]     // why it was not, the last time

	life   context.Context
	end    context.CancelFunc
	tasks  sync.WaitGroup
	closed sync.Once
}

// connected is the driver's session with the nodes that it knows.
type connected struct {
	*gocql.Session
	policy *policy
	known  sync.Map // *statement to *knowledge
}

// openSession reaches for the cluster once, and goes on to do so in the background
// where it is not there yet.
func openSession(ctx context.Context, o Options) (*session, error) {
	s := &session{
		options: o,
		places:  semaphore.NewWeighted(maxStatements),
		octets:  semaphore.NewWeighted(maxOctets),
		hedges:  rate.NewLimiter(hedgeRate, hedgeBurst),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.metrics = newMetrics(s)
	s.clock = &clock{session: s}
	if o.Registerer != nil {
		if err := o.Registerer.Register(s.metrics); err != nil {
			s.end()
			return nil, err
		}
	}
	stop := context.AfterFunc(ctx, s.end)
	err := s.connect()
	if !stop() {
		err = fmt.Errorf("%w: %w", errHopeless, context.Cause(ctx))
	}
	switch {
	case errors.Is(err, errHopeless):
		s.close()
		return nil, err
	case err != nil:
		s.tasks.Go(s.await)
	default:
		s.tasks.Go(s.clock.run)
	}
	return s, nil
}

// await connects as soon as that is possible, and then looks at the clock.
func (s *session) await() {
	tick := time.NewTicker(reconnectInterval)
	defer tick.Stop()
	last := (*s.missing.Load()).Error()
	for {
		select {
		case <-s.life.Done():
			return
		case <-tick.C:
		}
		err := s.connect()
		if err == nil {
			s.options.Log.Info("Cassandra was reached")
			s.clock.run()
			return
		}
		if text := err.Error(); text != last {
			s.options.Log.Warn("Cassandra is awaited", "err", err)
			last = text
		}
	}
}

// connect opens the driver's session, or says what is missing.
func (s *session) connect() error {
	if err := s.probe(); err != nil {
		s.missing.Store(&err)
		return err
	}
	policy := newPolicy(s.options.Datacenter)
	config := s.config()
	config.Keyspace = s.options.Keyspace
	config.HostFilter = gocql.DataCentreHostFilter(s.options.Datacenter)
	config.PoolConfig.HostSelectionPolicy = policy
	db, err := config.CreateSession()
	if err != nil {
		s.missing.Store(&err)
		return err
	}
	s.db.Store(&connected{Session: db, policy: policy})
	s.clock.look()
	return nil
}

// connection is the driver's session, or an error that says why there is none.
func (s *session) connection() (*connected, error) {
	if s.life.Err() != nil {
		return nil, errClosed
	}
	if db := s.db.Load(); db != nil {
		return db, nil
	}
	if missing := s.missing.Load(); missing != nil {
		return nil, fmt.Errorf("not connected: %w", *missing)
	}
	return nil, errors.New("not connected")
}

// config is what every connection of the store has in common.
func (s *session) config() *gocql.ClusterConfig {
	return s.options.cluster(dialer{s.life})
}

// A dialer connects while a life lasts: the driver has no context of ours to do so.
type dialer struct{ life context.Context }

func (d dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	defer context.AfterFunc(d.life, cancel)()
	return (&net.Dialer{KeepAlive: keepAlive}).DialContext(ctx, network, addr)
}

// cluster is the driver's configuration: explicit in all that a statement could
// otherwise leave to it.
func (o Options) cluster(dialer gocql.Dialer) *gocql.ClusterConfig {
	c := gocql.NewCluster(o.Hosts...)
	c.Port, _ = o.port()
	c.ProtoVersion = 4 // the driver has faults in version 5
	c.Consistency = gocql.LocalQuorum
	c.Timeout = tryTimeout
	c.ConnectTimeout = connectTimeout
	c.WriteTimeout = tryTimeout
	c.NumConns = min(max(runtime.GOMAXPROCS(0)/2, minConns), maxConns)
	c.WriteCoalesceWaitTime = 0 // statements would wait for each other, one alone too
	c.PageSize = defaultRows
	c.DefaultTimestamp = false // the driver would take the time of each try
	c.DefaultIdempotence = true
	c.RetryPolicy = retryElsewhere{}
	c.ReconnectInterval = reconnectInterval
	c.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 1, Interval: reconnectInterval}
	c.Dialer = dialer
	c.Logger = driverLog{o.Log}
	c.Authenticator = anonymous{}
	if o.Username != "" {
		c.Authenticator = gocql.PasswordAuthenticator{Username: o.Username, Password: o.Password}
	}
	if o.TLS != nil {
		c.SslOpts = &gocql.SslOptions{Config: o.TLS, EnableHostVerification: !o.TLS.InsecureSkipVerify}
	}
	return c
}

// enter waits for a place among the statements in flight; leave gives it back. One that
// waits for octets, as listings do when many log in, has no place meanwhile, and light ones
// pass it.
func (s *session) enter(ctx context.Context, octets int64) (leave func(), err error) {
	if octets = min(octets, maxOctets); octets <= lightOctets {
		octets = 0
	} else if err := s.octets.Acquire(ctx, octets); err != nil {
		return nil, crowded(err)
	}
	if err := s.places.Acquire(ctx, 1); err != nil {
		s.octets.Release(octets)
		return nil, crowded(err)
	}
	s.metrics.inFlight.Inc()
	return func() {
		s.metrics.inFlight.Dec()
		s.octets.Release(octets)
		s.places.Release(1)
	}, nil
}

// crowded says why a statement got no place: its time was over, unless the caller
// has given up.
func crowded(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", errTooMuch, err)
}

// close disconnects.
func (s *session) close() {
	s.closed.Do(func() {
		s.end()
		s.tasks.Wait()
		if db := s.db.Load(); db != nil {
			db.Close()
		}
		if s.options.Registerer != nil {
			s.options.Registerer.Unregister(s.metrics)
		}
	})
}

// driverLog gives what the driver has to say to the log.
type driverLog struct{ log *slog.Logger }

func (l driverLog) Print(v ...any)                 { l.print(fmt.Sprint(v...)) }
func (l driverLog) Printf(format string, v ...any) { l.print(fmt.Sprintf(format, v...)) }
func (l driverLog) Println(v ...any)               { l.print(fmt.Sprintln(v...)) }
func (l driverLog) print(text string)              { l.log.Debug(strings.TrimSpace(text)) }
