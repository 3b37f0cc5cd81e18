package pool_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
	"restante/relay/pool/pooltest"
)

// sharing are two sites on one store.
func sharing(t *testing.T, change ...func(*pool.Options)) (here, there *site, store *pooltest.Memory) {
	store = pooltest.NewMemory()
	on := func(node string) func(*pool.Options) {
		return func(o *pool.Options) { o.Shared, o.Node = store, node }
	}
	return newSite(t, append(change, on("here"))...), newSite(t, append(change, on("there"))...), store
}

// leaves waits until a service is no longer up at any of the sites, and says how long after
// a time that was at each.
func leaves(name string, last time.Time, sites ...*site) []time.Duration {
	took := make([]time.Duration, len(sites))
	for left := len(sites); left > 0; {
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		for i, s := range sites {
			if took[i] == 0 && s.status(name).State != pool.Up {
				took[i] = time.Since(last)
				left--
			}
		}
	}
	return took
}

func TestADeadServiceIsOutInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		// At any offset between its beats, the scans and the polls.
		for phase := range 12 {
			here, there, _ := sharing(t)
			time.Sleep(time.Duration(phase) * 83 * time.Millisecond)
			a := here.register(agent("a"))
			a.forSeconds(5)
			here.is("a", pool.Up)
			there.is("a", pool.Up)
			a.beat()
			last := time.Now()
			took := leaves("a", last, here, there)
			if took[0] > 3250*time.Millisecond || took[0] < 3*time.Second {
				t.Errorf("phase %d: out after %v where it was heard; want 3 s to 3.25 s", phase, took[0])
			}
			if took[1] > 4500*time.Millisecond || took[1] < 3*time.Second {
				t.Errorf("phase %d: out after %v at another process; want 3 s to 4.5 s", phase, took[1])
			}
		}
	})
}

func TestAServiceIsUpAfterTwoBeatsAndComesBackEachTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t)
		for range 5 {
			began := time.Now()
			a := here.register(agent("a"))
			here.is("a", pool.Probing)
			for here.status("a").State != pool.Up || there.status("a").State != pool.Up {
				a.beat()
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("back after %v", took)
			}
			if got := there.send(); got != "a" {
				t.Errorf("%s was chosen", got)
			}
			time.Sleep(10 * time.Second)
			here.is("a", pool.Down)
			there.is("a", pool.Down)
			here.refused(relay.ErrNoService)
		}
	})
}

func TestAServiceThatBeatsAnywhereIsUpEverywhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t)
		a := here.register(agent("a"))
		a.forSeconds(3)
		b := a.at(there) // as a load balancer would have it
		b.forSeconds(20)
		here.is("a", pool.Up)
		there.is("a", pool.Up)
	})
}

// An agent that counts its beats at each process by themselves, of which one hears more
// and dies.
func TestAProcessGoesOnHearingAServiceWhenAnotherDies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mortal, there, _ := sharing(t)
		a := mortal.register(agent("a"))
		b := a.at(there)
		a.seq, b.seq = 1000, 0
		for range 10 {
			a.beat()
			b.forSeconds(1)
		}
		for range 60 {
			b.forSeconds(1)
			there.is("a", pool.Up)
		}
	})
}

func TestABeatIsTakenByAProcessThatDoesNotKnowTheServiceYet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t)
		time.Sleep(10 * time.Millisecond)
		a := here.register(agent("a"))
		if got := a.at(there).beat(); got.Epoch != a.last.Epoch {
			t.Errorf("answered %+v", got)
		}
	})
}

func TestAnOldBeatIsNoSignOfLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		one, two, store := sharing(t)
		a := one.register(agent("a"))
		a.forSeconds(5)
		a.at(two).forSeconds(5) // so that two processes say that they heard it
		time.Sleep(time.Minute)
		there := newSite(t, func(o *pool.Options) { o.Shared, o.Node = store, "late" })
		for range 20 {
			time.Sleep(300 * time.Millisecond)
			synctest.Wait()
			if st := there.status("a").State; st != pool.Probing && st != pool.Down {
				t.Fatalf("a service that died a minute ago is %s", st)
			}
		}
		there.is("a", pool.Down)
	})
}

