package pool_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
)

func TestWhoHasNoTokenDoesNotRegister(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		refused := func(d pool.Document, token string, want error) {
			t.Helper()
			if _, err := s.Register(t.Context(), d, token); !errors.Is(err, want) {
				t.Errorf("Register: %v; want %v", err, want)
			}
			if _, _, err := s.Put(t.Context(), d, pool.Beat{}, token); !errors.Is(err, want) {
				t.Errorf("Put: %v; want %v", err, want)
			}
		}
		refused(agent("a"), "", pool.ErrToken)
		refused(agent("a"), pool.Digest(token), pool.ErrToken)

		e, scoped, err := s.Enrol(t.Context(), pool.Enrolment{Names: "mailgun-*", Kinds: []string{"smtp"}, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(e.Digest, scoped) || e.Digest != pool.Digest(scoped) {
			t.Error("what is kept is not a digest of the token")
		}
		refused(agent("ses-1"), scoped, pool.ErrScope)
		other := agent("mailgun-1")
		other.Kind = "http"
		refused(other, scoped, pool.ErrScope)
		refused(other, token, pool.ErrInvalid) // no scope, but no kind that registers
		if _, err := s.Register(t.Context(), agent("mailgun-1"), scoped); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		refused(agent("mailgun-2"), scoped, pool.ErrToken)

		_, withdrawn, err := s.Enrol(t.Context(), pool.Enrolment{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Register(t.Context(), agent("a"), withdrawn); err != nil {
			t.Error(err)
		}
		if err := s.Withdraw(t.Context(), pool.Digest(withdrawn)); err != nil {
			t.Fatal(err)
		}
		refused(agent("b"), withdrawn, pool.ErrToken)
		if err := s.Withdraw(t.Context(), pool.Digest(withdrawn)); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("%v; want ErrNotFound", err)
		}
		if err := s.Withdraw(t.Context(), pool.Digest(token)); !errors.Is(err, pool.ErrStatic) {
			t.Errorf("%v; want ErrStatic", err)
		}
	})
}

func TestWhomTheOperatorTrustsRegisters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.Trust("the operator's own", "operator")
		if _, err := s.Register(t.Context(), agent("a"), "the operator's own"); err != nil {
			t.Error(err)
		}
		if err := s.Withdraw(t.Context(), pool.Digest("the operator's own")); !errors.Is(err, pool.ErrStatic) {
			t.Errorf("%v; want ErrStatic", err)
		}
	})
}

func TestEnrolmentsHoldInAllProcesses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t)
		_, made, err := here.Enrol(t.Context(), pool.Enrolment{Note: "for the rack"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
		if _, err := there.Register(t.Context(), agent("a"), made); err != nil {
			t.Error(err)
		}
		if err := there.Withdraw(t.Context(), pool.Digest(made)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
		if _, err := here.Register(t.Context(), agent("b"), made); !errors.Is(err, pool.ErrToken) {
			t.Errorf("%v; want ErrToken", err)
		}
	})
}

func TestADocumentThatIsNotValidIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		for name, change := range map[string]func(*pool.Document){
			"no name":           func(d *pool.Document) { d.Name = "" },
			"name with a slash": func(d *pool.Document) { d.Name = "a/b" },
			"long name":         func(d *pool.Document) { d.Name = strings.Repeat("a", 65) },
			"no endpoint":       func(d *pool.Document) { d.Endpoint = "" },
			"no URL":            func(d *pool.Document) { d.Endpoint = "127.0.0.1:25" },
			"password in URL":   func(d *pool.Document) { d.Endpoint = "smtp://me:secret@127.0.0.1" },
			"strange scheme":    func(d *pool.Document) { d.Endpoint = "file://127.0.0.1/etc/passwd" },
			"strange port":      func(d *pool.Document) { d.Endpoint = "smtp://127.0.0.1:99999" },
			"our credentials":   func(d *pool.Document) { d.Credentials = "mailgun" },
			"strange TLS":       func(d *pool.Document) { d.TLS = "maybe" },
			"negative weight":   func(d *pool.Document) { d.Weight = -1 },
			"great weight":      func(d *pool.Document) { d.Weight = 10_001 },
			"negative priority": func(d *pool.Document) { d.Priority = -1 },
			"negative limit":    func(d *pool.Document) { d.Limits.Octets = -1 },
			"sender no domain":  func(d *pool.Document) { d.Senders = []string{"a b"} },
			"too many senders":  func(d *pool.Document) { d.Senders = make([]string, 1001) },
			"too many tags":     func(d *pool.Document) { d.Tags = make([]string, 33) },
			"empty tag":         func(d *pool.Document) { d.Tags = []string{""} },
			"cannot be opened":  func(d *pool.Document) { s.fakes.fail = errors.New("no") },
		} {
			d := agent("a")
			change(&d)
			if _, err := s.Register(t.Context(), d, token); !errors.Is(err, pool.ErrInvalid) {
				t.Errorf("%s: %v; want ErrInvalid", name, err)
			}
			s.fakes.fail = nil
		}
		if all := s.Services(); len(all) != 0 {
			t.Errorf("%d services are there", len(all))
		}
	})
}

