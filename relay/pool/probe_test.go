package pool_test

import (
	"errors"
	"testing"
	"time"

	"restante/relay"
	"restante/relay/pool"
)

// gaps are the times between the last probes.
func (f *fake) gaps(n int) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var gaps []time.Duration
	for i := len(f.probes) - n; i < len(f.probes); i++ {
		gaps = append(gaps, f.probes[i].Sub(f.probes[i-1]).Round(100*time.Millisecond))
	}
	return gaps
}

func TestProbesBringDownAndUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a", "b"))
		s.is("a", pool.Probing)
		time.Sleep(2500 * time.Millisecond)
		s.is("a", pool.Up) // after the second
		s.warm()
		f := s.fake("a")
		for _, gap := range f.gaps(2) {
			if gap != 15*time.Second {
				t.Errorf("probed after %v where all is well", gap)
			}
		}
		f.set(func(f *fake) { f.probe = relay.Outcome{Result: relay.Transport, Text: "connection refused"} })
		for s.status("a").State == pool.Up {
			time.Sleep(10 * time.Millisecond)
		}
		s.is("a", pool.Suspect)
		s.send()
		time.Sleep(4500 * time.Millisecond)
		s.is("a", pool.Down)
		if got, want := s.status("a").Reason, "probes fail: connection refused"; got != want {
			t.Errorf("%q; want %q", got, want)
		}
		for range 10 {
			if got := s.send(); got != "b" {
				t.Errorf("%s was chosen", got)
			}
		}
		time.Sleep(time.Minute)
		for _, gap := range f.gaps(10) {
			if gap != 2*time.Second {
				t.Errorf("probed after %v where it is down", gap)
			}
		}
		f.set(func(f *fake) { f.probe = relay.Outcome{} })
		time.Sleep(4500 * time.Millisecond)
		s.is("a", pool.Up)
	})
}

// Where no service is up it does not matter how long breakers want to stay open.
func TestWhereNoServiceIsUpAllAreProbedAndTried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"))
		b := s.register(agent("b"))
		b.forSeconds(30)
		for _, f := range s.fakes.all {
			f.set(func(f *fake) {
				f.result = relay.Outcome{Result: relay.Transport}
				f.probe = relay.Outcome{Result: relay.Transport}
			})
		}
		for range 10 {
			for _, name := range []string{"a", "b"} { // the breakers stay open for longer and longer
				if _, err := s.Trip(name); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.forSeconds(20)
		s.is("a", pool.Down)
		s.is("b", pool.Down)
		s.refused(relay.ErrNoService)
		for _, f := range s.fakes.all {
			if gaps := f.gaps(5); gaps[0] != 2*time.Second || gaps[4] != 2*time.Second {
				t.Errorf("probed after %v; want each 2 s", gaps)
			}
			f.set(func(f *fake) { f.result, f.probe = relay.Outcome{}, relay.Outcome{} })
		}
		b.forSeconds(5)
		name := s.send() // the first that answered; the other waits for its own time
		if st := s.status(name); st.State != pool.Up {
			t.Errorf("%s is %s", name, st.State)
		}
	})
}

func TestAProbeCanBeAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.register(agent("a")).forSeconds(3)
		if n := s.fake("a").probed(); n != 0 {
			t.Errorf("an agent that beats was probed %d times", n)
		}
		if _, err := s.Probe("a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := s.fake("a").probed(); n != 1 {
			t.Errorf("probed %d times; want once", n)
		}
	})
}

func TestAServiceThatCannotBeOpenedIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t)
		there.fakes.mu.Lock()
		there.fakes.fail = errors.New("no credentials")
		there.fakes.mu.Unlock()
		a := here.register(agent("a"))
		a.forSeconds(5)
		there.is("a", pool.Down)
		if got, want := there.status("a").Reason, "cannot be opened: no credentials"; got != want {
			t.Errorf("%q; want %q", got, want)
		}
		there.fakes.mu.Lock()
		there.fakes.fail = nil
		there.fakes.mu.Unlock()
		a.forSeconds(15)
		there.is("a", pool.Up)
	})
}
