package pool_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
)

func TestWhyNoServiceIsPicked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, func(o *pool.Options) {
			o.Concurrency = 1
			o.Static = []pool.Document{
				{Name: "plain", Kind: "smtp", Senders: []string{"example.org", "Example.NET"}, Limits: pool.Limits{Octets: 5000}},
				{Name: "rebuilds", Kind: "sendgrid", Senders: []string{"example.org"}},
			}
		})
		s.fakes.byName["rebuilds"].set(func(f *fake) { f.limits = relay.Limits{NoUTF8: true, Reassembles: true, Octets: 2000} })
		s.refused(relay.ErrNoService) // nothing was probed yet
		s.warm()
		domain := func(name string) func(*relay.Want) { return func(w *relay.Want) { w.Domain = name } }
		octets := func(n int64) func(*relay.Want) { return func(w *relay.Want) { w.Octets = n } }
		tried := func(names ...string) func(*relay.Want) { return func(w *relay.Want) { w.Tried = names } }
		signed := func(w *relay.Want) { w.Signed = true }
		utf8 := func(w *relay.Want) { w.UTF8 = true }

		s.refused(relay.ErrNoService, domain("elsewhere.example"))
		s.refused(relay.ErrUnfit, octets(5001))
		s.refused(relay.ErrUnfit, domain("example.net"), octets(5001))
		s.refused(relay.ErrTried, octets(2001), tried("plain"))
		s.refused(relay.ErrTried, signed, tried("plain"))
		s.refused(relay.ErrTried, utf8, tried("plain"))
		s.refused(relay.ErrTried, tried("plain", "rebuilds"))
		for range 10 {
			for _, fit := range []func(*relay.Want){domain("example.net"), octets(2001), signed, utf8, tried("rebuilds")} {
				if got := s.send(fit); got != "plain" {
					t.Fatalf("%s was chosen", got)
				}
			}
		}
		if got := s.send(tried("plain")); got != "rebuilds" {
			t.Errorf("%s was chosen", got)
		}

		prefer := func(w *relay.Want) { w.Prefer = "rebuilds" }
		kept := s.pick(prefer)
		if kept.Name() != "rebuilds" {
			t.Errorf("%s was chosen; want the one that is preferred", kept.Name())
		}
		if other := s.pick(prefer); other.Name() != "plain" {
			t.Errorf("%s was chosen; want the one that has room", other.Name())
		} else {
			s.refused(relay.ErrBusy)
			s.refused(relay.ErrBusy, octets(5000))
			other.Release()
			other.Release()
		}
		s.refused(relay.ErrBusy, tried("plain"))
		kept.Release()
		s.send(tried("plain"))
	})
}

// Whether a mail may fail depends on who else could take it, and not on who is up.
func TestAServiceThatRestsMayTakeWhatOthersDoNot(t *testing.T) {
	tried := func(names ...string) func(*relay.Want) { return func(w *relay.Want) { w.Tried = names } }
	signed := func(w *relay.Want) { w.Signed = true }
	result := func(n int, r relay.Result) func(s *site) {
		return func(s *site) {
			s.fake("other").set(func(f *fake) { f.result = relay.Outcome{Result: r} })
			for range n {
				s.send(tried("rebuilds"))
			}
		}
	}
	for name, c := range map[string]struct {
		harm  func(s *site)
		state pool.State
		rests bool
	}{
		"throttled":     {result(1, relay.Throttled), pool.Throttled, true},
		"down":          {result(5, relay.Temporary), pool.Down, true},
		"misconfigured": {result(1, relay.AccountFault), pool.Misconfigured, true},
		"taken out": {func(s *site) {
			if _, err := s.Drain(s.Context(), "other"); err != nil {
				s.Fatal(err)
			}
		}, pool.Draining, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, func(o *pool.Options) {
					o.Static = []pool.Document{
						{Name: "rebuilds", Kind: "sendgrid"},
						{Name: "other", Kind: "ses", Senders: []string{"example.org"}, Limits: pool.Limits{Octets: 5000}},
					}
				})
				s.fake("rebuilds").set(func(f *fake) { f.limits = relay.Limits{Reassembles: true} })
				s.warm()
				c.harm(s)
				s.is("other", c.state)
				becauseTried, becauseSigned := relay.ErrTried, relay.ErrUnfit
				if c.rests {
					becauseTried, becauseSigned = relay.ErrResting, relay.ErrResting
				}
				s.refused(becauseTried, tried("rebuilds"))
				s.refused(becauseSigned, signed)

				// What that one would not take either does not wait for it.
				s.refused(relay.ErrTried, tried("rebuilds", "other"))
				s.refused(relay.ErrTried, tried("rebuilds"), func(w *relay.Want) { w.Octets = 5001 })
				s.refused(relay.ErrUnfit, signed, func(w *relay.Want) { w.Domain = "example.net" })
			})
		})
	}
}

