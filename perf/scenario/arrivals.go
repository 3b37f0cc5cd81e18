package scenario

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// arrivals tell when the operations of a load are due, and count those that had to
// wait for a connection.
type arrivals struct {
	load  Load
	began time.Time

	mu     sync.Mutex
	next   int             // number of the operation that is taken next
	ahead  []time.Duration // when it and some behind it are due, after began
	drawn  int             // how many have a time, taken or ahead
	last   time.Duration   // when the last of those is due
	random *rand.Rand
	waited int64
	queue  int
}

// newArrivals begin now. Every load of the same rate has the same arrivals, so that
// servers which are compared have the same bursts.
func newArrivals(l Load) *arrivals {
	return &arrivals{load: l, began: time.Now(), random: rand.New(rand.NewPCG(1, 2))}
}

// take tells when the next operation is due, and its number.
func (a *arrivals) take() (due time.Time, i int, more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Since(a.began)
	at, more := now, a.within(a.next, now)
	if a.load.Rate > 0 {
		at, more = a.scheduled(now)
	}
	if more {
		a.next++
	}
	return a.began.Add(at), a.next - 1, more
}

// scheduled takes the next operation of an open loop. What is ahead reaches beyond now,
// so that it holds all that wait.
func (a *arrivals) scheduled(now time.Duration) (at time.Duration, more bool) {
	for (len(a.ahead) == 0 || a.last <= now) && a.within(a.drawn, a.last) {
		a.draw()
	}
	if len(a.ahead) == 0 {
		return 0, false
	}
	at = a.ahead[0]
	if at < now && a.next > 0 { // for the first one every connection is free
		a.waited++
		behind, _ := slices.BinarySearch(a.ahead, now)
		a.queue = max(a.queue, behind)
	}
	a.ahead = a.ahead[1:]
	return at, true
}

// within says whether an operation comes before the load's end.
func (a *arrivals) within(i int, at time.Duration) bool {
	return (a.load.Count <= 0 || i < a.load.Count) && (a.load.Duration <= 0 || at < a.load.Duration)
}

// draw gives one more operation its time.
func (a *arrivals) draw() {
	if a.load.Poisson {
		a.last += time.Duration(a.random.ExpFloat64() / a.load.Rate * float64(time.Second))
	} else {
		a.last = time.Duration(float64(a.drawn) / a.load.Rate * float64(time.Second))
	}
	if a.within(a.drawn, a.last) {
		a.ahead = append(a.ahead, a.last)
	}
	a.drawn++
}
