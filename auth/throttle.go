package auth

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"restante/mailbox"
)

// A Limit allows so many failures at once, and one more each time Every has
// passed.
type Limit struct {
	Burst int
	Every time.Duration
}

// A wide network holds many, of which some are innocent, so it is allowed more. So is an
// account from all networks together.
const wideFactor = 8

// How many accounts, visitors, networks and acquaintances are remembered, each.
const throttleSize = 8192

// A throttle counts failures by account and by network, and says when either has
// had enough. Success costs nothing, so a crowd behind one address that knows its
// passwords is never slowed.
//
// Someone who guesses at an account from elsewhere must not lock its owner out. A network
// from which the account logged in before is an acquaintance, and has a count of its own.
// From any other, an account is counted by the wide network, and beside that from all of
// them together: who has one network is stopped by his own count before he has used up
// that of all. Who has very many can use it up, and then the owner logs in from where he
// was before, as long as that is remembered, and from nowhere else.
type throttle struct {
	account, network Limit

	mu         sync.Mutex
	accounts   *lru[mailbox.Address, *rate.Limiter] // from all networks that are no acquaintances
	visitors   *lru[visitor, *rate.Limiter]
	networks   *lru[netip.Prefix, *rate.Limiter]
	acquainted *lru[visitor, struct{}]
}

// A visitor is whoever tries an account from a network: a near one that it is acquainted
// with, or a wide one.
type visitor struct {
	account mailbox.Address
	from    netip.Prefix
}

func newThrottle(account, network Limit) *throttle {
	return &throttle{
		account:    account,
		network:    network,
		accounts:   newLRU[mailbox.Address, *rate.Limiter](throttleSize),
		visitors:   newLRU[visitor, *rate.Limiter](throttleSize),
		networks:   newLRU[netip.Prefix, *rate.Limiter](throttleSize),
		acquainted: newLRU[visitor, struct{}](throttleSize),
	}
}

// A tally is what one attempt is counted on.
type tally []*rate.Limiter

// tally finds the counts for an attempt.
func (t *throttle) tally(a mailbox.Address, from network) tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	var counts tally
	if known := (visitor{a, from.near}); t.isAcquainted(known) {
		counts = tally{limiter(t.visitors, known, t.account, 1)}
	} else {
		counts = tally{
			limiter(t.visitors, visitor{a, from.wide}, t.account, 1),
			limiter(t.accounts, a, t.account, wideFactor),
		}
	}
	if !from.loopback {
		counts = append(counts,
			limiter(t.networks, from.near, t.network, 1),
			limiter(t.networks, from.wide, t.network, wideFactor))
	}
	return counts
}

func (t *throttle) isAcquainted(v visitor) bool {
	_, ok := t.acquainted.get(v)
	return ok
}

// welcome makes the network an acquaintance of the account.
func (t *throttle) welcome(a mailbox.Address, from network) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acquainted.put(visitor{a, from.near}, struct{}{})
}

func limiter[K comparable](l *lru[K, *rate.Limiter], key K, limit Limit, factor int) *rate.Limiter {
	if found, ok := l.get(key); ok {
		return found
	}
	made := rate.NewLimiter(rate.Limit(factor)*rate.Every(limit.Every), factor*limit.Burst)
	l.put(key, made)
	return made
}

// spent reports whether any of the counts allows no more failures.
func (c tally) spent(now time.Time) bool {
	for _, l := range c {
		if l.TokensAt(now) < 1 {
			return true
		}
	}
	return false
}

// failed counts a failure. Attempts that were checked side by side may bring a
// count below zero, and the next ones pay for it.
func (c tally) failed(now time.Time) {
	for _, l := range c {
		l.ReserveN(now, 1)
	}
}