// Of a service that has just come nothing is known, as of all after a start.
func TestAServiceThatIsNotKnownYetMayTakeWhatOthersDoNot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"))
		s.warm()
		s.register(agent("b"))
		s.is("b", pool.Probing)
		s.refused(relay.ErrResting, func(w *relay.Want) { w.Tried = []string{"a"} })
	})
}

func TestRoomThatIsGivenBackIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"))
		s.warm()
		var held []relay.Picked
		for range 16 {
			held = append(held, s.pick())
		}
		changed := s.Changed()
		s.refused(relay.ErrBusy)
		select {
		case <-changed:
			t.Fatal("told without a change")
		default:
		}
		held[0].Release()
		<-changed
		held[0] = s.pick()
		changed = s.Changed()
		s.refused(relay.ErrBusy)
		held[1].Send(t.Context(), mail(1))
		<-changed
		held[1] = s.pick()
		for _, k := range held {
			k.Release()
		}
		if st := s.status("a"); st.Sending != 0 || st.Room != 16 {
			t.Errorf("%d of %d are sent", st.Sending, st.Room)
		}
	})
}

func TestAServiceThatComesBackIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		changed := s.Changed()
		s.refused(relay.ErrNoService)
		a := s.register(agent("a"))
		a.forSeconds(2)
		<-changed
		s.send()
	})
}

func TestARateIsDividedAmongProcesses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var processes atomic.Int32
		processes.Store(2)
		s := newSite(t, func(o *pool.Options) {
			o.Static = []pool.Document{{Name: "a", Kind: "smtp", Limits: pool.Limits{PerSecond: 6, Burst: 6, PerDay: 200}}}
			o.Processes = func() int { return int(processes.Load()) }
		})
		s.warm()
		sent := func(d time.Duration) (n int) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				changed := s.Changed()
				k, err := s.Pick(want)
				if err == nil {
					k.Send(t.Context(), mail(1))
					n++
					continue
				}
				select {
				case <-changed:
				case <-time.After(time.Until(end)):
				}
			}
			return n
		}
		if n := sent(20 * time.Second); n < 59 || n > 61 {
			t.Errorf("%d in 20 s at 0.95 times half of 6/s and half of 6 at once; want 60", n)
		}
		processes.Store(1) // the other one is dead
		time.Sleep(time.Second)
		if n := sent(10 * time.Second); n < 60 || n > 66 {
			t.Errorf("%d in 10 s at 6/s; want 60 and what had gathered", n)
		}
		processes.Store(2)
		time.Sleep(time.Second)
		if n := sent(10 * time.Second); n != 0 {
			t.Errorf("%d when half of 200 a day are used; want none", n)
		}
	})
}

func TestARateIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, func(o *pool.Options) {
			o.Static = []pool.Document{{Name: "a", Kind: "smtp", Limits: pool.Limits{PerSecond: 5, Burst: 5}}}
		})
		s.warm()
		began, sent := time.Now(), 0
		for time.Since(began) < 20*time.Second {
			changed := s.Changed()
			k, err := s.Pick(want)
			if errors.Is(err, relay.ErrBusy) {
				<-changed // which comes as soon as the next may be sent
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			k.Send(t.Context(), mail(1))
			sent++
		}
		if sent < 104 || sent > 106 {
			t.Errorf("%d in 20 s at 5/s and 5 at once; want 105", sent)
		}
		// One mail for ten is paid off before the next.
		time.Sleep(10 * time.Second)
		s.pick(func(w *relay.Want) { w.Recipients = 10 }).Send(t.Context(), mail(10))
		began = time.Now()
		changed := s.Changed()
		s.refused(relay.ErrBusy)
		<-changed
		s.send()
		if took := time.Since(began); took < 1199*time.Millisecond || took > 1201*time.Millisecond {
			t.Errorf("the next was sent after %v; want 1.2 s", took)
		}
		// What is given back unused does not count.
		time.Sleep(10 * time.Second)
		for range 100 {
			s.pick().Release()
		}
		s.send()
	})
}

