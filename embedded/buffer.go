package embedded

import "sync"

const (
	// partSize is how much of a content is one key: enough that a read is
	// mostly copying, and little enough that 500 sessions hold one each.
	partSize = 64 << 10
	// smallBuffer holds the whole of most messages.
	smallBuffer = 8 << 10
)

// A buffer holds what is under way between a stream and the store: a part, or
// a small content.
type buffer struct {
	octets []byte
	pool   *sync.Pool
}

var smallBuffers, partBuffers = newPool(smallBuffer), newPool(partSize)

func newPool(size int) *sync.Pool {
	pool := new(sync.Pool)
	pool.New = func() any { return &buffer{octets: make([]byte, size), pool: pool} }
	return pool
}

// takeBuffer is a buffer of at least n octets. The caller frees it.
func takeBuffer(n int) *buffer {
	switch {
	case n <= smallBuffer:
		return smallBuffers.Get().(*buffer)
	case n <= partSize:
		return partBuffers.Get().(*buffer)
	}
	return &buffer{octets: make([]byte, n)} // of a store written with larger parts
}

func (b *buffer) free() {
	if b.pool != nil {
		b.pool.Put(b)
	}
}
