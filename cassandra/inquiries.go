package cassandra

import (
	"context"
	"slices"
	"sync"

	"restante/relay"
)

// Inquiries look for suppressed recipients. Who comes with others while one of the same
// account is on its way is asked for together with them as soon as that has ended: an
// account that submits much asks once for many messages, and nobody gets an answer that
// was read before he asked. Nobody waits for more than two: the one under way, and his own.
type inquiries struct {
	// look reads those rows of an account that are there.
	look func(ctx context.Context, account string, addresses []string) ([]relay.Suppression, error)

	mu       sync.Mutex
	underWay map[string]*inquiry // by the account
}

// An inquiry is one question, which several have.
type inquiry struct {
	addresses []string
	next      *inquiry      // those who came meanwhile
	done      chan struct{} // closed when there is an answer
	found     []relay.Suppression
	err       error
}

// ask returns the rows of some addresses of an account, and perhaps of others.
func (i *inquiries) ask(ctx context.Context, account string, addresses []string) ([]relay.Suppression, error) {
	i.mu.Lock()
	running := i.underWay[account]
	switch {
	case running == nil:
		q := &inquiry{addresses: addresses, done: make(chan struct{})}
		i.underWay[account] = q
		i.mu.Unlock()
		i.carryOut(ctx, account, q)
		return q.found, q.err
	case running.next == nil:
		q := &inquiry{addresses: slices.Clone(addresses), done: make(chan struct{})}
		running.next = q
		i.mu.Unlock()
		<-running.done // which the time of a statement bounds
		i.carryOut(ctx, account, q)
		return q.found, q.err
	case len(running.next.addresses)+len(addresses) > suppressedAtOnce:
		i.mu.Unlock()
		return i.look(ctx, account, addresses)
	}
	q := running.next
	q.addresses = append(q.addresses, addresses...)
	i.mu.Unlock()
	select {
	case <-q.done:
		return q.found, q.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// carryOut has an inquiry, which is under way, answered, and makes way for the next one.
// Others wait for it as well, so it goes on when the client goes away who came first.
func (i *inquiries) carryOut(ctx context.Context, account string, q *inquiry) {
	i.mu.Lock()
	addresses := q.addresses // nobody joins any more
	i.mu.Unlock()
	q.found, q.err = i.look(context.WithoutCancel(ctx), account, addresses)
	i.mu.Lock()
	defer i.mu.Unlock()
	if q.next != nil {
		i.underWay[account] = q.next
	} else {
		delete(i.underWay, account)
	}
	close(q.done)
}
