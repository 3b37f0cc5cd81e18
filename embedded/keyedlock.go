package embedded

import (
	"context"
	"sync"
)

// A keyedLock is a lock for each key, taken with a context.
type keyedLock[K comparable] struct {
	mu   sync.Mutex
	held map[K]chan struct{}
}

func (l *keyedLock[K]) lock(ctx context.Context, key K) error {
	for {
		l.mu.Lock()
		held, taken := l.held[key]
		if !taken {
			l.held[key] = make(chan struct{})
		}
		l.mu.Unlock()
		if !taken {
			return nil
		}
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *keyedLock[K]) unlock(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[key])
	delete(l.held, key)
}

// has reports whether the lock of a key is held.
func (l *keyedLock[K]) has(key K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, taken := l.held[key]
	return taken
}
