package rest

import (
	"strconv"
	"sync"
	"time"
)

// slots bound how many wait for mail, in all and for each client.
type slots struct{ *room }

func newSlots(most, mostEach int) *slots { return &slots{newRoom(int64(most), int64(mostEach))} }

// enter takes a slot until leave is called.
func (s *slots) enter(c client) (leave func(), err error) {
	if !s.take(c, 1, c.share()) {
		return nil, errManyStreams
	}
	return sync.OnceFunc(func() { s.leave(c, 1) }), nil
}

// streamRetry is when to try again to wait for mail.
const streamRetry = 10 * time.Second

var errManyStreams = tooMany("too-many-streams", "too many wait for mail already, try again later", streamRetry)

// retryAfter is the value of the field of that name, in whole seconds (RFC 9110,
// section 10.2.3).
func retryAfter(wait time.Duration) string {
	return strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
}
