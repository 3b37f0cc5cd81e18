package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
)

// hashTime is what a hash costs in these tests, in virtual time.
const hashTime = 40 * time.Millisecond

var (
	fred     = mailbox.Address{Local: "fred", Domain: "example.org"}
	barney   = mailbox.Address{Local: "barney", Domain: "example.org"}
	home     = netip.MustParseAddr("192.0.2.7")
	stranger = netip.MustParseAddr("198.51.100.9")
	local    = netip.MustParseAddr("127.0.0.1")
)

// A rig is a verifier over a directory in memory. Its hashes are well-formed, but
// "checked" by comparing with a table, in virtual time.
type rig struct {
	*Passwords
	mu     sync.Mutex
	routes map[mailbox.Address]mailbox.Route
	recent map[mailbox.Address]mailbox.Route // what they were
	down   error
	slow   time.Duration // how much longer an address takes that is not there

	passwords map[string]string // by hash
	cost      time.Duration
	hashes    atomic.Int32 // computed
	now, most atomic.Int32 // computed at once
}

// newRig returns a verifier that knows fred, with password "secret".
func newRig(o Options) *rig {
	r := &rig{routes: make(map[mailbox.Address]mailbox.Route), passwords: make(map[string]string), cost: hashTime}
	o.Directory, o.Domain = r, "example.org"
	if o.Hasher == nil {
		o.Hasher = NewHasher(HasherOptions{Concurrency: 2})
	}
	r.Passwords = NewPasswords(o)
	r.hasher.check = r.check
	r.account(fred, "secret")
	return r
}

// account gives an address a password.
func (r *rig) account(a mailbox.Address, password string) {
	r.route(a, mailbox.Route{Kind: mailbox.Account, Life: 1, Maildrop: mailbox.MaildropOf(a, 1), Secret: r.hash(password)})
}

func (r *rig) route(a mailbox.Address, route mailbox.Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.routes[a] = route
}

// hash makes a hash of the password, as far as check is concerned.
func (r *rig) hash(password string) string {
	hash := decoy()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passwords[hash] = password
	return hash
}

func (r *rig) Lookup(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
	r.mu.Lock()
	route, ok := r.routes[a]
	down, slow := r.down, r.slow
	r.mu.Unlock()
	if down != nil {
		return mailbox.Route{}, down
	}
	if !ok {
		time.Sleep(slow)
		return mailbox.Route{}, fmt.Errorf("%s: %w", a, mailbox.ErrNotFound)
	}
	return route, nil
}

func (r *rig) Recall(a mailbox.Address) (mailbox.Route, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	route, ok := r.recent[a]
	return route, ok
}

func (r *rig) check(hash, password string) bool {
	r.hashes.Add(1)
	now := r.now.Add(1)
	defer r.now.Add(-1)
	for most := r.most.Load(); now > most && !r.most.CompareAndSwap(most, now); most = r.most.Load() {
	}
	r.mu.Lock()
	want, ok := r.passwords[hash]
	cost := r.cost
	r.mu.Unlock()
	time.Sleep(cost)
	return ok && want == password
}

// try logs in and says how long that took.
func (r *rig) try(t *testing.T, a Attempt) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	id, err := r.Verify(t.Context(), a)
	if err != nil && id != (Identity{}) {
		t.Errorf("attempt of %s fails with an identity", a.User)
	}
	return time.Since(began), err
}

// mustPass fails the test unless the attempt is right.
func (r *rig) mustPass(t *testing.T, a Attempt) {
	t.Helper()
	if _, err := r.try(t, a); err != nil {
		t.Fatalf("%s from %s: %v", a.User, a.Remote, err)
	}
}

// mustFail fails the test unless the attempt is answered as every wrong one is.
func (r *rig) mustFail(t *testing.T, a Attempt) {
	t.Helper()
	took, err := r.try(t, a)
	if err != ErrCredentials { // not merely wrapped: all failures are the same
		t.Fatalf("%s from %s: error is %v, want ErrCredentials", a.User, a.Remote, err)
	}
	if took != time.Second {
		t.Fatalf("%s from %s: answered after %s, want 1s", a.User, a.Remote, took)
	}
}