// Others may have used the rate before, and have a burst of their own.
func TestARateBeginsWithoutABurst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"))
		s.warm()
		burst := func() (n int) {
			for {
				k, err := s.Pick(want)
				if err != nil {
					return n
				}
				k.Send(t.Context(), mail(1))
				n++
			}
		}
		if _, err := s.Patch(t.Context(), "a", -1, pool.Patch{Limits: &pool.Limits{PerSecond: 5, Burst: 5}}); err != nil {
			t.Fatal(err)
		}
		if n := burst(); n != 1 {
			t.Errorf("%d at once when the rate is new; want one", n)
		}
		time.Sleep(time.Minute)
		if n := burst(); n != 5 {
			t.Errorf("%d at once after a minute; want 5", n)
		}
		// Nor is there one when a rest is over, however long it was.
		time.Sleep(time.Minute)
		s.fake("a").set(func(f *fake) {
			f.result = relay.Outcome{Result: relay.Throttled, Until: time.Now().Add(30 * time.Second)}
		})
		s.send()
		s.is("a", pool.Throttled)
		s.fake("a").set(func(f *fake) { f.result = relay.Outcome{} })
		time.Sleep(30*time.Second + 300*time.Millisecond)
		if n := burst(); n != 1 {
			t.Errorf("%d at once 0.3 s after the rest; want one", n)
		}
	})
}

// What was on its way when a service said that it is too much says the same once more,
// and no more than that.
func TestMailsThatAreTurnedAwayTogetherAreOneReasonToRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"))
		s.warm()
		s.fake("a").set(func(f *fake) { f.result, f.takes = relay.Outcome{Result: relay.Throttled}, time.Second })
		var all sync.WaitGroup
		for range 8 {
			k := s.pick()
			all.Go(func() { k.Send(t.Context(), mail(1)) })
		}
		all.Wait()
		s.is("a", pool.Throttled)
		time.Sleep(1300 * time.Millisecond)
		s.is("a", pool.Up)
	})
}

func TestADayThatIsUsedUpIsRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, func(o *pool.Options) {
			o.Static = []pool.Document{{Name: "a", Kind: "smtp", Limits: pool.Limits{PerDay: 30}}}
		})
		s.warm()
		for range 10 {
			s.pick(func(w *relay.Want) { w.Recipients = 3 }).Send(t.Context(), mail(3))
		}
		s.is("a", pool.Throttled)
		s.refused(relay.ErrNoService)
		if day := s.status("a").Day; day != 30 {
			t.Errorf("%d counted; want 30", day)
		}
	})
}

// beside is another service, for other mail, so that the pool as a whole is never down.
func beside(o *pool.Options) {
	o.Static = append(o.Static, pool.Document{Name: "beside", Kind: "smtp", Senders: []string{"elsewhere.example"}})
}

// results sends mails of which this comes.
func (s *site) results(name string, n int, r relay.Result) {
	s.Helper()
	s.fake(name).set(func(f *fake) { f.result = relay.Outcome{Result: r, Text: "as told"} })
	for range n {
		k, err := s.Pick(want)
		if err != nil {
			s.Fatalf("%v: %v", r, err)
		}
		k.Send(s.Context(), mail(1))
	}
}

func TestOutcomesOfTheServiceAloneOpenTheBreaker(t *testing.T) {
	for _, c := range []struct {
		result relay.Result
		want   pool.State
	}{
		{relay.Success, pool.Up},
		{relay.BadRecipient, pool.Up},
		{relay.BadMessage, pool.Up},
		{relay.Temporary, pool.Down},
		{relay.Transport, pool.Down},
		{relay.Ambiguous, pool.Down},
	} {
		t.Run(c.result.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, static("a"), beside)
				s.warm()
				s.results("a", 5, c.result)
				s.is("a", c.want)
			})
		})
	}
}

