package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
)

func putRegister(t *testing.T, s *Store, r pool.Register) {
	t.Helper()
	if err := s.Shared().Put(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// registers are those of a store: for each key the version and the data.
func registers(t *testing.T, s *Store) map[string]string {
	t.Helper()
	all, err := s.Shared().All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, r := range all {
		found[r.Key] = fmt.Sprintf("%d %s", r.Version, r.Data)
	}
	return found
}

func suppress(t *testing.T, s *Store, account, recipient mailbox.Address, until time.Time) {
	t.Helper()
	one := relay.Suppression{Address: recipient, Since: s.now(), Until: until, Outcome: relay.Outcome{Result: relay.BadRecipient, Code: 550}}
	if err := s.Suppressions().Suppress(t.Context(), account, one); err != nil {
		t.Fatal(err)
	}
}

// suppressed are how many recipients are on the list of an account.
func suppressed(t *testing.T, s *Store, account mailbox.Address) (n int) {
	t.Helper()
	for _, err := range s.Suppressions().List(t.Context(), account, s.now()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

var fred, bob = mailbox.Address{Local: "fred", Domain: "example.org"}, mailbox.Address{Local: "bob", Domain: "example.com"}

func TestServicesAndSuppressedOutliveAPowerLoss(t *testing.T) {
	fs := newCrashable()
	s := openStore(t, Options{FS: fs})
	putRegister(t, s, pool.Register{Key: "service/a", Version: 7, Data: []byte("x")})
	putRegister(t, s, pool.Register{Key: "service/b", Version: 8, Data: []byte("y"), Kept: time.Hour})
	suppress(t, s, fred, bob, s.now().Add(time.Hour))
	suppress(t, s, bob, fred, s.now().Add(time.Hour))
	if err := s.Suppressions().Allow(t.Context(), bob, fred); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})}) // of what is not synced, nothing
	if got := registers(t, s); fmt.Sprint(got) != "map[service/a:7 x service/b:8 y]" {
		t.Errorf("registers are %v", got)
	}
	if of, by := suppressed(t, s, fred), suppressed(t, s, bob); of != 1 || by != 0 {
		t.Errorf("%d and %d are suppressed; want 1 and 0", of, by)
	}
}

func TestWhatHasEndedIsForgotten(t *testing.T) {
	s, clock, _ := sweepable(t)
	putRegister(t, s, pool.Register{Key: "service/a", Version: 1, Data: []byte("x")})
	putRegister(t, s, pool.Register{Key: "service/b", Version: 1, Data: []byte("x")})
	putRegister(t, s, pool.Register{Key: "service/b", Version: 2, Kept: time.Hour})
	suppress(t, s, fred, bob, clock.now.Add(time.Hour))
	suppress(t, s, bob, bob, clock.now.Add(time.Hour))
	suppress(t, s, bob, bob, clock.now.Add(3*time.Hour)) // its time was put off
	if n := allKeys(t, s); n != 7 {
		t.Errorf("%d keys; want 2 registers and an end, and 2 recipients with theirs", n)
	}
	clock.now = clock.now.Add(time.Hour - time.Nanosecond)
	sweep(t, s, SweepStats{})
	if got := registers(t, s); fmt.Sprint(got) != "map[service/a:1 x service/b:2 ]" {
		t.Errorf("before its time registers are %v", got)
	}
	clock.now = clock.now.Add(time.Nanosecond)
	if got := registers(t, s); fmt.Sprint(got) != "map[service/a:1 x]" {
		t.Errorf("registers are %v", got)
	}
	if r, err := s.Shared().Get(t.Context(), "service/b"); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("what has ended is found: %+v, %v", r, err)
	}
	sweep(t, s, SweepStats{Ended: 2})
	if of, by := suppressed(t, s, fred), suppressed(t, s, bob); of != 0 || by != 1 {
		t.Errorf("%d and %d are suppressed; want 0 and 1", of, by)
	}
	if n := allKeys(t, s); n != 3 {
		t.Errorf("%d keys are left; want a register, and a recipient with its end", n)
	}
	clock.now = clock.now.Add(2 * time.Hour)
	sweep(t, s, SweepStats{Ended: 1})
	if n := allKeys(t, s); n != 1 {
		t.Errorf("%d keys are left; want the register", n)
	}
}

func TestARegisterThatHasEndedGivesWayToAnyVersion(t *testing.T) {
	s, clock, _ := sweepable(t)
	putRegister(t, s, pool.Register{Key: "k", Version: 9, Kept: time.Hour})
	clock.now = clock.now.Add(time.Hour)
	putRegister(t, s, pool.Register{Key: "k", Version: 1, Data: []byte("new")})
	sweep(t, s, SweepStats{})
	if got := registers(t, s); fmt.Sprint(got) != "map[k:1 new]" {
		t.Errorf("registers are %v", got)
	}
	if n := allKeys(t, s); n != 1 {
		t.Errorf("%d keys are left; want the register", n)
	}
}