// exhaust fails as an account, from ever new networks, until it is throttled. The last
// guess that was checked was the latest, so that it stays so for more than three seconds.
func (r *rig) exhaust(t *testing.T, user string) {
	t.Helper()
	checked, throttledBefore := false, false
	for i := 0; !checked || !throttledBefore; i++ {
		throttledBefore = throttledBefore || i > 0 && !checked
		before := r.hashes.Load()
		r.mustFail(t, Attempt{User: user, Password: "guess", Remote: netip.AddrFrom4([4]byte{203, byte(i), 113, 1})})
		checked = r.hashes.Load() > before
	}
}

func TestAUserLogsInByAddressOrLocalPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		temp := mailbox.Address{Local: "x7", Domain: "temp.example.org"}
		r.route(temp, mailbox.Route{Kind: mailbox.Temporary, Maildrop: mailbox.MaildropOf(temp, 1), Secret: r.hash("once")})
		for user, want := range map[string]mailbox.Address{
			"fred": fred, "FRED": fred, "fred@example.org": fred, "Fred@Example.ORG.": fred, "x7@temp.example.org": temp,
		} {
			password := "secret"
			if want == temp {
				password = "once"
			}
			id, err := r.Verify(t.Context(), Attempt{User: user, Password: password, Remote: home})
			if err != nil || id.Address != want || id.Maildrop != mailbox.MaildropOf(want, 1) {
				t.Errorf("%s: %v, %v", user, id, err)
			}
		}
	})
}

func TestNobodyElseLogsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		with := func(local string, route mailbox.Route) {
			r.route(mailbox.Address{Local: local, Domain: "example.org"}, route)
		}
		with("alias", mailbox.Route{Kind: mailbox.Alias, Targets: []mailbox.Address{fred}, Secret: r.hash("secret")})
		with("vacant", mailbox.Route{Kind: mailbox.Vacant, Secret: r.hash("secret")})
		with("nologin", mailbox.Route{Kind: mailbox.Account})
		with("broken", mailbox.Route{Kind: mailbox.Account, Secret: "secret"})
		with("", mailbox.Route{Kind: mailbox.Account, Secret: r.hash("secret")})
		for _, user := range []string{"alias", "vacant", "nologin", "broken", "wilma", "fred+lists", "", "@example.org",
			"fred@example.com", "fred@", "fred fred", "fred\x00", "\xff"} {
			r.mustFail(t, Attempt{User: user, Password: "secret", Remote: local})
			r.mustFail(t, Attempt{User: user, Remote: local})
		}
		for _, password := range []string{"", "Secret", "secret\x00", "secret "} {
			r.mustFail(t, Attempt{User: "fred", Password: password, Remote: local})
		}
	})
}

func TestAllFailuresLookAndTakeTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		r.slow = 300 * time.Millisecond // a miss asks more nodes than a hit
		hashes := func(a Attempt) int32 {
			before := r.hashes.Load()
			r.mustFail(t, a)
			return r.hashes.Load() - before
		}
		if n := hashes(Attempt{User: "fred", Password: "guess", Remote: home}); n != 1 {
			t.Errorf("a wrong password costs %d hashes", n)
		}
		if n := hashes(Attempt{User: "nobody", Password: "guess", Remote: home}); n != 1 {
			t.Errorf("an unknown user costs %d hashes", n)
		}
		if n := hashes(Attempt{User: "not an address", Password: "guess", Remote: home}); n != 1 {
			t.Errorf("a malformed user costs %d hashes", n)
		}
		if n := hashes(Attempt{User: "fred", Password: "\x00", Remote: home}); n != 1 {
			t.Errorf("an impossible password costs %d hashes", n)
		}
		r.exhaust(t, "fred")
		if n := hashes(Attempt{User: "fred", Password: "guess", Remote: home}); n != 0 {
			t.Errorf("a throttled attempt costs %d hashes", n)
		}
		if n := hashes(Attempt{User: "fred", Password: "secret", Remote: home}); n != 0 {
			t.Errorf("a throttled attempt with the right password costs %d hashes", n)
		}
	})
}

