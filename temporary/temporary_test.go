package temporary

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"restante/auth"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

const domain = "temp.example.org"

// A site is mailboxes on stores in memory, in a bubble, where the announcements of
// deliveries arrive and the background work runs.
type site struct {
	*testing.T
	*Mailboxes
	stores     *mailboxtest.FaultyStores
	directory  *mailbox.Directory
	deliveries *mailbox.Deliveries
	registry   *prometheus.Registry
}

// newSite changes the options by each of the functions.
func newSite(t *testing.T, plan mailboxtest.Plan, change ...func(*Options)) *site {
	t.Helper()
	return openSite(t, mailboxtest.Faulty(mailboxtest.Memory(), plan), change...)
}

// openSite is a server on stores.
func openSite(t *testing.T, stores *mailboxtest.FaultyStores, change ...func(*Options)) *site {
	t.Helper()
	s := &site{T: t, stores: stores, registry: prometheus.NewRegistry()}
	s.directory = &mailbox.Directory{
		Addresses:   stores.Addresses,
		Domains:     []string{"example.org"},
		TempDomains: []string{domain, "other.example.org"},
		TextDomain:  "text.example.org",
	}
	log := slog.New(slog.DiscardHandler)
	announcements := mailbox.NewAnnouncements(log)
	s.deliveries = stores.Deliveries()
	s.deliveries.Announce = announcements
	o := Options{
		Directory:  s.directory,
		Maildrops:  stores.Maildrops,
		Contents:   stores.Contents,
		Deliveries: s.deliveries,
		Registerer: s.registry,
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if s.Mailboxes, err = New(o); err != nil {
		t.Fatal(err)
	}
	announcements.Listen("temporary", s, nil)
	announcements.Start()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Mailboxes.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		announcements.Stop()
	})
	return s
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t) })
}

func (s *site) create(r Request) Mailbox {
	s.Helper()
	mb, err := s.Create(s.Context(), r)
	if err != nil {
		s.Fatalf("create %v: %v", r, err)
	}
	return mb
}

func (s *site) deliver(mb Mailbox, text string) mailbox.Message {
	s.Helper()
	message, err := s.Deliver(s.Context(), mb, strings.NewReader(text))
	if err != nil {
		s.Fatalf("deliver: %v", err)
	}
	return message
}

// gone checks that nobody has an address.
func (s *site) gone(a mailbox.Address) {
	s.Helper()
	if mb, err := s.Get(s.Context(), a); !errors.Is(err, mailbox.ErrNotFound) {
		s.Errorf("%s is %v, %v; want ErrNotFound", a, mb, err)
	}
	if found, err := s.directory.Resolve(s.Context(), a); !errors.Is(err, mailbox.ErrNotFound) {
		s.Errorf("%s leads to %v, %v; want ErrNotFound", a, found, err)
	}
}

// counts checks a metric.
func (s *site) counts(name string, want float64) {
	s.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "restante_temporary_"+name {
			continue
		}
		m := f.GetMetric()[0]
		if got := m.GetCounter().GetValue() + m.GetGauge().GetValue(); got != want {
			s.Errorf("%s is %v; want %v", name, got, want)
		}
		return
	}
	s.Errorf("no metric %s", name)
}

func TestAMailboxIsMadeFilledReadAndExpires(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never)
		mb := s.create(Request{})
		if !regexp.MustCompile(`^[a-z2-7]{26}@temp\.example\.org$`).MatchString(mb.Address.String()) {
			t.Errorf("the address is %s; want 26 characters of base32", mb.Address)
		}
		if !mb.Created.Equal(time.Now()) || mb.Expires.Sub(mb.Created) != 15*time.Minute || !mb.Maildrop.Temporary() {
			t.Errorf("the mailbox is %+v; want one from now for 15 minutes", mb)
		}
		again, err := s.Get(t.Context(), mb.Address)
		if want := (Mailbox{mb.Address, mb.Maildrop, mb.Created, mb.Expires, ""}); err != nil || again != want {
			t.Errorf("the mailbox has become %+v, %v; want %+v", again, err, want)
		}
		one, two := s.deliver(mb, "Subject: one\r\n\r\n"), s.deliver(mb, "Subject: two\r\n\r\n")
		newest, err := s.Newest(t.Context(), mb, mailbox.MessageID{}, 10)
		if err != nil || len(newest) != 2 || newest[0].ID != two.ID || newest[1].ID != one.ID || !newest[0].Expires.Equal(mb.Expires) {
			t.Errorf("the newest are %v, %v; want %v and %v", newest, err, two, one)
		}
		message, err := s.Message(t.Context(), mb, one.ID)
		if err != nil || message.ID != one.ID {
			t.Errorf("the message is %v, %v; want %v", message, err, one)
		}
		r, err := s.Open(t.Context(), message)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(r); err != nil || string(text) != "Subject: one\r\n\r\n" {
			t.Errorf("the message reads %q, %v", text, err)
		}
		r.Close()
		if err := s.Expunge(t.Context(), mb, message); err != nil {
			t.Fatal(err)
		}
		if m, err := s.Message(t.Context(), mb, one.ID); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("the expunged message is %v, %v; want ErrNotFound", m, err)
		}

		time.Sleep(time.Until(mb.Expires) - 1)
		if _, err := s.Get(t.Context(), mb.Address); err != nil {
			t.Errorf("just before its end: %v", err)
		}
		time.Sleep(1)
		s.gone(mb.Address)
		if newest, err := s.Newest(t.Context(), mb, mailbox.MessageID{}, 10); err != nil || len(newest) != 0 {
			t.Errorf("in the end it shows %v, %v; want nothing", newest, err)
		}
		if _, err := s.Deliver(t.Context(), mb, strings.NewReader("")); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("delivered after the end: %v; want ErrNotFound", err)
		}
	})
}

func TestThePasswordOpensTheMailbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never)
		mb := s.create(Request{})
		v := auth.NewPasswords(auth.Options{Directory: s.directory, Domain: "example.org"})
		id, err := v.Verify(t.Context(), auth.Attempt{User: mb.Address.String(), Password: mb.Password})
		if err != nil || id.Maildrop != mb.Maildrop {
			t.Errorf("login: %v, %v; want %s", id, err, mb.Maildrop)
		}
		if _, err := v.Verify(t.Context(), auth.Attempt{User: mb.Address.String(), Password: s.create(Request{}).Password}); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("login with the password of another: %v; want ErrCredentials", err)
		}
	})
}

func TestTheMetricsAreFitToBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never)
		families, err := s.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	})
}
