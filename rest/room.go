package rest

import "sync"

// A room bounds how much is taken at once, in all and by each client that is limited, so
// that many cannot have all there is, nor can one.
type room struct {
	most, mostEach int64

	mu    sync.Mutex
	taken int64
	each  map[client]int64
}

func newRoom(most, mostEach int64) *room {
	return &room{most: most, mostEach: mostEach, each: make(map[client]int64)}
}

// take takes so much if it is free, where the client may have so many times as much as
// others. Who has taken it calls leave.
func (r *room) take(c client, n int64, share int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken+n > r.most || c.limited() && r.each[c]+n > r.mostEach*int64(share) {
		return false
	}
	r.taken += n
	r.each[c] += n
	return true
}

// leave gives back what was taken.
func (r *room) leave(c client, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken -= n
	if r.each[c] -= n; r.each[c] == 0 {
		delete(r.each, c)
	}
}

// count is how much is taken.
func (r *room) count() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}