func TestAFailureThatHadToQueueTakesTheSameWhateverItsReason(t *testing.T) {
	for name, attempt := range map[string]Attempt{
		"wrong password": {User: "barney", Password: "guess", Remote: home},
		"unknown user":   {User: "nobody", Password: "guess", Remote: home},
		"throttled":      {User: "fred", Password: "guess", Remote: home},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(Options{Hasher: NewHasher(HasherOptions{Concurrency: 1})})
				r.account(barney, "rubble")
				r.slow = 100 * time.Millisecond
				r.exhaust(t, "fred")
				if err := r.hasher.enter(t.Context()); err != nil {
					t.Fatal(err)
				}
				go func() {
					time.Sleep(2500 * time.Millisecond)
					r.hasher.leave()
				}()
				took, err := r.try(t, attempt)
				if err != ErrCredentials {
					t.Fatal(err)
				}
				queued := 2500 * time.Millisecond
				if name == "unknown user" {
					queued -= r.slow // it came to the queue that much later
				}
				if want := queued + time.Second; took != want {
					t.Errorf("answered after %s, want %s", took, want)
				}
			})
		})
	}
}

func TestWorkThatOutlastsTheFloorIsAnsweredAtItsNextMultiple(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		for cost, want := range map[time.Duration]time.Duration{
			time.Second:             time.Second,
			1001 * time.Millisecond: 2 * time.Second,
			2900 * time.Millisecond: 3 * time.Second,
		} {
			r.cost = cost
			if took, err := r.try(t, Attempt{User: "fred", Password: "guess", Remote: home}); took != want || err != ErrCredentials {
				t.Errorf("hash of %s: answered after %s with %v, want %s", cost, took, err, want)
			}
		}
	})
}

func TestTheHoldEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := r.Verify(ctx, Attempt{User: "fred", Password: "guess", Remote: home})
		if took := time.Since(began); err != ErrCredentials || took != 200*time.Millisecond {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestARightPasswordIsHashedOnceInFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		right := Attempt{User: "fred", Password: "secret", Remote: home}
		for minute := range 12 {
			took, err := r.try(t, right)
			if err != nil {
				t.Fatal(err)
			}
			want := time.Duration(0)
			if minute%6 == 0 { // five minutes after the end of the last hash
				want = hashTime
			}
			if took != want {
				t.Errorf("minute %d: took %s, want %s", minute, took, want)
			}
			time.Sleep(time.Minute - took)
		}
		if n := r.hashes.Load(); n != 2 {
			t.Errorf("%d hashes in twelve minutes, want 2", n)
		}
	})
}

func TestARememberedPasswordEndsWithItsHash(t *testing.T) {
	right := Attempt{User: "fred", Password: "secret", Remote: home}
	for name, change := range map[string]func(r *rig){
		"changed":         func(r *rig) { r.account(fred, "changed") },
		"removed":         func(r *rig) { r.route(fred, mailbox.Route{Kind: mailbox.Vacant, Life: 1}) },
		"not there":       func(r *rig) { delete(r.routes, fred) },
		"became an alias": func(r *rig) { r.route(fred, mailbox.Route{Kind: mailbox.Alias}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(Options{})
				r.mustPass(t, right)
				change(r)
				r.mustFail(t, right)
			})
		})
	}
	t.Run("the new password works at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Options{})
			r.mustPass(t, right)
			r.account(fred, "changed")
			r.mustPass(t, Attempt{User: "fred", Password: "changed", Remote: home})
		})
	})
	t.Run("another address with the same hash is not meant", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Options{})
			r.mustPass(t, right)
			r.route(barney, r.routes[fred])
			before := r.hashes.Load()
			r.mustPass(t, Attempt{User: "barney", Password: "secret", Remote: home})
			if r.hashes.Load() == before {
				t.Error("let in without a hash")
			}
		})
	})
}

