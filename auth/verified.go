package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"restante/mailbox"
)

// A verified remembers for a while which passwords were right, because a POP3
// client logs in every minute and a hash costs tens of milliseconds. It holds no
// password: only keyed hashes, under a key that never leaves the process. The
// stored hash is part of each, so what was right ends with it: a changed password
// and an account that was made again begin anew at once.
type verified struct {
	key [32]byte
	ttl time.Duration

	mu    sync.Mutex
	until *lru[proof, time.Time]
}

// A proof stands for an address, a password and the stored hash it belongs to.
type proof [sha256.Size]byte

func newVerified(size int, ttl time.Duration) *verified {
	v := &verified{ttl: ttl, until: newLRU[proof, time.Time](size)}
	rand.Read(v.key[:]) // never fails
	return v
}

// proof makes the three into one. Each goes in with its length, so that none
// can run into the next.
func (v *verified) proof(a mailbox.Address, password, hash string) (p proof) {
	mac := hmac.New(sha256.New, v.key[:])
	var length [8]byte
	for _, s := range [...]string{a.Local, a.Domain, password, hash} {
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		mac.Write(length[:])
		mac.Write([]byte(s))
	}
	mac.Sum(p[:0])
	return p
}

// add remembers a proof for the time to live, counted from now and not from its
// last use.
func (v *verified) add(p proof) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.until.put(p, time.Now().Add(v.ttl))
}

func (v *verified) has(p proof) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	until, ok := v.until.get(p)
	if ok && !time.Now().Before(until) {
		v.until.remove(p)
		return false
	}
	return ok
}