func TestANameHasOneService(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("configured"))
		a := s.register(agent("a"))
		a.forSeconds(3)
		elsewhere := agent("a")
		elsewhere.Endpoint = "smtp://127.0.0.1:2526"
		if _, err := s.Register(t.Context(), elsewhere, token); !errors.Is(err, pool.ErrConflict) {
			t.Errorf("%v; want ErrConflict", err)
		}
		if _, err := s.Register(t.Context(), agent("configured"), token); !errors.Is(err, pool.ErrConflict) {
			t.Errorf("%v; want ErrConflict", err)
		}
		if _, err := s.Beat(t.Context(), "configured", token, pool.Beat{}); !errors.Is(err, pool.ErrUnregistered) {
			t.Errorf("%v; want ErrUnregistered", err)
		}

		// It was killed and started again, before anybody noticed.
		again := s.register(agent("a"))
		if _, err := a.try(); !errors.Is(err, pool.ErrStale) {
			t.Errorf("the instance before: %v; want ErrStale", err)
		}
		again.forSeconds(3)
		s.is("a", pool.Up)
		forged := *again
		forged.last.Token = a.last.Token
		if _, err := forged.try(); !errors.Is(err, pool.ErrToken) {
			t.Errorf("with the token of the instance before: %v; want ErrToken", err)
		}

		time.Sleep(10 * time.Second) // it dies, and its name is free
		moved := s.register(elsewhere)
		moved.forSeconds(3)
		if _, err := again.try(); !errors.Is(err, pool.ErrStale) {
			t.Errorf("%v; want ErrStale", err)
		}
		if got := s.status("a").Document.Endpoint; got != elsewhere.Endpoint {
			t.Errorf("it is at %s", got)
		}

		if err := s.Leave(t.Context(), "a", again.last.Token, moved.last.Epoch); !errors.Is(err, pool.ErrToken) {
			t.Errorf("%v; want ErrToken", err)
		}
		if err := s.Leave(t.Context(), "a", moved.last.Token, moved.last.Epoch); err != nil {
			t.Error(err)
		}
		if _, err := moved.try(); !errors.Is(err, pool.ErrUnregistered) {
			t.Errorf("%v; want ErrUnregistered", err)
		}
	})
}

func TestOfTwoProcessesTheLaterRegistrationStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t)
		a := here.register(agent("a"))
		b := there.register(agent("a")) // at once, and nobody has polled
		if _, err := a.try(); err != nil && !errors.Is(err, pool.ErrStale) {
			t.Errorf("%v; want ErrStale, or nothing until it is known", err)
		}
		time.Sleep(1100 * time.Millisecond)
		if _, err := a.try(); !errors.Is(err, pool.ErrStale) {
			t.Errorf("%v; want ErrStale", err)
		}
		b.at(here).forSeconds(3)
		here.is("a", pool.Up)
		there.is("a", pool.Up)
		if e := here.status("a").Epoch; e != b.last.Epoch || e != there.status("a").Epoch {
			t.Error("they do not agree who it is")
		}
	})
}

func TestARegistrationIsLaterThanThatOfAClockAhead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hour := func(o *pool.Options) {
			o.IDs = &mailbox.MessageIDs{Now: func() time.Time { return time.Now().Add(time.Hour) }}
		}
		_, there, store := sharing(t, hour)
		a := there.register(agent("a"))
		here := newSite(t, func(o *pool.Options) { o.Shared, o.Node = store, "on time" })
		b := here.register(agent("a"))
		time.Sleep(1100 * time.Millisecond)
		if _, err := a.try(); !errors.Is(err, pool.ErrStale) {
			t.Errorf("%v; want ErrStale", err)
		}
		b.at(there).forSeconds(3)
		there.is("a", pool.Up)
	})
}

func TestPutRegistersOrBeats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t)
		sites := []*site{here, there}
		var epoch pool.Epoch
		for i := range 10 { // each beat goes to another process
			r, created, err := sites[i%2].Put(t.Context(), agent("a"), pool.Beat{}, token)
			if err != nil {
				t.Fatal(err)
			}
			if created != (i == 0) || (r.Token != "") != created {
				t.Errorf("beat %d: created %t, token %q", i, created, r.Token)
			}
			if i == 0 {
				epoch = r.Epoch
			} else if r.Epoch != epoch {
				t.Error("it registered anew")
			}
			if i >= 3 {
				here.is("a", pool.Up)
				there.is("a", pool.Up)
			}
			time.Sleep(time.Second)
		}
		changed := agent("a")
		changed.Weight = 50
		if _, created, err := here.Put(t.Context(), changed, pool.Beat{}, token); err != nil || !created {
			t.Errorf("another document: created %t, %v", created, err)
		}
		elsewhere := agent("a")
		elsewhere.Endpoint = "smtp://127.0.0.1:2526"
		if _, _, err := here.Put(t.Context(), elsewhere, pool.Beat{}, token); !errors.Is(err, pool.ErrConflict) {
			t.Errorf("%v; want ErrConflict", err)
		}
	})
}

func TestAnAgentIsWhereItMayBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, func(o *pool.Options) {
			o.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
			o.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
				switch host {
				case "inside.example":
					return []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("2001:db8::1")}, nil
				case "half.example":
					return []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")}, nil
				case "nowhere.example":
					return nil, nil
				}
				return nil, errors.New("no such host")
			}
		})
		for endpoint, want := range map[string]error{
			"smtp://10.0.0.1:25":            nil,
			"smtp://[::ffff:10.0.0.1]":      nil,
			"smtps://[2001:db8::1]":         nil,
			"smtp://inside.example":         nil,
			"smtp://127.0.0.1:25":           pool.ErrEndpoint,
			"smtp://192.0.2.1":              pool.ErrEndpoint,
			"smtp://[::1]:25":               pool.ErrEndpoint,
			"http://169.254.169.254/latest": pool.ErrEndpoint,
			"smtp://half.example":           pool.ErrEndpoint,
			"smtp://nowhere.example":        pool.ErrEndpoint,
			"smtp://unknown.example":        pool.ErrEndpoint,
			"smtp://0x7f.1":                 pool.ErrEndpoint,
		} {
			d := agent("a")
			d.Endpoint = endpoint
			_, err := s.Register(t.Context(), d, token)
			if want == nil && err != nil || !errors.Is(err, want) {
				t.Errorf("%s: %v; want %v", endpoint, err, want)
			}
			if err := s.Remove(t.Context(), "a"); err == nil && want != nil {
				t.Errorf("%s is in the pool", endpoint)
			}
		}
	})
}

// A name that leads elsewhere when it is dialled does not help: the address is looked at.
func TestNoConnectionIsMadeToAnAddressThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := func(networks []netip.Prefix) error {
		d := net.Dialer{Control: pool.Control(networks), Timeout: 5 * time.Second}
		c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := dial(pool.Loopback); err != nil {
		t.Error(err)
	}
	if err := dial([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); !errors.Is(err, pool.ErrEndpoint) {
		t.Errorf("%v; want ErrEndpoint", err)
	}
	if err := dial(nil); !errors.Is(err, pool.ErrEndpoint) {
		t.Errorf("%v; want ErrEndpoint", err)
	}
}

func TestThereAreNoMoreServicesThanMayBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("x"), func(o *pool.Options) { o.MaxServices = 3 })
		s.register(agent("a"))
		s.register(agent("b"))
		if _, err := s.Register(t.Context(), agent("c"), token); !errors.Is(err, mailbox.ErrFull) {
			t.Errorf("%v; want ErrFull", err)
		}
		s.register(agent("a"))
		if err := s.Remove(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		s.register(agent("c"))
	})
}

func TestRegistrationsHaveARate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		rated := 0
		for range 200 {
			switch _, err := s.Register(t.Context(), agent("a"), token); {
			case errors.Is(err, pool.ErrRate):
				rated++
			case err != nil:
				t.Fatal(err)
			}
		}
		if rated != 150 {
			t.Errorf("%d of 200 at once were refused; want 150", rated)
		}
		time.Sleep(time.Second)
		s.register(agent("a"))
	})
}

// Nothing changes where the store does not take it.
func TestWithoutTheStoreNobodyRegisters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, _, store := sharing(t)
		a := here.register(agent("a"))
		a.forSeconds(3)
		store.Fail(errors.New("away"))
		if _, err := here.Register(t.Context(), agent("b"), token); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%v; want ErrUnavailable", err)
		}
		if _, err := here.Drain(t.Context(), "a"); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%v; want ErrUnavailable", err)
		}
		if err := here.Remove(t.Context(), "a"); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%v; want ErrUnavailable", err)
		}
		if _, err := here.Beat(t.Context(), "b", "", pool.Beat{}); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%v; want ErrUnavailable, as it may be registered", err)
		}
		a.beat()
		here.is("a", pool.Up)
		if got := len(here.Services()); got != 1 {
			t.Errorf("%d services", got)
		}
	})
}

// A provider is closed once, and not while it sends.
func TestAProviderThatIsReplacedIsClosedWhenItsMailIsSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.register(agent("a")).forSeconds(3)
		before := s.fake("a")
		before.set(func(f *fake) { f.takes = time.Minute })
		sent := make(chan []relay.Outcome)
		for range 2 {
			k := s.pick()
			go func() { sent <- k.Send(context.Background(), mail(1)) }()
			time.Sleep(time.Second)
		}
		again := s.register(agent("a"))
		if s.fake("a") == before {
			t.Error("the provider of the instance before is still used")
		}
		again.forSeconds(3)
		s.send()
		if before.closes() != 0 {
			t.Error("closed while it sends")
		}
		if err := s.Remove(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		for _, want := range []int{0, 1} {
			if o := <-sent; o[0].Result != relay.Success {
				t.Errorf("%+v", o)
			}
			time.Sleep(100 * time.Millisecond)
			if n := before.closes(); n != want {
				t.Errorf("closed %d times; want %d", n, want)
			}
		}
	})
}