func TestARecalledRouteLetsInWhoWasRightAndTurnsNobodyAway(t *testing.T) {
	right := Attempt{User: "fred", Password: "secret", Remote: home}
	changed := Attempt{User: "fred", Password: "changed", Remote: home}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		r.recent = maps.Clone(r.routes)
		r.account(fred, "changed")
		r.mustFail(t, right) // it was never right here
		r.mustPass(t, changed)

		r = newRig(Options{})
		r.mustPass(t, right)
		r.recent = maps.Clone(r.routes)
		r.account(fred, "changed")
		r.down = errors.New("away")
		r.mustPass(t, right)
		r.down = nil
		r.mustPass(t, changed)
		r.recent = nil
		r.mustFail(t, right)
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	v := newVerified(3, time.Minute)
	proofs := make([]proof, 4)
	for i := range proofs {
		proofs[i] = v.proof(fred, fmt.Sprint(i), "hash")
		if i == 3 {
			v.has(proofs[0]) // used lately, so 1 goes
		}
		v.add(proofs[i])
	}
	for i, want := range []bool{true, false, true, true} {
		if got := v.has(proofs[i]); got != want {
			t.Errorf("%d: %t", i, got)
		}
	}
	if len(v.until.items) != 3 || v.until.order.Len() != 3 {
		t.Errorf("%d, %d entries", len(v.until.items), v.until.order.Len())
	}
}

func TestThePartsOfAProofDoNotRunIntoEachOther(t *testing.T) {
	v := newVerified(1, time.Minute)
	if v.proof(fred, "ab", "c") == v.proof(fred, "a", "bc") {
		t.Error("equal")
	}
	if v.proof(fred, "a", "b") == newVerified(1, time.Minute).proof(fred, "a", "b") {
		t.Error("two processes have the same key")
	}
}

func TestAnAccountIsGuessedAtOnlySoFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		r.exhaust(t, "fred")
		before := r.hashes.Load()
		right := Attempt{User: "fred", Password: "secret", Remote: stranger}
		r.mustFail(t, right)
		r.mustFail(t, Attempt{User: "FRED@example.org", Password: "secret", Remote: stranger})
		if r.hashes.Load() != before {
			t.Error("a throttled attempt was hashed")
		}
		time.Sleep(30 * time.Second)
		r.mustPass(t, right)
	})
	t.Run("others are not affected", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Options{})
			r.account(barney, "rubble")
			r.exhaust(t, "fred")
			r.mustPass(t, Attempt{User: "barney", Password: "rubble", Remote: stranger})
		})
	})
	t.Run("an hour of guessing checks what the limit says", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Options{})
			for end := time.Now().Add(time.Hour); time.Now().Before(end); {
				r.mustFail(t, Attempt{User: "fred", Password: "guess", Remote: local})
			}
			if n := r.hashes.Load(); n < 128 || n > 131 { // 10 and 3600 s / 30 s
				t.Errorf("%d guesses were checked, want 130", n)
			}
		})
	})
	t.Run("guesses side by side are paid for later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Options{Hasher: NewHasher(HasherOptions{Concurrency: 50})})
			var guesses sync.WaitGroup
			for range 50 {
				guesses.Go(func() { r.mustFail(t, Attempt{User: "fred", Password: "guess", Remote: local}) })
			}
			guesses.Wait()
			time.Sleep(19 * time.Minute)
			before := r.hashes.Load()
			r.mustFail(t, Attempt{User: "fred", Password: "guess", Remote: local})
			if r.hashes.Load() != before {
				t.Error("checked though 40 guesses are not paid for")
			}
			time.Sleep(2 * time.Minute)
			r.mustPass(t, Attempt{User: "fred", Password: "secret", Remote: local})
		})
	})
}