func TestWhatOthersHeardIsBelievedWhileTheStoreIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, store := sharing(t)
		time.Sleep(300 * time.Millisecond) // after the polls, which are each second
		a := here.register(agent("a"))
		a.forSeconds(5)
		since := there.status("a").Since
		store.Fail(errors.New("away"))
		a.forSeconds(60)
		there.is("a", pool.Up)
		here.is("a", pool.Up) // it hears the beats itself
		time.Sleep(600 * time.Millisecond)
		store.Fail(nil) // and it is read before another beat is written
		time.Sleep(400 * time.Millisecond)
		a.forSeconds(3)
		there.is("a", pool.Up)
		if got := there.status("a").Since; got != since {
			t.Error("it was not up all the time")
		}
		if took := leaves("a", time.Now(), there)[0]; took > 4500*time.Millisecond {
			t.Errorf("out after %v once the store is back", took)
		}

		b := here.register(agent("a"))
		b.forSeconds(5)
		store.Fail(errors.New("away"))
		time.Sleep(time.Minute)
		there.is("a", pool.Up) // nobody could say that it died
		store.Fail(nil)
		time.Sleep(5 * time.Second)
		there.is("a", pool.Down)
	})
}

func TestAServiceSaysWhatItCanTake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		a := s.register(agent("a"))
		a.forSeconds(40)
		none, some := int64(0), int64(10)
		for _, c := range []struct {
			beat func(*pool.Beat)
			want pool.State
		}{
			{func(b *pool.Beat) { b.Status = "drain" }, pool.Draining},
			{func(b *pool.Beat) { b.Status = "up" }, pool.Up},
			{func(b *pool.Beat) { b.Status = "degraded" }, pool.Suspect},
			{func(b *pool.Beat) { b.Status = "down" }, pool.Down},
			{func(b *pool.Beat) { b.Left = &none }, pool.Throttled},
			{func(b *pool.Beat) { b.Left = &some }, pool.Up},
		} {
			a.beat(c.beat)
			s.is("a", c.want)
		}
		a.beat(func(b *pool.Beat) { b.Percent, b.Capacity, b.Note = 50, 2, "busy" })
		a.forSeconds(0)
		time.Sleep(time.Second)
		if st := s.status("a"); st.Room != 2 || st.Note != "busy" {
			t.Errorf("room for %d, note %q; want 2 and busy", st.Room, st.Note)
		}
		one, two := s.pick(), s.pick()
		s.refused(relay.ErrBusy)
		changed := s.Changed()
		s.refused(relay.ErrBusy)
		a.beat(func(b *pool.Beat) { b.Capacity = 3 })
		<-changed
		three := s.pick()
		for _, k := range []relay.Picked{one, two, three} {
			k.Release()
		}
		for _, wrong := range []func(*pool.Beat){
			func(b *pool.Beat) { b.Status = "splendid" },
			func(b *pool.Beat) { b.Percent = 101 },
			func(b *pool.Beat) { b.Capacity = -1 },
		} {
			if _, err := a.try(wrong); !errors.Is(err, pool.ErrInvalid) {
				t.Errorf("%v; want ErrInvalid", err)
			}
		}
	})
}

func TestABeatThatComesLateDoesNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		a := s.register(agent("a"))
		a.forSeconds(5)
		for range 10 {
			a.beat(func(b *pool.Beat) { b.Seq = 3 })
			time.Sleep(time.Second)
		}
		s.is("a", pool.Down)
	})
}

func TestAServiceThatWasDeadForLongIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t, func(o *pool.Options) { o.Forget = 10 * time.Minute })
		here.register(agent("a")).forSeconds(3)
		time.Sleep(8 * time.Minute)
		here.is("a", pool.Down)
		time.Sleep(4 * time.Minute)
		for _, s := range []*site{here, there} {
			if _, err := s.Service("a"); !errors.Is(err, mailbox.ErrNotFound) {
				t.Errorf("%v; want ErrNotFound", err)
			}
		}
		here.register(agent("a")).forSeconds(3)
		there.is("a", pool.Up)
	})
}