// The sweep may have read a key of expiry before the end was put off.
func TestWhatWasPutOffIsNotForgottenForItsOldEnd(t *testing.T) {
	s, clock, _ := sweepable(t)
	key, old := suppressedKey(fred, bob), clock.now.Add(time.Hour)
	suppress(t, s, fred, bob, clock.now.Add(2*time.Hour))
	clock.now = old
	forgotten, err := s.perishables.forget(t.Context(), key, perishableExpiryKey(old, key), clock.now)
	if n := suppressed(t, s, fred); err != nil || forgotten || n != 1 {
		t.Errorf("forgotten: %t, %v; %d are left", forgotten, err, n)
	}
}

func TestAllowingLeavesNothing(t *testing.T) {
	s, clock, _ := sweepable(t)
	suppress(t, s, fred, bob, clock.now.Add(time.Hour))
	for range 2 {
		if err := s.Suppressions().Allow(t.Context(), fred, bob); err != nil {
			t.Fatal(err)
		}
	}
	if n := allKeys(t, s); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// Accounts whose names put together read the same have lists of their own.
func TestAListIsOfOneAccount(t *testing.T) {
	s, clock, _ := sweepable(t)
	one, other := mailbox.Address{Local: "a", Domain: "bc"}, mailbox.Address{Local: "ab", Domain: "c"}
	suppress(t, s, one, bob, clock.now.Add(time.Hour))
	if suppressed(t, s, one) != 1 || suppressed(t, s, other) != 0 {
		t.Errorf("%d and %d are suppressed; want 1 and 0", suppressed(t, s, one), suppressed(t, s, other))
	}
}

func TestAListIsReadPageByPage(t *testing.T) {
	s, clock, _ := sweepable(t)
	for n := range 2*suppressedPage + 1 {
		suppress(t, s, fred, mailbox.Address{Local: fmt.Sprint(n), Domain: "example.com"}, clock.now.Add(time.Hour))
	}
	seen := map[mailbox.Address]bool{}
	for one, err := range s.Suppressions().List(t.Context(), fred, clock.now) {
		if err != nil || seen[one.Address] {
			t.Fatalf("%v, %v", one, err)
		}
		seen[one.Address] = true
	}
	if len(seen) != 2*suppressedPage+1 {
		t.Errorf("%d are suppressed", len(seen))
	}
}

func TestAServiceCanBeRemovedOnAFullDisk(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, Options{FS: fs, MinFree: 1 << 20})
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 20, TotalBytes: 1 << 30})
	if err := s.Shared().Put(t.Context(), pool.Register{Key: "k", Version: 1, Data: []byte("x")}); !errors.Is(err, mailbox.ErrFull) {
		t.Errorf("Put = %v; want ErrFull", err)
	}
	one := relay.Suppression{Address: bob, Until: s.now().Add(time.Hour)}
	if err := s.Suppressions().Suppress(t.Context(), fred, one); !errors.Is(err, mailbox.ErrFull) {
		t.Errorf("Suppress = %v; want ErrFull", err)
	}
	putRegister(t, s, pool.Register{Key: "k", Version: 2, Kept: time.Hour})
	if err := s.Suppressions().Allow(t.Context(), fred, bob); err != nil {
		t.Errorf("Allow = %v", err)
	}
}

func TestWhatWasHeardLongAgoIsForgotten(t *testing.T) {
	s, clock, _ := sweepable(t)
	shared := s.Shared()
	data := []byte("x")
	for n := range 10 {
		if err := shared.Hear(t.Context(), pool.Heard{Service: fmt.Sprint(n), Hearer: "a", Data: data}); err != nil {
			t.Fatal(err)
		}
		clock.now = clock.now.Add(heardFor / 5)
	}
	data[0] = 'y' // which is the caller's
	all, err := shared.Heard(t.Context())
	if err != nil || len(all) != 5 || len(s.shared.heard) != 5 {
		t.Errorf("%d are found and %d remembered, %v; want 5", len(all), len(s.shared.heard), err)
	}
	for _, h := range all {
		if !bytes.Equal(h.Data, []byte("x")) {
			t.Errorf("of service %s %q was heard", h.Service, h.Data)
		}
	}
}

func TestAClosedStoreSharesNothing(t *testing.T) {
	s := openStore(t, Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, shared, list := t.Context(), s.Shared(), s.Suppressions()
	_, get := shared.Get(ctx, "k")
	_, all := shared.All(ctx)
	_, heard := shared.Heard(ctx)
	_, found := list.Suppressed(ctx, fred, s.now(), []mailbox.Address{bob})
	var listed error
	for _, err := range list.List(ctx, fred, s.now()) {
		listed = err
	}
	for name, err := range map[string]error{
		"Put": shared.Put(ctx, pool.Register{Key: "k", Version: 1}), "Get": get, "All": all,
		"Hear": shared.Hear(ctx, pool.Heard{Service: "a"}), "Heard": heard,
		"Suppress": list.Suppress(ctx, fred, relay.Suppression{Address: bob}), "Suppressed": found,
		"List": listed, "Allow": list.Allow(ctx, fred, bob),
	} {
		if !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%s = %v; want ErrUnavailable", name, err)
		}
	}
}