func TestAStrangerDoesNotLockTheOwnerOut(t *testing.T) {
	t.Run("of a network where he has never been", func(t *testing.T) {
		for name, from := range map[string]func(i int) netip.Addr{
			"an address":  func(int) netip.Addr { return stranger },
			"an IPv4 /24": func(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}) },
			"an IPv6 /48": func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::1", i)) },
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(Options{})
					for i := range 200 {
						r.mustFail(t, Attempt{User: "fred", Password: "guess", Remote: from(i)})
					}
					before := r.hashes.Load()
					r.mustFail(t, Attempt{User: "fred", Password: "guess", Remote: from(1001)})
					if r.hashes.Load() != before {
						t.Error("the stranger still has his guesses checked")
					}
					r.mustPass(t, Attempt{User: "fred", Password: "secret", Remote: home})
				})
			})
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		right := Attempt{User: "fred", Password: "secret", Remote: home}
		r.mustPass(t, right)
		time.Sleep(time.Hour) // the cache has long forgotten
		r.exhaust(t, "fred")
		r.mustPass(t, right)
	})
}

func TestARememberedPasswordIsNotSlowedByGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		right := Attempt{User: "fred", Password: "secret", Remote: home}
		r.mustPass(t, right)
		for range 11 { // where the owner is there is a limit too
			r.mustFail(t, Attempt{User: "fred", Password: "guess", Remote: home})
		}
		before := r.hashes.Load()
		r.mustFail(t, Attempt{User: "fred", Password: "guess", Remote: home})
		if r.hashes.Load() != before {
			t.Error("a throttled attempt was hashed")
		}
		if took, err := r.try(t, right); err != nil || took != 0 {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestANetworkGuessesOnlySoFast(t *testing.T) {
	guess := func(r *rig, t *testing.T, i int, from netip.Addr) {
		r.mustFail(t, Attempt{User: fmt.Sprintf("user%d", i), Password: "guess", Remote: from})
	}
	spend := func(r *rig, t *testing.T, from func(i int) netip.Addr, n int) {
		for i := range n {
			guess(r, t, i, from(i))
		}
	}
	always := func(a netip.Addr) func(int) netip.Addr { return func(int) netip.Addr { return a } }
	// checked reports whether an attempt from there is hashed at all.
	checked := func(r *rig, t *testing.T, from netip.Addr) bool {
		before := r.hashes.Load()
		guess(r, t, 9999, from)
		return r.hashes.Load() > before
	}
	within := Limit{Burst: 20, Every: time.Hour}

	for name, c := range map[string]struct {
		spend           func(int) netip.Addr
		n               int
		refused, passed string
	}{
		"an IPv4 address": {always(home), 20, "192.0.2.7", "192.0.2.8"},
		"an IPv4 address as IPv6 writes it": {always(netip.MustParseAddr("::ffff:192.0.2.7")), 20,
			"192.0.2.7", "192.0.2.8"},
		"an IPv6 /64": {func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x:1", i)) }, 20,
			"2001:db8::ffff", "2001:db8:0:1::1"},
		"an IPv4 /24": {func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }, 160,
			"192.0.2.250", "192.0.3.1"},
		"an IPv6 /48": {func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::1", i)) }, 160,
			"2001:db8:0:ffff::1", "2001:db8:1::1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(Options{NetworkFailures: within})
				spend(r, t, c.spend, c.n)
				if checked(r, t, netip.MustParseAddr(c.refused)) {
					t.Errorf("%s still has its guesses checked", c.refused)
				}
				if !checked(r, t, netip.MustParseAddr(c.passed)) {
					t.Errorf("%s is throttled for its neighbours", c.passed)
				}
			})
		})
	}
	t.Run("loopback is not limited", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Options{NetworkFailures: within})
			for _, from := range []string{"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"} {
				spend(r, t, always(netip.MustParseAddr(from)), 200)
				if !checked(r, t, netip.MustParseAddr(from)) {
					t.Errorf("%s is throttled", from)
				}
			}
		})
	})
	t.Run("what is no address is limited as one network", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Options{NetworkFailures: within})
			spend(r, t, always(netip.Addr{}), 20)
			if checked(r, t, netip.Addr{}) {
				t.Error("its guesses are still checked")
			}
		})
	})
	t.Run("those who know their passwords are never slowed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Options{NetworkFailures: within})
			for i := range 200 {
				a := mailbox.Address{Local: fmt.Sprintf("user%d", i), Domain: "example.org"}
				r.account(a, "secret")
				r.mustPass(t, Attempt{User: a.Local, Password: "secret", Remote: home})
			}
		})
	})
}

