package pool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/relay"
	"restante/relay/pool"
)

// A fake is a provider that does as it is told.
type fake struct {
	mu     sync.Mutex
	result relay.Outcome
	probe  relay.Outcome
	limits relay.Limits
	send   func(ctx context.Context, m relay.Mail) []relay.Outcome // instead of the result
	takes  time.Duration
	probes []time.Time
	sent   int
	closed int
}

func (f *fake) set(change func(f *fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// probed, mails and closes are how often it was probed, given mail, and closed.
func (f *fake) probed() (n int) { f.set(func(f *fake) { n = len(f.probes) }); return n }
func (f *fake) mails() (n int)  { f.set(func(f *fake) { n = f.sent }); return n }
func (f *fake) closes() (n int) { f.set(func(f *fake) { n = f.closed }); return n }

func (f *fake) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	f.mu.Lock()
	result, takes, send := f.result, f.takes, f.send
	f.sent++
	f.mu.Unlock()
	if send != nil {
		return send(ctx, m)
	}
	time.Sleep(takes)
	outcomes := make([]relay.Outcome, len(m.Recipients))
	for i := range outcomes {
		outcomes[i] = result
	}
	return outcomes
}

func (f *fake) Probe(context.Context) relay.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.probes = append(f.probes, time.Now())
	return f.probe
}

func (f *fake) Limits() relay.Limits {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.limits
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return nil
}

// A site is a pool with fakes behind it.
type site struct {
	*testing.T
	*pool.Pool
	fakes *fakes
}

// fakes are the providers that were opened, by the name of the service, the last one.
type fakes struct {
	mu     sync.Mutex
	byName map[string]*fake
	all    []*fake
	limits map[string]relay.Limits
	fail   error
}

func (f *fakes) open(d pool.Document) (relay.Provider, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	made := &fake{limits: f.limits[d.Name]}
	f.byName[d.Name] = made
	f.all = append(f.all, made)
	return made, nil
}

func (s *site) fake(name string) *fake {
	s.fakes.mu.Lock()
	defer s.fakes.mu.Unlock()
	return s.fakes.byName[name]
}

const token = "a token of the configuration"

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// newSite is a pool that runs until the test ends.
func newSite(t *testing.T, change ...func(*pool.Options)) *site {
	t.Helper()
	s := &site{T: t, fakes: &fakes{byName: map[string]*fake{}, limits: map[string]relay.Limits{}}}
	o := pool.Options{
		Open:       s.fakes.open,
		Node:       "here",
		Enrolments: []pool.Enrolment{{Digest: pool.Digest(token)}},
		Log:        slog.New(slog.DiscardHandler),
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			return nil, fmt.Errorf("there is no %s", host)
		},
	}
	for _, c := range change {
		c(&o)
	}
	p, err := pool.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Pool = p
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		for i, f := range s.fakes.all {
			if n := f.closes(); n != 1 {
				t.Errorf("provider %d was closed %d times", i, n)
			}
		}
	})
	return s
}

// static are services of the configuration with nothing but names.
func static(names ...string) func(*pool.Options) {
	return func(o *pool.Options) {
		for _, name := range names {
			o.Static = append(o.Static, pool.Document{Name: name, Kind: "smtp"})
		}
	}
}

// warm waits until everyone who answers is up and has its whole share.
func (s *site) warm() {
	s.Helper()
	time.Sleep(time.Minute)
	synctest.Wait()
}

func (s *site) status(name string) pool.Status {
	s.Helper()
	st, err := s.Service(name)
	if err != nil {
		s.Fatal(err)
	}
	return st
}

func (s *site) is(name string, want pool.State) {
	s.Helper()
	synctest.Wait()
	if st := s.status(name); st.State != want {
		s.Errorf("%s is %s (%s); want %s", name, st.State, st.Reason, want)
	}
}

// mail is a mail with so many recipients.
func mail(recipients int) relay.Mail {
	m := relay.Mail{
		Submission: &relay.Submission{},
		Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("Subject: hello\r\n\r\n")), nil
		},
		Commit: func() error { return nil },
	}
	for i := range recipients {
		m.Recipients = append(m.Recipients, i)
	}
	return m
}

var want = relay.Want{Domain: "example.org", Octets: 1000, Recipients: 1}

// send sends one mail and returns who was chosen.
func (s *site) send(change ...func(*relay.Want)) string {
	s.Helper()
	k := s.pick(change...)
	k.Send(s.Context(), mail(1))
	return k.Name()
}

func (s *site) pick(change ...func(*relay.Want)) relay.Picked {
	s.Helper()
	w := want
	for _, c := range change {
		c(&w)
	}
	k, err := s.Pick(w)
	if err != nil {
		s.Fatal(err)
	}
	return k
}

// refused picks in vain.
func (s *site) refused(because error, change ...func(*relay.Want)) {
	s.Helper()
	w := want
	for _, c := range change {
		c(&w)
	}
	k, err := s.Pick(w)
	if err == nil {
		s.Errorf("%s was chosen; want %v", k.Name(), because)
		k.Release()
	} else if !errors.Is(err, because) {
		s.Errorf("%v; want %v", err, because)
	}
}

// agent is the document of an agent.
func agent(name string) pool.Document {
	return pool.Document{Name: name, Kind: "smtp", Endpoint: "smtp://127.0.0.1:2525"}
}

// A beating agent.
type beating struct {
	s    *site
	last pool.Registered
	seq  uint64
}

func (s *site) register(d pool.Document) *beating {
	s.Helper()
	r, err := s.Register(s.Context(), d, token)
	if err != nil {
		s.Fatal(err)
	}
	return &beating{s: s, last: r}
}

// at is the agent beating at another site.
func (b *beating) at(s *site) *beating { return &beating{s: s, last: b.last, seq: b.seq + 1000} }

func (b *beating) beat(change ...func(*pool.Beat)) pool.Answer {
	b.s.Helper()
	a, err := b.try(change...)
	if err != nil {
		b.s.Fatal(err)
	}
	return a
}

func (b *beating) try(change ...func(*pool.Beat)) (pool.Answer, error) {
	b.seq++
	beat := pool.Beat{Epoch: b.last.Epoch, Seq: b.seq}
	for _, c := range change {
		c(&beat)
	}
	return b.s.Beat(b.s.Context(), b.last.Name, b.last.Token, beat)
}

// forSeconds beats each second.
func (b *beating) forSeconds(n int) {
	b.s.Helper()
	for range n {
		b.beat()
		time.Sleep(time.Second)
	}
}
