package cassandra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay/pool"
)

// aKey is one that no other test uses.
func aKey() string { return "service/" + ids.Next().String() }

func putRegister(t testing.TB, s *Store, r pool.Register) {
	t.Helper()
	if err := s.Shared().Put(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func hear(t testing.TB, s *Store, h pool.Heard) {
	t.Helper()
	if err := s.Shared().Hear(t.Context(), h); err != nil {
		t.Fatal(err)
	}
}

// heardOf is what a store finds of a service.
func heardOf(t testing.TB, s *Store, service string) []pool.Heard {
	t.Helper()
	all, err := s.Shared().Heard(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(h pool.Heard) bool { return h.Service != service })
}

func TestFewStatementsServeWhatProcessesShare(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	shared, key := s.Shared(), aKey()
	for _, step := range []struct {
		name string
		do   func() error
		want map[string]int
	}{
		{"putting", func() error { return shared.Put(t.Context(), pool.Register{Key: key, Version: 1}) }, map[string]int{"relay_register insert": 1}},
		{"getting", func() error { _, err := shared.Get(t.Context(), key); return err }, map[string]int{"relay_register select": 1}},
		{"hearing", func() error { return shared.Hear(t.Context(), pool.Heard{Service: key, Hearer: "a"}) }, map[string]int{"relay_heard insert": 1}},
		{"looking who heard", func() error { _, err := shared.Heard(t.Context()); return err }, map[string]int{"relay_heard select": 1}},
	} {
		did := statements(t, s, func() {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
		})
		if fmt.Sprint(did) != fmt.Sprint(step.want) {
			t.Errorf("%s takes %v; want %v", step.name, did, step.want)
		}
	}
}

func TestAllRegistersAreReadPageByPage(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	key := aKey()
	for n := range 5 * registersAtOnce / 2 {
		putRegister(t, s, pool.Register{Key: fmt.Sprintf("%s/%03d", key, n), Version: int64(n + 1), Data: fmt.Append(nil, n)})
	}
	var all []pool.Register
	did := statements(t, s, func() {
		var err error
		if all, err = s.Shared().All(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if did["relay_register select all"] < 3 {
		t.Errorf("it took %v", did)
	}
	n := 0
	for _, r := range all {
		if !bytes.HasPrefix([]byte(r.Key), []byte(key)) {
			continue
		}
		if r.Key != fmt.Sprintf("%s/%03d", key, n) || r.Version != int64(n+1) || string(r.Data) != fmt.Sprint(n) {
			t.Errorf("number %d is %q at %d as %s", n, r.Data, r.Version, r.Key)
		}
		n++
	}
	if n != 5*registersAtOnce/2 {
		t.Errorf("%d registers", n)
	}
}

func TestARegisterThatIsKeptForAWhileIsGoneWhenThatIsOver(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	key := aKey()
	putRegister(t, s, pool.Register{Key: key, Version: 1, Data: []byte("here")})
	putRegister(t, s, pool.Register{Key: key, Version: 2, Kept: time.Nanosecond})
	deadline := time.Now().Add(20 * time.Second)
	for {
		r, err := s.Shared().Get(t.Context(), key)
		if errors.Is(err, mailbox.ErrNotFound) {
			break
		}
		if err != nil || r.Version != 2 || time.Now().After(deadline) {
			t.Fatalf("found %+v, %v; want version 2 and then nothing", r, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	putRegister(t, s, pool.Register{Key: key, Version: 1, Data: []byte("late")})
	if r, err := s.Shared().Get(t.Context(), key); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("what was there before is back: %+v, %v", r, err)
	}
}

func TestTimesToLiveAreRoundedUp(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int{
		-time.Hour: 1, 1: 1, time.Second: 1, time.Second + 1: 2, MaxLife - 1: int(MaxLife / time.Second), MaxLife: int(MaxLife / time.Second), MaxLife + 1: 0,
	} {
		if got := lifetime(d); got != want {
			t.Errorf("what is kept for %v lives for %d s; want %d", d, got, want)
		}
	}
}

func TestRegistersLiveAsLongAsTheyAreKept(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	db, err := s.session.connection()
	if err != nil {
		t.Fatal(err)
	}
	for kept, want := range map[time.Duration]int{
		0: 0, 90 * time.Minute: 5400, MaxLife + 1: 0,
	} {
		key, life := aKey(), 0
		putRegister(t, s, pool.Register{Key: key, Version: 1, Kept: kept})
		var left *int
		if err := db.Query("SELECT TTL(data) FROM relay_register WHERE pool = ? AND key = ?", thePool, key).Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left != nil {
			life = *left
		}
		if life > want || life < want-60 {
			t.Errorf("kept for %v, it lives for %d s; want %d", kept, life, want)
		}
	}
}

func TestWhatAProcessHearsIsFoundAlthoughItsClockWasSetBack(t *testing.T) {
	t.Parallel()
	before, service := newStore(t), aKey()
	hear(t, before, pool.Heard{Service: service, Hearer: "a", Seq: 7, Data: []byte("x")})
	behind := at(t, -time.Hour) // the process after it
	if got := heardOf(t, behind, service); len(got) != 1 || got[0].Seq != 7 {
		t.Fatalf("found %+v", got)
	}
	hear(t, behind, pool.Heard{Service: service, Hearer: "a", Seq: 1})
	if got := heardOf(t, before, service); len(got) != 1 || got[0].Seq != 1 || len(got[0].Data) != 0 {
		t.Errorf("found %+v; want number 1", got)
	}
}

func TestWhatOtherDatacentersHearIsTheirs(t *testing.T) {
	t.Parallel()
	s, service := newStore(t), aKey()
	if err := s.session.write(t.Context(), insertHeard, LocalQuorum, writeTime(time.Now().UnixMicro()), "elsewhere", service, "a", int64(1), []byte{}); err != nil {
		t.Fatal(err)
	}
	if got := heardOf(t, s, service); len(got) != 0 {
		t.Errorf("found %+v", got)
	}
}

func TestBeatsOfServicesAreForgottenAfterTenMinutes(t *testing.T) {
	t.Parallel()
	s, service := newStore(t), aKey()
	hear(t, s, pool.Heard{Service: service, Hearer: "a", Seq: 1})
	db, err := s.session.connection()
	if err != nil {
		t.Fatal(err)
	}
	var left int
	if err := db.Query("SELECT TTL(data) FROM relay_heard WHERE datacenter = ? AND service = ? AND hearer = ?", s.session.options.Datacenter, service, "a").Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left > 600 || left < 540 {
		t.Errorf("in %d s", left)
	}
}

func TestAClosedStoreSharesNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	shared := s.Shared()
	for name, do := range map[string]func(context.Context) error{
		"Put":   func(ctx context.Context) error { return shared.Put(ctx, pool.Register{Key: "a", Version: 1}) },
		"Get":   func(ctx context.Context) error { _, err := shared.Get(ctx, "a"); return err },
		"All":   func(ctx context.Context) error { _, err := shared.All(ctx); return err },
		"Hear":  func(ctx context.Context) error { return shared.Hear(ctx, pool.Heard{Service: "a", Hearer: "a"}) },
		"Heard": func(ctx context.Context) error { _, err := shared.Heard(ctx); return err },
	} {
		if err := do(t.Context()); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