func TestWhatAServiceWasNotAskedSaysNothingAboutIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"), beside)
		s.warm()
		unasked := func() {
			s.fake("a").set(func(f *fake) { f.result = relay.Outcome{Result: relay.BadMessage, Unasked: true} })
			s.send()
		}
		s.results("a", 4, relay.Temporary)
		unasked()
		s.results("a", 1, relay.Temporary)
		s.is("a", pool.Down)
		time.Sleep(6 * time.Second)
		unasked()
		s.is("a", pool.Trial)
	})
}

func TestOneSuccessBesideFailuresIsASuccess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"))
		s.warm()
		s.fake("a").set(func(f *fake) {
			f.send = func(context.Context, relay.Mail) []relay.Outcome {
				return []relay.Outcome{{Result: relay.Temporary}, {Result: relay.Success}, {Result: relay.Temporary}}
			}
		})
		for range 50 {
			s.pick().Send(t.Context(), mail(3))
		}
		s.is("a", pool.Up)
	})
}

func TestWhatFailsOnThisSideIsNoFaultOfTheService(t *testing.T) {
	failing := errors.New("ours")
	read := func(ctx context.Context, m relay.Mail) []relay.Outcome {
		r, err := m.Open(ctx)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err == nil {
			err = m.Commit()
		}
		if err != nil || ctx.Err() != nil {
			return []relay.Outcome{{Result: relay.Transport}}
		}
		return []relay.Outcome{{Result: relay.Success}}
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		change func(*relay.Mail)
	}{
		"the content cannot be opened": {context.Background(), func(m *relay.Mail) {
			m.Open = func(context.Context) (io.ReadCloser, error) { return nil, failing }
		}},
		"the content cannot be read": {context.Background(), func(m *relay.Mail) {
			m.Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(broken{failing}), nil }
		}},
		"the lease is over":  {context.Background(), func(m *relay.Mail) { m.Commit = func() error { return relay.ErrLease } }},
		"this process stops": {over, func(*relay.Mail) {}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, static("a"))
				s.warm()
				s.fake("a").set(func(f *fake) { f.send = read })
				for range 30 {
					m := mail(1)
					c.change(&m)
					s.pick().Send(c.ctx, m)
				}
				s.is("a", pool.Up)
			})
		})
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestFailuresOfDestinationsSayNothingAboutOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, func(o *pool.Options) { o.Static = []pool.Document{{Name: "direct", Kind: "mx"}} }, beside)
		s.warm()
		s.results("direct", 50, relay.Temporary)
		s.results("direct", 50, relay.Ambiguous)
		s.is("direct", pool.Up)
	})
}

func TestAnAgentMaySpeakToDestinationsToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("beside"))
		d := agent("direct")
		d.Senders, d.Destinations = []string{"example.com"}, true
		a := s.register(d)
		a.forSeconds(3)
		results := func(n int, r relay.Result) {
			s.fake("direct").set(func(f *fake) { f.result = relay.Outcome{Result: r} })
			for range n {
				s.pick(func(w *relay.Want) { w.Domain, w.Tried = "example.com", []string{"beside"} }).Send(t.Context(), mail(1))
			}
		}
		results(50, relay.Temporary)
		results(50, relay.Ambiguous)
		s.is("direct", pool.Up)
		results(5, relay.Transport) // the agent itself is away
		s.is("direct", pool.Down)
		for range 6 {
			a.forSeconds(1)
		}
		s.is("direct", pool.Trial)
		results(1, relay.Temporary)
		s.is("direct", pool.Up)
	})
}

func TestAnAgentMaySayThatItTakesMailApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := agent("rebuilds")
		d.Reassembles = true
		s.register(d).forSeconds(3)
		s.refused(relay.ErrUnfit, func(w *relay.Want) { w.Signed = true })
		if got := s.send(); got != "rebuilds" {
			t.Errorf("%s was chosen", got)
		}
	})
}

func TestABrokenServiceIsTriedWithOneMailAndComesBackSlowly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"), beside)
		s.warm()
		s.results("a", 3, relay.Transport)
		s.is("a", pool.Suspect)
		s.results("a", 2, relay.Transport)
		s.is("a", pool.Down)
		s.refused(relay.ErrNoService)
		time.Sleep(4900 * time.Millisecond)
		s.is("a", pool.Down)
		time.Sleep(400 * time.Millisecond)
		s.is("a", pool.Trial)
		one := s.pick()
		s.refused(relay.ErrBusy)
		one.Release()
		one = s.pick()
		s.fake("a").set(func(f *fake) { f.result.Result = relay.Success })
		one.Send(t.Context(), mail(1))
		if st := s.status("a").State; st > pool.Suspect {
			t.Errorf("%s after the trial succeeded", st)
		}
		if weight := s.status("a").Weight; weight != 10 {
			t.Errorf("its weight is %v at first; want 10", weight)
		}
	})
}

