package auth

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"restante/mailbox"
)

// HasherOptions configures a [Hasher]; the zero value will do.
type HasherOptions struct {
	Concurrency int                   // hashes at once; 0 means GOMAXPROCS
	MaxWait     time.Duration         // longest wait for a turn; 0 means 10 s
	Registerer  prometheus.Registerer // nil means no metrics
}

// A Hasher lets so many password hashes be computed at once, and everyone else
// wait in the order in which they came. A process has one, since what it shares
// out is the machine's processors and memory.
type Hasher struct {
	turns   *semaphore.Weighted
	maxWait time.Duration
	decoy   string
	seconds prometheus.Histogram

	// Replaced by tests, to which a hash takes virtual time.
	check func(hash, password string) bool
}

// NewHasher returns a Hasher.
func NewHasher(o HasherOptions) *Hasher {
	if o.Concurrency <= 0 {
		o.Concurrency = runtime.GOMAXPROCS(0)
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 10 * time.Second
	}
	h := &Hasher{
		turns:   semaphore.NewWeighted(int64(o.Concurrency)),
		maxWait: o.MaxWait,
		decoy:   decoy(),
		check:   Check,
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "restante_auth_hash_seconds",
			Help:    "Time to compute one password hash, the wait for a turn left out.",
			Buckets: []float64{.005, .01, .02, .04, .08, .16, .32, .64, 1.28, 2.56},
		}),
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(h.seconds)
	}
	return h
}

// Hash is [Hash] in turn. It fails with [ErrPassword], and with
// [mailbox.ErrUnavailable] where the turn does not come in time.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if _, err := prepare(password); err != nil {
		return "", err // without a wait
	}
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	defer h.observe(time.Now())
	return Hash(password)
}

// matches is [Check] for a caller whose turn it is. Whether the hash is one, and
// whether the password could ever belong to it, cannot be told from its cost:
// where there is nothing to compare with, a decoy is compared.
func (h *Hasher) matches(hash, password string) bool {
	defer h.observe(time.Now())
	if ValidHash(hash) != nil || unusable(password) != "" {
		h.check(h.decoy, "decoy")
		return false
	}
	return h.check(hash, password)
}

// enter waits for a turn, which leave ends.
func (h *Hasher) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.maxWait)
	defer cancel()
	if err := h.turns.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("wait for a turn to hash: %w: %w", mailbox.ErrUnavailable, err)
	}
	return nil
}

func (h *Hasher) leave() { h.turns.Release(1) }

func (h *Hasher) observe(start time.Time) { h.seconds.Observe(time.Since(start).Seconds()) }