func TestTheThrottleIsBounded(t *testing.T) {
	throttle := newThrottle(Limit{1, time.Second}, Limit{1, time.Second})
	for i := range uint32(2 * throttleSize) {
		from := networkOf(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		a := mailbox.Address{Local: fmt.Sprint(i), Domain: "example.org"}
		throttle.tally(a, from)
		throttle.welcome(a, from)
	}
	if n := len(throttle.accounts.items); n != throttleSize {
		t.Errorf("%d accounts", n)
	}
	if n := len(throttle.visitors.items); n != throttleSize {
		t.Errorf("%d visitors", n)
	}
	if n := len(throttle.networks.items); n > throttleSize {
		t.Errorf("%d networks", n)
	}
	if n := len(throttle.acquainted.items); n != throttleSize {
		t.Errorf("%d acquaintances", n)
	}
}

func TestAFloodHoldsSoManyAttemptsAndNoMore(t *testing.T) {
	flood := func(t *testing.T, r *rig, n int, from netip.Addr) (wait func()) {
		var attempts sync.WaitGroup
		for i := range n {
			attempts.Go(func() { r.mustFail(t, Attempt{User: fmt.Sprint("user", i), Password: "guess", Remote: from}) })
		}
		time.Sleep(100 * time.Millisecond) // now all of them are held back
		return attempts.Wait
	}
	refusedAtOnce := func(t *testing.T, r *rig, a Attempt) {
		t.Helper()
		if took, err := r.try(t, a); !errors.Is(err, mailbox.ErrUnavailable) || took != 0 {
			t.Errorf("%s from %s: %v after %s", a.User, a.Remote, err, took)
		}
	}
	options := func() Options {
		return Options{Hasher: NewHasher(HasherOptions{Concurrency: 100}), InFlight: 40, NetworkInFlight: 20}
	}

	t.Run("from one network", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(options())
			wait := flood(t, r, 20, stranger)
			refusedAtOnce(t, r, Attempt{User: "fred", Password: "secret", Remote: stranger})
			refusedAtOnce(t, r, Attempt{User: "fred", Password: "guess", Remote: stranger})
			refusedAtOnce(t, r, Attempt{User: "nobody", Password: "guess", Remote: stranger})
			r.mustPass(t, Attempt{User: "fred", Password: "secret", Remote: home})
			r.mustPass(t, Attempt{User: "fred", Password: "secret", Remote: stranger}) // remembered
			wait()
			r.mustFail(t, Attempt{User: "fred", Password: "guess", Remote: stranger})
			if n := len(r.gate.network); n != 0 || r.gate.inside != 0 {
				t.Errorf("%d networks and %d attempts are left at the gate", n, r.gate.inside)
			}
		})
	})
	t.Run("from everywhere", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(options())
			defer flood(t, r, 20, stranger)()
			defer flood(t, r, 20, home)()
			refusedAtOnce(t, r, Attempt{User: "fred", Password: "secret", Remote: local})
		})
	})
	t.Run("from loopback, which only the whole bounds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(options())
			defer flood(t, r, 39, local)()
			r.mustPass(t, Attempt{User: "fred", Password: "secret", Remote: local})
		})
	})
}

func TestManyConnectionsOfOneClientCostAHashOrTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		var clients sync.WaitGroup
		for range 500 {
			clients.Go(func() {
				if _, err := r.Verify(t.Context(), Attempt{User: "fred", Password: "secret", Remote: local}); err != nil {
					t.Error(err)
				}
			})
		}
		clients.Wait()
		if n := r.hashes.Load(); n > 2 {
			t.Errorf("%d hashes", n)
		}
	})
}

func TestSoManyHashesAtOnceAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{Hasher: NewHasher(HasherOptions{Concurrency: 3})})
		began := time.Now()
		var clients sync.WaitGroup
		for i := range 30 {
			a := mailbox.Address{Local: fmt.Sprint("user", i), Domain: "example.org"}
			r.account(a, "secret")
			clients.Go(func() { r.mustPass(t, Attempt{User: a.Local, Password: "secret", Remote: local}) })
		}
		clients.Wait()
		if r.most.Load() != 3 {
			t.Errorf("%d hashes at once, want 3", r.most.Load())
		}
		if took := time.Since(began); took != 10*hashTime {
			t.Errorf("took %s, want %s", took, 10*hashTime)
		}
	})
}

func TestWhoWaitsTooLongForAHashIsToldToTryAgain(t *testing.T) {
	for name, a := range map[string]Attempt{
		"right":   {User: "fred", Password: "secret", Remote: home},
		"wrong":   {User: "fred", Password: "guess", Remote: home},
		"unknown": {User: "nobody", Password: "guess", Remote: home},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(Options{Hasher: NewHasher(HasherOptions{Concurrency: 1, MaxWait: 3 * time.Second})})
				if err := r.hasher.enter(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took, err := r.try(t, a); !errors.Is(err, mailbox.ErrUnavailable) || took != 3*time.Second {
					t.Errorf("%v after %s", err, took)
				}
				if _, err := r.hasher.Hash(t.Context(), "secret"); !errors.Is(err, mailbox.ErrUnavailable) {
					t.Errorf("a new hash: %v", err)
				}
				if _, err := r.hasher.Hash(t.Context(), ""); !errors.Is(err, ErrPassword) {
					t.Errorf("a new hash of nothing: %v", err)
				}
			})
		})
	}
}

func TestADirectoryThatDoesNotAnswerIsNotAWrongPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Options{})
		r.mustPass(t, Attempt{User: "fred", Password: "secret", Remote: home})
		for _, r.down = range []error{mailbox.ErrUnavailable, errors.New("out of order")} {
			if _, err := r.try(t, Attempt{User: "fred", Password: "secret", Remote: home}); !errors.Is(err, mailbox.ErrUnavailable) || !errors.Is(err, r.down) {
				t.Errorf("error is %v", err)
			}
		}
	})
}

func TestEachOutcomeIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		r := newRig(Options{
			Hasher:          NewHasher(HasherOptions{Registerer: registry}),
			Registerer:      registry,
			AccountFailures: Limit{Burst: 2, Every: time.Hour},
		})
		r.mustFail(t, Attempt{User: "nobody", Password: "guess", Remote: home})
		r.mustPass(t, Attempt{User: "fred", Password: "secret", Remote: home})
		r.mustPass(t, Attempt{User: "fred", Password: "secret", Remote: home})
		for range 5 {
			r.mustFail(t, Attempt{User: "fred", Password: "guess", Remote: home})
		}
		r.down = mailbox.ErrUnavailable
		if _, err := r.try(t, Attempt{User: "fred"}); err == nil {
			t.Error("let in")
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{"ok": 1, "cached": 1, "unknown": 1, "wrong": 2, "throttled": 3, "unavailable": 1}
		for _, f := range families {
			switch f.GetName() {
			case "restante_auth_attempts_total":
				for _, m := range f.GetMetric() {
					outcome := m.GetLabel()[0].GetValue()
					if got := m.GetCounter().GetValue(); got != want[outcome] {
						t.Errorf("%s: %v, want %v", outcome, got, want[outcome])
					}
					delete(want, outcome)
				}
			case "restante_auth_hash_seconds":
				if h := f.GetMetric()[0].GetHistogram(); h.GetSampleCount() != 4 || h.GetSampleSum() != 4*hashTime.Seconds() {
					t.Errorf("%d hashes in %v s", h.GetSampleCount(), h.GetSampleSum())
				}
			case "restante_auth_attempts_in_flight":
				if v := f.GetMetric()[0].GetGauge().GetValue(); v != 0 {
					t.Errorf("%v attempts are left in flight", v)
				}
			default:
				t.Errorf("unexpected %s", f.GetName())
			}
		}
		if len(want) != 0 {
			t.Errorf("not counted: %v", want)
		}
	})
}