func TestAServiceThatReturnsHasAGrowingShare(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a", "b"))
		s.warm()
		s.fake("b").set(func(f *fake) { f.probe = relay.Outcome{Result: relay.Transport, Text: "away"} })
		time.Sleep(time.Minute)
		s.is("b", pool.Down)
		s.fake("b").set(func(f *fake) { f.probe.Result = relay.Success })
		for s.status("b").State != pool.Up {
			time.Sleep(10 * time.Millisecond)
		}
		share := func() (n int) {
			for range 10_000 {
				if s.send() == "b" {
					n++
				}
			}
			return n / 100
		}
		for _, c := range []struct{ second, low, high int }{{0, 7, 11}, {15, 31, 39}, {31, 48, 52}} {
			time.Sleep(time.Until(s.status("b").Since.Add(time.Duration(c.second) * time.Second)))
			if got := share(); got < c.low || got > c.high {
				t.Errorf("%d s after its return b has %d %% of the mail; want %d to %d", c.second, got, c.low, c.high)
			}
		}
	})
}

func TestAServiceRestsAsLongAsItAsks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"))
		s.warm()
		until := time.Now().Add(90 * time.Second)
		s.fake("a").set(func(f *fake) { f.result = relay.Outcome{Result: relay.Throttled, Until: until} })
		changed := s.Changed()
		s.send()
		s.is("a", pool.Throttled)
		s.refused(relay.ErrNoService)
		<-changed
		if late := time.Since(until); late < 0 || late > 250*time.Millisecond {
			t.Errorf("told %v after its rest", late)
		}
		// Where it does not say how long, longer each time.
		s.fake("a").set(func(f *fake) { f.result.Until = time.Time{} })
		for _, want := range []time.Duration{1, 2, 4, 8} {
			s.send()
			if got := time.Until(s.status("a").Resting); got != want*time.Second {
				t.Errorf("rests %v; want %v", got, want*time.Second)
			}
			time.Sleep(want*time.Second + time.Second)
		}
		s.fake("a").set(func(f *fake) { f.result = relay.Outcome{} })
		s.send()
		s.fake("a").set(func(f *fake) { f.result.Result = relay.Throttled })
		s.send()
		if got := time.Until(s.status("a").Resting); got != time.Second {
			t.Errorf("rests %v after a success; want 1 s", got)
		}
		time.Sleep(2 * time.Second)
		s.fake("a").set(func(f *fake) { f.result.Until = time.Now().AddDate(1, 0, 0) })
		s.send()
		if got := time.Until(s.status("a").Resting); got != 24*time.Hour {
			t.Errorf("rests %v when asked for a year", got)
		}
	})
}

func TestABrokenAccountIsLeftAloneUntilItIsReset(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a", "b"))
		s.warm()
		s.fake("a").set(func(f *fake) { f.result = relay.Outcome{Result: relay.AccountFault, Text: "suspended"} })
		for range 100 {
			s.send()
		}
		s.is("a", pool.Misconfigured)
		if sent := s.fake("a").mails(); sent != 1 {
			t.Errorf("%d mails were given to it", sent)
		}
		before := s.fake("a").probed()
		time.Sleep(time.Hour)
		s.is("a", pool.Misconfigured)
		if n := s.fake("a").probed(); n != before {
			t.Errorf("it was probed %d times", n-before)
		}
		s.fake("a").set(func(f *fake) { f.result = relay.Outcome{} })
		if _, err := s.Reset(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		s.is("a", pool.Up)

		s.fake("b").set(func(f *fake) { f.probe = relay.Outcome{Result: relay.AccountFault, Text: "no such user"} })
		time.Sleep(20 * time.Second)
		s.is("b", pool.Misconfigured)
	})
}

