package web_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/pool"
	"restante/relay/relaytest"
	"restante/rest"
	"restante/web"
)

// A depot is the admin interface of a relay in memory, which nothing leaves unless it is
// told so: its services north and south say what they are set to say.
type depot struct {
	t       *testing.T
	pool    *pool.Pool
	node    *relay.Node
	journal *relaytest.Memory
	server  *httptest.Server
	ids     mailbox.MessageIDs

	mu    sync.Mutex
	says  relay.Outcome
	asked []string // services, one for each attempt
}

const adminToken = "open sesame"

// relayed opens a window on the page of a depot whose services work, with the token
// given.
func relayed(t *testing.T) (*walk, *depot) {
	t.Helper()
	t.Parallel()
	d := newDepot(t)
	w := look(t, d.house())
	d.enter(w)
	return w, d
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	d := &depot{t: t, journal: relaytest.NewMemory(), says: relay.Outcome{Result: relay.Temporary, Code: 451, Enhanced: "4.2.1", Text: "come <b>back</b> later"}}
	limits := pool.Limits{PerDay: 5000}
	var err error
	d.pool, err = pool.New(pool.Options{
		Static: []pool.Document{
			{Name: "north", Kind: "smtp", Endpoint: "smtp://north.example", Weight: 50, Tags: []string{"rack 1"}, Limits: limits},
			{Name: "south", Kind: "mailgun"},
		},
		Enrolments: []pool.Enrolment{{Digest: pool.Digest(adminToken)}},
		Open:       func(s pool.Document) (relay.Provider, error) { return clerk{d, s.Name}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	d.node, err = relay.NewNode(relay.NodeOptions{Queue: relay.Options{
		Journal: d.journal, Contents: mailboxtest.Memory().Contents, Pool: d.pool, IDs: &d.ids, Notifier: nobody{}, Log: log,
	}, Name: "here", Lanes: d.journal})
	if err != nil {
		t.Fatal(err)
	}
	stopping := make(chan struct{})
	d.server = httptest.NewServer(rest.Admin(rest.AdminOptions{
		Token: adminToken, Log: log, Pages: web.Relay(), Relay: &rest.RelayOptions{Pool: d.pool, Node: d.node, Suppressions: relay.NewSuppressions(), Stopping: stopping},
	}))
	t.Cleanup(d.server.Close)
	t.Cleanup(func() { close(stopping) })

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.pool.Run(ctx) })
	running.Go(func() { d.node.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	if err := await(func() bool {
		_, err := d.node.Queue()
		return err == nil && d.service("north").State == pool.Up && d.service("south").State == pool.Up
	}); err != nil {
		t.Fatal(err)
	}
	return d
}

// house is the server as a window sees it.
func (d *depot) house() *house {
	return &house{t: d.t, ports: map[string]string{"admin": strings.TrimPrefix(d.server.URL, "http://")}}
}

// enter shows the page to who has the token.
func (d *depot) enter(w *walk) {
	d.t.Helper()
	w.must(w.Go(d.server.URL + "/relay"))
	w.shows("#enter")
	w.click("#token")
	w.must(w.Type(adminToken, "\r"))
	w.until(`document.querySelector("#health").textContent === "2 of 2 services take mail"`)
	w.until(`document.querySelector("#watching").classList.contains("live")`)
}

func (d *depot) service(name string) pool.Status {
	d.t.Helper()
	s, err := d.pool.Service(name)
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// submit submits a message of fred and waits until its recipients have been tried once.
func (d *depot) submit(to ...string) {
	d.t.Helper()
	s := relay.Submission{Account: mailbox.Address{Local: "fred", Domain: "example.org"}, From: mailbox.Address{Local: "fred", Domain: "example.org"}}
	for _, address := range to {
		a, err := mailbox.ParseAddress(address)
		if err != nil {
			d.t.Fatal(err)
		}
		s.Recipients = append(s.Recipients, a)
	}
	if _, err := d.node.Submit(d.t.Context(), s, strings.NewReader("Subject: hello\r\n\r\nHello.\r\n")); err != nil {
		d.t.Fatal(err)
	}
	if err := await(func() bool { return len(d.waiting(relay.QueueReady))+len(d.waiting(relay.QueueSending)) == 0 }); err != nil {
		d.t.Fatal(err)
	}
}

func (d *depot) waiting(state relay.QueueState) []relay.Queued {
	q, err := d.node.Queue()
	if err != nil {
		d.t.Fatal(err)
	}
	return q.List(relay.Filter{State: state}, relay.Place{}, 1000)
}

// attempts are the services that were asked, one for each attempt.
func (d *depot) attempts() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.asked...)
}

// A clerk is the provider of one service.
type clerk struct {
	*depot
	name string
}

func (c clerk) Send(_ context.Context, m relay.Mail) []relay.Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, c.name)
	all := make([]relay.Outcome, len(m.Recipients))
	for i := range all {
		all[i] = c.says
	}
	return all
}

func (clerk) Probe(context.Context) relay.Outcome { return relay.Outcome{} }
func (clerk) Limits() relay.Limits                { return relay.Limits{} }
func (clerk) Close() error                        { return nil }

// nobody is told of anything.
type nobody struct{}

func (nobody) Notify(context.Context, relay.Notice) error { return nil }
