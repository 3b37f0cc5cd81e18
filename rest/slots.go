package rest

import (
	"strconv"
	"sync"
	"time"
)

// slots bound how many wait for mail, in all and for each client.
type slots struct {
	most, mostEach int

	mu    sync.Mutex
	taken int
	each  map[client]int
}

func newSlots(most, mostEach int) *slots {
	return &slots{most: most, mostEach: mostEach, each: make(map[client]int)}
}

// enter takes a slot until leave is called.
func (s *slots) enter(c client) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.most || c.limited() && s.each[c] >= s.mostEach*c.share() {
		return nil, errManyStreams
	}
	s.taken++
	s.each[c]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken--
		if s.each[c]--; s.each[c] == 0 {
			delete(s.each, c)
		}
	}), nil
}

// count is how many are taken.
func (s *slots) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// streamRetry is when to try again to wait for mail.
const streamRetry = 10 * time.Second

var errManyStreams = tooMany("too-many-streams", "too many wait for mail already, try again later", streamRetry)

// retryAfter is the value of the field of that name, in whole seconds (RFC 9110,
// section 10.2.3).
func retryAfter(wait time.Duration) string {
	return strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
}