// strange sends a mail of an account, whose sender is refused.
func (s *site) strange(account string) {
	s.Helper()
	s.fake("a").set(func(f *fake) {
		f.result = relay.Outcome{Result: relay.AccountFault, Text: "not verified", OfSender: true}
	})
	m := mail(1)
	m.Submission.Account = mailbox.Address{Local: account, Domain: "example.org"}
	s.pick().Send(s.Context(), m)
}

func TestOneUserWhoseSenderIsRefusedTakesNothingFromOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"), beside)
		s.warm()
		s.strange("fred")
		s.strange("fred")
		s.is("a", pool.Up)
		for range 100 {
			s.strange("fred")
		}
		s.is("a", pool.Suspect) // it may be that it refuses everybody
		if st := s.status("a"); st.Reason != "works; refuses senders: account fault: not verified" || st.Weight != 100 {
			t.Errorf("%s, weight %v", st.Reason, st.Weight)
		}
		before := s.fake("a").probed()
		time.Sleep(time.Minute)
		if n := s.fake("a").probed() - before; n > 5 {
			t.Errorf("probed %d times in a minute", n)
		}
		s.results("a", 1, relay.Success)
		s.is("a", pool.Up)
		for range 50 {
			s.strange("fred")
			s.results("a", 1, relay.Success)
			for _, account := range []string{"fred", "barney", "wilma", "betty"} {
				s.strange(account)
			}
			s.results("a", 1, relay.Success)
		}
		s.is("a", pool.Up)
	})
}

func TestAServiceThatRefusesTheSendersOfFiveUsersIsDownUntilItTakesOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"), beside)
		s.warm()
		for _, account := range []string{"fred", "barney", "wilma", "betty", "pebbles"} {
			s.strange("fred")
			s.strange(account)
		}
		s.is("a", pool.Down)
		if st := s.status("a"); !strings.HasSuffix(st.Reason, "; refuses senders: account fault: not verified") {
			t.Error(st.Reason)
		}
		time.Sleep(6 * time.Second)
		s.is("a", pool.Trial)
		s.strange("fred")
		s.is("a", pool.Down)
		time.Sleep(11 * time.Second)
		s.results("a", 1, relay.Success)
		s.is("a", pool.Up)
	})
}

func TestAFaultBesideASuccessIsNotThatOfTheAccount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a"))
		s.warm()
		s.fake("a").set(func(f *fake) {
			f.send = func(context.Context, relay.Mail) []relay.Outcome {
				return []relay.Outcome{{Result: relay.AccountFault, Text: "relaying denied"}, {Result: relay.Success}}
			}
		})
		s.pick().Send(t.Context(), mail(2))
		s.is("a", pool.Up)
	})
}

func TestSendersHaveTheirOwnScheduler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a", "b", "c"), func(o *pool.Options) {
			o.Scheduler, o.Schedulers = "round-robin", map[string]string{"sticky.example": "sticky"}
		})
		s.warm()
		got, sticky := map[string]int{}, map[string]int{}
		for range 30 {
			got[s.send()]++
			sticky[s.send(func(w *relay.Want) { w.Domain = "sticky.example" })]++
		}
		if len(sticky) != 1 || got["a"] != 10 || got["b"] != 10 {
			t.Errorf("%v and %v; want 10 each, and all at one", got, sticky)
		}
	})
}

// Run with the race detector.
func TestPicksRunWhileServicesComeAndGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("stays"))
		s.warm()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for ctx.Err() == nil {
					changed := s.Changed()
					k, err := s.Pick(want)
					if err != nil {
						select {
						case <-changed:
						case <-ctx.Done():
						}
						continue
					}
					k.Send(ctx, mail(1))
					time.Sleep(time.Millisecond)
				}
			})
		}
		for _, name := range []string{"x", "y"} {
			all.Go(func() {
				for ctx.Err() == nil {
					a := s.register(agent(name))
					for range 3 {
						_, _ = a.try()
						time.Sleep(300 * time.Millisecond)
					}
					_, _ = s.Drain(ctx, name)
					_, _ = s.Resume(ctx, name)
					_ = s.Services()
					_, _ = s.Trip(name)
					_ = s.Remove(ctx, name)
				}
			})
		}
		all.Wait()
		synctest.Wait()
		if n := s.status("stays").Sending; n != 0 {
			t.Errorf("%d mails are still sent", n)
		}
	})
}
