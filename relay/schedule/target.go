package schedule

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// A Target is what is chosen. It may be in several schedulers at a time; what it has to
// do is counted once.
type Target struct {
	outstanding atomic.Int64
	value       any
	name        string
	hash        uint64 // of the name, the same in every process
	latency     latency
}

// NewTarget returns a target with a name and whatever the caller wants to find again.
func NewTarget(name string, value any) *Target {
	return &Target{value: value, name: name, hash: xxhash.Sum64String(name)}
}

// Name and Value are what the target was made with.
func (t *Target) Name() string { return t.name }
func (t *Target) Value() any   { return t.value }

// Begin counts something that the target was given to do, End that it is done. Of what
// it did well the caller says how long it took; zero counts for nothing, as something
// that failed at once must not make a target look fast.
func (t *Target) Begin() { t.outstanding.Add(1) }
func (t *Target) End(took time.Duration) {
	t.outstanding.Add(-1)
	if took > 0 {
		t.latency.observe(took)
	}
}

// Outstanding is how much was begun and has not ended.
func (t *Target) Outstanding() int { return int(t.outstanding.Load()) }

// A latency is an average that weighs what was observed by its age, except that it
// follows a rise at once: who becomes slow is believed, who becomes fast has to prove it.
type latency struct {
	mu    sync.Mutex
	mean  float64 // seconds
	since time.Time
}

// fade is the age at which an observation weighs 1/e.
const fade = 10 * time.Second

func (l *latency) observe(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, s := time.Now(), took.Seconds()
	if s < l.mean {
		keep := math.Exp(-now.Sub(l.since).Seconds() / fade.Seconds())
		s = l.mean*keep + s*(1-keep)
	}
	l.mean, l.since = s, now
}

// at is the average as it has faded by then: one that was slow is tried again some time.
func (l *latency) at(now time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mean == 0 {
		return 0
	}
	return l.mean * math.Exp(-now.Sub(l.since).Seconds()/fade.Seconds())
}
