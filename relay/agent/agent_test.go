package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
	"restante/relay/provider"
)

// asServer sends to an agent as a server does.
func asServer(t *testing.T, addr string) relay.Provider {
	t.Helper()
	p, err := provider.NewSMTP(provider.SMTPOptions{Addr: addr, Hello: "node.example.org", Security: provider.OpportunisticTLS})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

const letter = "From: fred@example.org\r\nSubject: x\r\n\r\n..Hello.\r\n.\r\n"

func mailTo(t *testing.T, content string, to ...string) relay.Mail {
	t.Helper()
	parse := func(s string) mailbox.Address {
		a, err := mailbox.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	m := relay.Mail{
		Submission: &relay.Submission{From: parse("fred@example.org"), Octets: int64(len(content))},
		Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(content)), nil
		},
		Commit: func() error { return nil },
	}
	for i, a := range to {
		m.Submission.Recipients = append(m.Submission.Recipients, parse(a))
		m.Recipients = append(m.Recipients, i)
	}
	return m
}

func TestAServerFindsTheResultThatTheProviderHad(t *testing.T) {
	t.Parallel()
	p := &stub{}
	a := start(t, p, nil, newNode(t))
	server := asServer(t, a.addr)
	later := time.Now().Add(90 * time.Second)
	for _, c := range []struct {
		said relay.Outcome
		want relay.Outcome // zero fields are not looked at
	}{
		{relay.Outcome{Result: relay.Success, Code: 250, Text: "Ok", RemoteID: "0102-7"}, relay.Outcome{Code: 250, RemoteID: "0102-7"}},
		{relay.Outcome{Result: relay.Success, Code: 202}, relay.Outcome{Code: 250}},
		{relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.1.1", Text: "no such user"}, relay.Outcome{Enhanced: "5.1.1", Text: "no such user"}},
		{relay.Outcome{Result: relay.BadRecipient, Code: 552, Enhanced: "5.2.2", Text: "full"}, relay.Outcome{Enhanced: "5.1.0", Text: "(552 5.2.2) full"}},
		{relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.7.1", Text: "not for you"}, relay.Outcome{Enhanced: "5.1.0", Text: "(550 5.7.1) not for you"}},
		{relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.1.6", Text: "moved"}, relay.Outcome{Enhanced: "5.1.6", Text: "moved"}},
		{relay.Outcome{Result: relay.BadRecipient, Code: 550, Text: "no such user"}, relay.Outcome{Text: "(550) no such user"}},
		{relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.1.10", Text: "null MX"}, relay.Outcome{Enhanced: "5.1.1", Text: "(550 5.1.10) null MX"}},
		{relay.Outcome{Result: relay.BadRecipient, Code: 400, Text: "to parameter is not a valid address"}, relay.Outcome{Enhanced: "5.1.0", Text: "(400) to parameter is not a valid address"}},
		{relay.Outcome{Result: relay.BadMessage, Code: 552, Enhanced: "5.3.4", Text: "too large"}, relay.Outcome{Enhanced: "5.3.4"}},
		{relay.Outcome{Result: relay.BadMessage, Code: 550, Enhanced: "5.1.3", Text: "Relay odd"}, relay.Outcome{Text: "(550 5.1.3) Relay odd"}},
		{relay.Outcome{Result: relay.BadMessage, Code: 400, Text: "no From"}, relay.Outcome{}},
		{relay.Outcome{Result: relay.BadMessage, Enhanced: "5.6.3", Text: "would lose it", Unasked: true}, relay.Outcome{Enhanced: "5.6.3", Unasked: true}},
		{relay.Outcome{Result: relay.Temporary, Code: 451, Enhanced: "4.2.2", Text: "later"}, relay.Outcome{Enhanced: "4.2.2", Text: "later"}},
		{relay.Outcome{Result: relay.Temporary, Code: 451, Enhanced: "4.4.5", Text: "congested"}, relay.Outcome{}},
		{relay.Outcome{Result: relay.Temporary, Code: 503, Text: "503 Service Unavailable\r\n550 5.1.1 forged"}, relay.Outcome{}},
		{relay.Outcome{Result: relay.Throttled, Code: 429, Text: "slow down", Until: later}, relay.Outcome{Until: later}},
		{relay.Outcome{Result: relay.Throttled, Code: 429, Text: strings.Repeat("slow down ", 100), Until: later}, relay.Outcome{Until: later}},
		{relay.Outcome{Result: relay.Throttled, Enhanced: "4.7.0"}, relay.Outcome{Until: time.Now().Add(time.Minute)}},
		{relay.Outcome{Result: relay.AccountFault, Code: 401, Text: "Forbidden"}, relay.Outcome{Text: "(401) Forbidden"}},
		{relay.Outcome{Result: relay.AccountFault, Code: 550, Enhanced: "5.7.1", Text: "suspended"}, relay.Outcome{Text: "(550 5.7.1) suspended"}},
		{relay.Outcome{Result: relay.AccountFault, Code: 550, Enhanced: "5.7.1", Text: "not verified", OfSender: true}, relay.Outcome{Enhanced: "5.7.1", OfSender: true}},
		{relay.Outcome{Result: relay.AccountFault, Code: 400, Text: "not verified", OfSender: true}, relay.Outcome{Text: "(400) not verified", OfSender: true}},
		{relay.Outcome{Result: relay.Ambiguous, Text: "no answer"}, relay.Outcome{}},
	} {
		p.set(func(s *stub) { s.outcome = c.said })
		got := server.Send(t.Context(), mailTo(t, letter, "ann@example.net"))[0]
		switch until := got.Until.Sub(c.want.Until); {
		case got.Result != c.said.Result, got.NoSuchMailbox() != c.said.NoSuchMailbox(),
			c.want.Code != 0 && got.Code != c.want.Code,
			c.want.Enhanced != "" && got.Enhanced != c.want.Enhanced,
			c.want.Text != "" && got.Text != c.want.Text,
			got.RemoteID != c.want.RemoteID,
			got.Unasked != c.want.Unasked, got.OfSender != c.want.OfSender,
			!c.want.Until.IsZero() && (until < -time.Second || until > 2*time.Second):
			t.Errorf("%+v: the server finds %+v", c.said, got)
		}
	}

	// Nobody answered the agent, but it answers the server.
	p.set(func(s *stub) { s.outcome = relay.Outcome{Result: relay.Transport, Text: "connect: refused"} })
	if got := server.Send(t.Context(), mailTo(t, letter, "ann@example.net"))[0]; got.Result != relay.Temporary || got.Enhanced != "4.4.1" {
		t.Errorf("transport: the server finds %+v", got)
	}
}

func TestEachRecipientOfAMailIsHandedOverByItself(t *testing.T) {
	t.Parallel()
	p := &stub{}
	a := start(t, p, nil, newNode(t))
	out := asServer(t, a.addr).Send(t.Context(), mailTo(t, letter, "a@example.net", "b@example.net", "c@example.net"))
	for i, o := range out {
		if o.Result != relay.Success {
			t.Errorf("recipient %d: %+v", i, o)
		}
	}
	p.set(func(s *stub) {
		if to := s.mail.Submission.Recipients; len(out) != 3 || len(to) != 1 || to[0].String() != "c@example.net" {
			t.Errorf("%d outcomes, the last mail is to %v", len(out), to)
		}
		if !strings.HasPrefix(s.content, "Received: from node.example.org") || !strings.HasSuffix(s.content, "\r\n"+letter) || strings.Contains(s.content, "Return-Path") {
			t.Errorf("content %q", s.content)
		}
	})
}

func TestWhatIsSignedIsNotGivenToWhoTakesItApart(t *testing.T) {
	t.Parallel()
	signed := "Subject: x\r\nContent-Type: Multipart/Signed;\r\n boundary=b\r\n\r\n--b\r\n"
	for _, c := range []struct {
		content string
		apart   bool
		want    relay.Result
	}{{signed, true, relay.BadMessage}, {signed, false, relay.Success}, {letter, true, relay.Success}} {
		n, p := newNode(t), &stub{reassembles: c.apart}
		a := start(t, p, nil, n)
		until(t, "up", func() bool { return n.is(pool.Up) })
		if d := n.status().Document; d.Reassembles != c.apart {
			t.Errorf("it has registered as %+v", d)
		}
		o := asServer(t, a.addr).Send(t.Context(), mailTo(t, c.content, "ann@example.net"))[0]
		if o.Result != c.want || o.Unasked != (c.want == relay.BadMessage) {
			t.Errorf("%q: %+v", c.content, o)
		}
		p.set(func(s *stub) {
			if c.want == relay.Success && s.mail.Submission.Signed != (c.content == signed) {
				t.Errorf("%q: signed is %v", c.content, s.mail.Submission.Signed)
			}
		})
	}
}

// A server that is older refuses members that it does not know.
func TestAnAgentThatTakesMailApartRegistersWithAnOlderServer(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.fail = func(r *http.Request) int {
		if r.Method != http.MethodPost {
			return 0
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte("reassembles")) {
			return http.StatusUnprocessableEntity
		}
		return 0
	}
	start(t, &stub{reassembles: true}, nil, n)
	until(t, "up", func() bool { return n.is(pool.Up) })
}

func TestWhatTheSenderWantsToHearReachesTheProvider(t *testing.T) {
	t.Parallel()
	p := &stub{}
	a := start(t, p, nil, newNode(t))
	m := mailTo(t, letter, "ann@example.net")
	m.Submission.EnvelopeID, m.Submission.FullReturn = "a+b", true
	m.Submission.Notify, m.Submission.Original = []relay.Notify{relay.NotifyFailure}, []string{"rfc822;Ann+x@example.net"}
	if o := asServer(t, a.addr).Send(t.Context(), m)[0]; o.Result != relay.Success {
		t.Fatalf("%+v", o)
	}
	p.set(func(s *stub) {
		got, want := s.mail.Submission, m.Submission
		if got.EnvelopeID != want.EnvelopeID || !got.FullReturn || !slices.Equal(got.Notify, want.Notify) || !slices.Equal(got.Original, want.Original) {
			t.Errorf("%+v", got)
		}
	})
}

func TestALargeMailGoesThroughAFileThatIsGoneThen(t *testing.T) {
	t.Parallel()
	p, dir := &stub{}, t.TempDir()
	a := start(t, p, func(o *Options) { o.Spool = dir }, newNode(t))
	large := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 40_000)
	if o := asServer(t, a.addr).Send(t.Context(), mailTo(t, large, "ann@example.net"))[0]; o.Result != relay.Success {
		t.Fatalf("%+v", o)
	}
	p.set(func(s *stub) {
		if !strings.HasSuffix(s.content, large) {
			t.Errorf("%d octets came", len(s.content))
		}
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestWhoIsNoServerIsNotLetIn(t *testing.T) {
	t.Parallel()
	a := start(t, &stub{}, func(o *Options) { o.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }, newNode(t))
	c, err := net.Dial("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if text, err := io.ReadAll(c); len(text) > 0 || os.IsTimeout(err) {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAnAgentThatHasMuchSaysSo(t *testing.T) {
	t.Parallel()
	n, p := newNode(t), &stub{hold: make(chan struct{})}
	a := start(t, p, func(o *Options) { o.Concurrency = 3 }, n)
	until(t, "up", func() bool { return n.is(pool.Up) })
	if s := n.status(); s.Room != 3 || s.Document.Limits.Octets != 1<<20 || s.Document.Limits.PerSecond != 14 {
		t.Errorf("%+v", s)
	}
	server, done := asServer(t, a.addr), make(chan []relay.Outcome)
	for range 2 {
		go func() { done <- server.Send(context.Background(), mailTo(t, letter, "ann@example.net")) }()
	}
	until(t, "a note about both", func() bool { return strings.HasPrefix(n.status().Note, "2 under way, 0 sent, 0 failed") })
	close(p.hold)
	for range 2 {
		if o := <-done; o[0].Result != relay.Success {
			t.Errorf("%+v", o)
		}
	}
	until(t, "a note about the sent", func() bool { return strings.HasPrefix(n.status().Note, "0 under way, 2 sent, 0 failed") })
}

func TestAnAgentWhoseProviderDoesNotWorkIsGivenNoMail(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	p := &stub{probe: relay.Outcome{Result: relay.AccountFault, Text: "wrong key"}}
	start(t, p, nil, n)
	until(t, "down", func() bool { return n.is(pool.Down) })
	if s := n.status(); !strings.Contains(s.Note, "account fault: wrong key") {
		t.Errorf("note %q", s.Note)
	}
	p.set(func(s *stub) { s.probe = relay.Outcome{} })
	until(t, "up", func() bool { return n.is(pool.Up) })
}

func TestAnAgentRegistersAgainWithAServerThatForgotIt(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	start(t, &stub{}, nil, n)
	until(t, "up", func() bool { return n.is(pool.Up) })
	before := n.status().Epoch
	n.forget(t)
	until(t, "up again", func() bool { return n.is(pool.Up) })
	if n.status().Epoch == before {
		t.Error("the epoch is that of before")
	}
}

func TestAnAgentOutlivesItsServers(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	fail := func(status int) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.fail = func(*http.Request) int { return status }
	}
	fail(http.StatusServiceUnavailable)
	start(t, &stub{}, nil, n)
	until(t, "a call", func() bool { return n.count("POST /v1/services") > 0 })
	fail(0)
	until(t, "up", func() bool { return n.is(pool.Up) })
	fail(http.StatusTooManyRequests)
	seen := n.count("PUT /v1/services/agent-1/heartbeat")
	until(t, "more beats", func() bool { return n.count("PUT /v1/services/agent-1/heartbeat") > seen })
	fail(0)
	until(t, "up", func() bool { return n.is(pool.Up) })
	if registered := n.count("POST /v1/services"); registered > 3 {
		t.Errorf("it registered %d times", registered)
	}
}

func TestAnAgentEndsWhenAnotherHasItsName(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	a := start(t, &stub{}, nil, n)
	until(t, "up", func() bool { return n.is(pool.Up) })
	d := n.status().Document // the same endpoint: it must have ended, as far as the server knows
	d.Limits = pool.Limits{}
	if _, err := n.current().Register(t.Context(), d, enrolment); err != nil {
		t.Fatal(err)
	}
	if err := a.result(t); !errors.Is(err, ErrReplaced) {
		t.Errorf("%v", err)
	}
	if s := n.status(); s.Document.Name == "" {
		t.Error("it has deregistered the other")
	}
}

func TestAnAgentThatMayNotRegisterSaysWhy(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Options){
		"token missing, wrong or over":  func(o *Options) { o.Token = "another" },
		"not in the scope of the token": func(o *Options) { o.Document.Name = "service-1" },
		"not valid":                     func(o *Options) { o.Document.Weight = -1 },
	} {
		a := start(t, &stub{}, change, newNode(t))
		if err := a.result(t); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "another") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestAnAgentLeavesWhenItHasSentWhatItHas(t *testing.T) {
	t.Parallel()
	n, p := newNode(t), &stub{hold: make(chan struct{})}
	a := start(t, p, nil, n)
	until(t, "up", func() bool { return n.is(pool.Up) })
	server, done := asServer(t, a.addr), make(chan []relay.Outcome)
	go func() { done <- server.Send(context.Background(), mailTo(t, letter, "ann@example.net")) }()
	until(t, "a mail under way", func() (under bool) { p.set(func(s *stub) { under = s.under == 1 }); return under })
	a.stop()
	until(t, "draining", func() bool { return n.is(pool.Draining) })
	select {
	case err := <-a.ended:
		t.Fatalf("it has ended with a mail under way: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(p.hold)
	if o := <-done; o[0].Result != relay.Success {
		t.Errorf("%+v", o)
	}
	if err := a.result(t); err != nil {
		t.Error(err)
	}
	if s := n.status(); s.Document.Name != "" {
		t.Errorf("it is still there: %+v", s)
	}
}

func TestAMailThatIsUnderWayBeyondTheGraceIsCutOff(t *testing.T) {
	t.Parallel()
	n, p := newNode(t), &stub{hold: make(chan struct{}), outcome: relay.Outcome{Result: relay.Ambiguous}}
	a := start(t, p, func(o *Options) { o.Grace = 50 * time.Millisecond }, n)
	server, done := asServer(t, a.addr), make(chan []relay.Outcome)
	go func() { done <- server.Send(context.Background(), mailTo(t, letter, "ann@example.net")) }()
	until(t, "a mail under way", func() (under bool) { p.set(func(s *stub) { under = s.under == 1 }); return under })
	a.stop()
	if o := <-done; o[0].Result != relay.Ambiguous {
		t.Errorf("%+v", o)
	}
	if err := a.result(t); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestServersOnOneStoreAreToldOfOneRegistration(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	other := &node{pool: n.pool} // as if the store were one
	other.Server = httptest.NewServer(other)
	t.Cleanup(other.Close)
	start(t, &stub{}, nil, n, other)
	beats := func(n *node) int { return n.count("PUT /v1/services/agent-1/heartbeat") }
	until(t, "beats at both", func() bool { return beats(n) > 3 && beats(other) > 3 })
	if registered := n.count("POST /v1/services") + other.count("POST /v1/services"); registered != 1 {
		t.Errorf("it registered %d times", registered)
	}
}

// What one server hears the others learn: a beat that comes to them later has a higher
// number, however few they have heard.
func TestBeatsAreCountedForAllServersTogether(t *testing.T) {
	t.Parallel()
	a, b := newNode(t), newNode(t)
	start(t, &stub{}, nil, a, b)
	seqs := func(n *node) []uint64 {
		n.mu.Lock()
		defer n.mu.Unlock()
		return slices.Clone(n.seqs)
	}
	until(t, "beats at both", func() bool { return len(seqs(a)) > 3 && len(seqs(b)) > 3 })
	seen := map[uint64]bool{}
	for _, seq := range slices.Concat(seqs(a), seqs(b)) {
		if seen[seq] {
			t.Errorf("two beats have the number %d", seq)
		}
		seen[seq] = true
	}
}

func TestServersOfTheirOwnAreToldEach(t *testing.T) {
	t.Parallel()
	a, b := newNode(t), newNode(t)
	start(t, &stub{}, nil, a, b)
	until(t, "up at both", func() bool { return a.is(pool.Up) && b.is(pool.Up) })
	if a.status().Epoch == b.status().Epoch {
		t.Error("both know one epoch")
	}
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	good := Options{Document: pool.Document{Name: "agent-1", Endpoint: "smtp://127.0.0.1:1"}, Servers: []string{"127.0.0.1:1"}, Provider: &stub{}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for i, change := range []func(*Options){
		func(o *Options) { o.Provider = nil },
		func(o *Options) { o.Servers = nil },
		func(o *Options) { o.Servers = []string{"ftp://127.0.0.1"} },
		func(o *Options) { o.Servers = []string{"http://user:pw@127.0.0.1"} },
		func(o *Options) { o.Document.Endpoint = "" },
		func(o *Options) { o.Concurrency = -1 },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Error(fmt.Sprint(i), "is taken")
		}
	}
}
