// Package pooltest says what package pool expects of a store, as tests that every store
// runs, and has a store in memory.
package pooltest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay/pool"
)

// Shared runs the suite. It uses keys and names of its own, freshly made, so that a store
// may be shared between tests and need not be empty.
func Shared(t *testing.T, open func(t *testing.T) pool.Shared) {
	for name, test := range map[string]func(*testing.T, pool.Shared){
		"a register is found":                                  registerIsFound,
		"a register that was never written is not found":       registerIsNotFound,
		"the highest version stays, in whatever order":         highestVersionStays,
		"of the same version the greater data stays":           greaterDataStays,
		"a register without data is one":                       emptyRegister,
		"a register that is kept for a while is found":         registerKept,
		"writers at once agree":                                writersAgree,
		"a large register comes back":                          largeRegister,
		"a beat overwrites the one before of the same process": beatOverwrites,
		"beats that different processes heard stand apart":     beatsStandApart,
		"a call whose time is over fails":                      callsObeyTheirContext,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// fresh is a name that nobody else has.
func fresh() string { return "service/" + strings.ToLower(rand.Text()) }

func put(t *testing.T, s pool.Shared, r pool.Register) {
	t.Helper()
	if err := s.Put(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// check looks for a register by Get and by All.
func check(t *testing.T, s pool.Shared, want pool.Register) {
	t.Helper()
	got, err := s.Get(t.Context(), want.Key)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(r pool.Register) bool { return r.Key != want.Key })
	if len(all) != 1 {
		t.Fatalf("All has the register %d times", len(all))
	}
	for from, r := range map[string]pool.Register{"Get": got, "All": all[0]} {
		if r.Key != want.Key || r.Version != want.Version || !bytes.Equal(r.Data, want.Data) {
			t.Errorf("%s: %.60q at %d; want %.60q at %d", from, r.Data, r.Version, want.Data, want.Version)
		}
	}
}

func registerIsFound(t *testing.T, s pool.Shared) {
	one, two := fresh(), fresh()
	put(t, s, pool.Register{Key: one, Version: 1, Data: []byte("one")})
	put(t, s, pool.Register{Key: two, Version: time.Now().UnixMicro(), Data: []byte{0, 255, '\n'}})
	check(t, s, pool.Register{Key: one, Version: 1, Data: []byte("one")})
	got, err := s.Get(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	check(t, s, pool.Register{Key: two, Version: got.Version, Data: []byte{0, 255, '\n'}})
}

func registerIsNotFound(t *testing.T, s pool.Shared) {
	if _, err := s.Get(t.Context(), fresh()); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("%v; want ErrNotFound", err)
	}
}

func highestVersionStays(t *testing.T, s pool.Shared) {
	for _, order := range [][]int64{{1, 2, 3}, {3, 2, 1}, {2, 3, 1}, {3, 3, 1}} {
		key := fresh()
		for _, v := range order {
			put(t, s, pool.Register{Key: key, Version: v, Data: fmt.Append(nil, 9-v)})
		}
		check(t, s, pool.Register{Key: key, Version: 3, Data: []byte("6")})
	}
}

func greaterDataStays(t *testing.T, s pool.Shared) {
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}, {"", "b"}, {"b", "a", ""}} {
		key := fresh()
		for _, data := range order {
			put(t, s, pool.Register{Key: key, Version: 7, Data: []byte(data)})
		}
		check(t, s, pool.Register{Key: key, Version: 7, Data: []byte("b")})
	}
}

func emptyRegister(t *testing.T, s pool.Shared) {
	key := fresh()
	put(t, s, pool.Register{Key: key, Version: 5, Data: []byte("here")})
	put(t, s, pool.Register{Key: key, Version: 6, Kept: time.Hour})
	check(t, s, pool.Register{Key: key, Version: 6})
	put(t, s, pool.Register{Key: key, Version: 5, Data: []byte("late")})
	check(t, s, pool.Register{Key: key, Version: 6})
	put(t, s, pool.Register{Key: key, Version: 7, Data: []byte("again")})
	check(t, s, pool.Register{Key: key, Version: 7, Data: []byte("again")})
}

func registerKept(t *testing.T, s pool.Shared) {
	key := fresh()
	put(t, s, pool.Register{Key: key, Version: 5, Data: []byte("for a while"), Kept: time.Hour})
	check(t, s, pool.Register{Key: key, Version: 5, Data: []byte("for a while")})
}

func writersAgree(t *testing.T, s pool.Shared) {
	key := fresh()
	var all sync.WaitGroup
	for v := range int64(16) {
		all.Go(func() {
			if err := s.Put(t.Context(), pool.Register{Key: key, Version: v%4 + 1, Data: fmt.Appendf(nil, "%02d", v)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	check(t, s, pool.Register{Key: key, Version: 4, Data: []byte("15")})
}

func largeRegister(t *testing.T, s pool.Shared) {
	want := pool.Register{Key: fresh(), Version: 1, Data: bytes.Repeat([]byte("0123456789abcdef"), 1<<16)}
	put(t, s, want)
	check(t, s, want)
}

// heard is what was heard of a service, by process.
func heard(t *testing.T, s pool.Shared, service string) map[string]pool.Heard {
	t.Helper()
	all, err := s.Heard(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]pool.Heard{}
	for _, h := range all {
		if h.Service != service {
			continue
		}
		if _, twice := by[h.Hearer]; twice {
			t.Errorf("%s is there twice", h.Hearer)
		}
		by[h.Hearer] = h
	}
	return by
}

func hear(t *testing.T, s pool.Shared, h pool.Heard) {
	t.Helper()
	if err := s.Hear(t.Context(), h); err != nil {
		t.Fatal(err)
	}
}

func beatOverwrites(t *testing.T, s pool.Shared) {
	service := fresh()
	for _, seq := range []uint64{7, 1 << 62, 3} { // the number may fall when a process starts anew
		hear(t, s, pool.Heard{Service: service, Hearer: "a", Seq: seq, Data: fmt.Append(nil, seq)})
		got := heard(t, s, service)
		if h := got["a"]; len(got) != 1 || h.Seq != seq || string(h.Data) != fmt.Sprint(seq) {
			t.Errorf("%v; want number %d", got, seq)
		}
	}
}

func beatsStandApart(t *testing.T, s pool.Shared) {
	one, two := fresh(), fresh()
	hear(t, s, pool.Heard{Service: one, Hearer: "a", Seq: 1})
	hear(t, s, pool.Heard{Service: one, Hearer: "b", Seq: 2})
	hear(t, s, pool.Heard{Service: two, Hearer: "a", Seq: 3})
	if got := heard(t, s, one); len(got) != 2 || got["a"].Seq != 1 || got["b"].Seq != 2 {
		t.Errorf("%v; want 1 by a, and 2 by b", got)
	}
	if got := heard(t, s, two); len(got) != 1 || got["a"].Seq != 3 {
		t.Errorf("%v; want 3 by a", got)
	}
}

func callsObeyTheirContext(t *testing.T, s pool.Shared) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, get := s.Get(over, fresh())
	_, all := s.All(over)
	_, beats := s.Heard(over)
	for call, err := range map[string]error{
		"Put":  s.Put(over, pool.Register{Key: fresh(), Version: 1, Data: []byte("x")}),
		"Hear": s.Hear(over, pool.Heard{Service: fresh(), Hearer: "a", Seq: 1}),
		"Get":  get, "All": all, "Heard": beats,
	} {
		if err == nil || errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("%s: %v; want a failure", call, err)
		}
	}
}
