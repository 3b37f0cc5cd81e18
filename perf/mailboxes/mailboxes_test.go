package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"restante/perf/rig"
	"restante/perf/scenario"
)

// A fake is a service of temporary mailboxes in memory, which may break one of its
// promises, every tenth time.
type fake struct {
	broken string

	mu       sync.Mutex
	asked    map[string]int // how often something could have been broken
	boxes    map[string]*fakeBox
	messages int
	clock    time.Time
}

type fakeBox struct {
	messages []shown // the oldest first
	removed  bool
}

// breaks reports whether it is the turn of a promise to be broken.
func (f *fake) breaks(promise string) bool {
	if f.broken != promise {
		return false
	}
	f.asked[promise]++
	return f.asked[promise]%10 == 0
}

func (f *fake) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request){
		"POST /mailboxes": f.create, "GET /mailboxes/{email}": f.look, "DELETE /mailboxes/{email}": f.removeBox,
		"POST /mailboxes/{email}/messages": f.post, "GET /mailboxes/{email}/messages": f.list,
		"GET /mailboxes/{email}/messages/{id}": f.read, "DELETE /mailboxes/{email}/messages/{id}": f.removeMessage,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.breaks("is not always available") {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			h(w, r)
		})
	}
	return mux
}

func (f *fake) create(w http.ResponseWriter, _ *http.Request) {
	email := fmt.Sprintf("box%d@temp.example.org", len(f.boxes))
	if f.breaks("gives an address twice") {
		email = "box0@temp.example.org"
	}
	if f.boxes[email] == nil {
		f.boxes[email] = &fakeBox{}
	}
	answer(w, http.StatusCreated, map[string]string{"email": email})
}

// box finds the mailbox of a request, or says that there is none.
func (f *fake) box(w http.ResponseWriter, r *http.Request) *fakeBox {
	b := f.boxes[r.PathValue("email")]
	if b == nil || b.removed || f.breaks("forgets mailboxes for a moment") {
		answer(w, http.StatusNotFound, map[string]string{"type": "urn:problem:mailbox-not-found"})
		return nil
	}
	return b
}

func (f *fake) look(w http.ResponseWriter, r *http.Request) {
	if b := f.box(w, r); b != nil {
		n := len(b.messages)
		if f.breaks("miscounts") {
			n++
		}
		answer(w, http.StatusOK, map[string]int{"messages": n})
	}
}

func (f *fake) removeBox(w http.ResponseWriter, r *http.Request) {
	if b := f.box(w, r); b != nil {
		b.removed = f.broken != "keeps removed mailboxes"
		w.WriteHeader(http.StatusNoContent)
	}
}

func (f *fake) post(w http.ResponseWriter, r *http.Request) {
	b := f.box(w, r)
	if b == nil {
		return
	}
	var m shown
	_ = json.NewDecoder(r.Body).Decode(&m.draft)
	f.messages++
	f.clock = f.clock.Add(time.Microsecond)
	m.ID, m.Received, m.Size = fmt.Sprintf("id-%d", f.messages), f.clock, int64(len(m.Body))
	if f.breaks("gives an id twice") {
		m.ID = "id-1"
	}
	answer(w, http.StatusCreated, m)
	if f.breaks("changes a message") {
		m.Body = strings.ToUpper(m.Body)
	}
	if f.breaks("changes a date") {
		m.Sent = m.Sent.Add(time.Hour)
	}
	if f.breaks("puts messages elsewhere") {
		b = f.boxes["box0@temp.example.org"]
	}
	if !f.breaks("forgets a message") {
		b.messages = append(b.messages, m)
	}
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	b := f.box(w, r)
	if b == nil {
		return
	}
	limit := 10
	if r.FormValue("limit") == "100" {
		limit = 100
	}
	var l listing
	if f.breaks("gives too long a page") {
		limit++
	}
	from := r.FormValue("from")
	found := from == ""
	for _, m := range slices.Backward(b.messages) {
		if found = found || m.ID <= from && len(m.ID) <= len(from); !found || m.ID == r.FormValue("beyond") {
			continue
		}
		if len(l.Data) == limit {
			l.Links.Next = r.URL.Path + "?limit=" + fmt.Sprint(limit) + "&beyond=" + l.Data[limit-1].ID + "&from=" + l.Data[limit-1].ID
			break
		}
		l.Data = append(l.Data, m)
	}
	switch {
	case len(l.Data) < 2:
	case f.breaks("lists the oldest first"):
		slices.Reverse(l.Data)
	case f.breaks("begins a page too late"):
		l.Data = l.Data[1:]
	case f.breaks("leaves out a message"):
		l.Data = slices.Delete(l.Data, 1, 2)
	case f.breaks("lists a message twice"):
		l.Data[1] = l.Data[0]
	case f.breaks("gives the same page again"):
		l.Links.Next = r.URL.RequestURI()
	case f.breaks("ends a page too early"):
		l.Data, l.Links.Next = l.Data[:1], r.URL.Path+"?limit=100&beyond="+l.Data[0].ID+"&from="+l.Data[0].ID
	}
	answer(w, http.StatusOK, l)
}

func (f *fake) read(w http.ResponseWriter, r *http.Request) {
	if b := f.box(w, r); b != nil {
		i := slices.IndexFunc(b.messages, func(m shown) bool { return m.ID == r.PathValue("id") })
		if i < 0 || f.breaks("forgets messages for a moment") {
			answer(w, http.StatusNotFound, map[string]string{"type": "urn:problem:message-not-found"})
			return
		}
		if f.breaks("reads another message") {
			i = 0
		}
		m := b.messages[i]
		if f.breaks("tells two sizes") {
			m.Size++
		}
		answer(w, http.StatusOK, m)
	}
}

func (f *fake) removeMessage(w http.ResponseWriter, r *http.Request) {
	if b := f.box(w, r); b != nil {
		id := r.PathValue("id")
		if i := slices.IndexFunc(b.messages, func(m shown) bool { return m.ID == id }); i < 0 {
			answer(w, http.StatusNotFound, map[string]string{"type": "urn:problem:message-not-found"})
			return
		} else if !f.breaks("keeps removed messages") {
			b.messages = slices.Delete(b.messages, i, i+1)
		}
		if f.breaks("removes another message") {
			id += "0"
		}
		answer(w, http.StatusOK, map[string]string{"id": id})
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func newFake(broken string) *fake {
	return &fake{broken: broken, asked: make(map[string]int), boxes: make(map[string]*fakeBox), clock: time.Unix(1_700_000_000, 0)}
}

// serve starts a fake and returns its host and port.
func serve(t *testing.T, broken string) string {
	t.Helper()
	s := httptest.NewServer(newFake(broken).handler())
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func newNames() *names { return &names{taken: make(map[string]bool)} }

func TestAServerThatKeepsItsWordPassesEveryLoad(t *testing.T) {
	addr, known := serve(t, ""), newNames()
	s := settings{Users: []int{1, 20}, Time: 300 * time.Millisecond, Think: 4 * time.Millisecond, Spawn: 200, Rate: []float64{500}, Duration: 300 * time.Millisecond, Connections: 8}
	for _, l := range s.loads() {
		t.Run(l.name, func(t *testing.T) {
			o, err := l.measure(t.Context(), addr, known)
			if err != nil {
				t.Fatal(err)
			}
			if o.counts.bad() > 0 || o.counts.made == 0 || o.counts.posted == 0 {
				t.Errorf("it came to %+v", o.counts)
			}
			var sum int64
			for _, r := range o.results()[:kinds] {
				sum += r.Operations
			}
			if sum != o.sum.Operations || sum == 0 || o.sum.Figures["p99.9 ms"] < o.sum.P50 {
				t.Errorf("%d requests of all kinds, in all %+v", sum, o.sum)
			}
		})
	}
}

func TestTheWarmUpIsVerifiedAndHasNoFigure(t *testing.T) {
	warm := 200 * time.Millisecond
	l := load{name: "20 users", users: 20, time: 50 * time.Millisecond, spawn: 1000}
	for _, broken := range []string{"", "changes a message"} {
		var out strings.Builder
		c := cli{Service: rig.Service{Warm: &warm}}
		began := time.Now()
		err := c.measure(t.Context(), &out, []load{l}, serve(t, broken), "a fake")
		if broken == "" && err != nil || broken != "" && (err == nil || !strings.HasPrefix(err.Error(), "warm-up: ")) {
			t.Errorf("a server that %q: %v", broken, err)
		}
		if n := strings.Count(out.String(), l.name); n != 1 || time.Since(began) < warm+l.time {
			t.Errorf("after %v the load has %d lines in\n%s", time.Since(began), n, &out)
		}
	}
}

func TestARequestMayFailBeforeTheServerIsWarm(t *testing.T) {
	warm := 200 * time.Millisecond
	f := newFake("")
	there := f.handler()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 10 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		there.ServeHTTP(w, r)
	}))
	defer s.Close()
	var out strings.Builder
	c := cli{Service: rig.Service{Warm: &warm}}
	l := load{name: "20 users", users: 20, time: 50 * time.Millisecond, spawn: 1000}
	err := c.measure(t.Context(), &out, []load{l}, strings.TrimPrefix(s.URL, "http://"), "a fake")
	if err != nil || !strings.Contains(out.String(), "\nwarm-up: ") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// play has so many users go through the cycle so many times.
func play(t *testing.T, addr string, users, turns int) (outcome, error) {
	t.Helper()
	r := load{users: users}.on(addr, newNames())
	defer r.close()
	var all sync.WaitGroup
	for i := range r.all {
		all.Go(func() {
			for range turns * len(cycle) {
				k, err := r.step(t.Context(), &r.all[i])
				r.record(k, 0, err)
			}
		})
	}
	all.Wait()
	sum := r.tally(time.Second)
	return r.outcome(t.Context(), scenario.Result{Errors: sum.Errors, Faults: sum.Faults}, nil)
}

func TestAServerThatBreaksItsWordIsFound(t *testing.T) {
	for broken, says := range map[string]string{
		"gives an address twice":         "which another has",
		"gives an id twice":              "which another has",
		"changes a message":              "shows",
		"changes a date":                 "shows",
		"puts messages elsewhere":        "of mailbox",
		"forgets a message":              "is lost",
		"forgets messages for a moment":  "is said not to exist",
		"forgets mailboxes for a moment": "nobody has removed",
		"keeps removed messages":         "was removed, and is shown",
		"keeps removed mailboxes":        "was removed, and is there",
		"reads another message":          "was asked for",
		"removes another message":        "was removed, and",
		"lists the oldest first":         "is not where it belongs",
		"lists a message twice":          "is not where it belongs",
		"begins a page too late":         "begins with",
		"leaves out a message":           "is missing on a page",
		"ends a page too early":          "and there is another",
		"gives the same page again":      "nothing older than the page before",
		"gives too long a page":          "a page of 10 messages has 11",
		"tells two sizes":                "octets, and",
		"miscounts":                      "is said to have",
		"is not always available":        "503",
	} {
		t.Run(broken, func(t *testing.T) {
			// Users do what chance says, so a few of them may not come to where it shows.
			for turns := 30; ; turns *= 2 {
				o, err := play(t, serve(t, broken), 4, turns)
				if err != nil && strings.Contains(err.Error(), says) && o.counts.bad()+int(o.sum.Errors) > 0 {
					return
				}
				if turns > 400 {
					t.Fatalf("%+v, %v; want something that says %q", o.counts, err, says)
				}
			}
		})
	}
}

func TestTheMixOfRequestsIsThePublishedOne(t *testing.T) {
	const turns = 1000
	o, err := play(t, serve(t, ""), 1, turns)
	if err != nil {
		t.Fatal(err)
	}
	count := func(k kind) int64 { return o.kinds[k].Operations }
	if count(postMessage) != 6*turns || count(readPage) != turns || count(readMessage) != turns || count(removeMessage) != turns {
		t.Errorf("%d turns have %+v", turns, o.counts)
	}
	for k, want := range map[kind]float64{createMailbox: creates, removeMailbox: removes} {
		if share := float64(count(k)) / turns; math.Abs(share-want) > 0.08 {
			t.Errorf("%v is done in %.3f of the turns, want %.1f", k, share, want)
		}
	}
	sum := figures{}
	for _, f := range published {
		sum.requests += f.requests
	}
	if sum.requests != 40_738 {
		t.Errorf("%d requests were published", sum.requests)
	}
}

func TestUsersThinkAndBeginOneByOne(t *testing.T) {
	const mean = 20 * time.Millisecond
	l := load{users: 20, time: 400 * time.Millisecond, spawn: 1000, think: 2 * mean}
	r := l.on(serve(t, ""), newNames())
	defer r.close()
	sum, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tasks := int64(l.users) * int64(l.time/mean)
	if sum.Operations == 0 || sum.Operations > tasks*3/2 {
		t.Errorf("%d requests, of %d tasks there is time for", sum.Operations, tasks)
	}
	l.spawn = 10
	r = l.on(serve(t, ""), newNames())
	defer r.close()
	if _, err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, u := range r.all {
		if i >= 4 && u.client.Connected() {
			t.Errorf("user %d has begun before its time", i)
		}
	}
}

func TestAMailboxThatIsGoneInTheEndIsFound(t *testing.T) {
	l, box, _ := shared(t)
	l.unseen(box)
	if n := l.settled(); n.wrong != 1 {
		t.Errorf("a mailbox that nobody removed: %+v", n)
	}
	l, box, _ = shared(t)
	l.shut(box)
	l.removed(box)
	l.unseen(box)
	if n := l.settled(); n.bad() > 0 {
		t.Errorf("a mailbox that was removed: %+v, %q", n, l.faults)
	}
}

func TestMessagesAreAsLongAsThePublishedOnes(t *testing.T) {
	l := newLedger(1<<63+1, nil)
	sum, n := 0, 10_000
	for i := range n {
		d := l.draft(i)
		if l.draft(i) != d {
			t.Fatalf("message %d is not the same twice", i)
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		sum += len(b)
	}
	if mean := float64(sum) / float64(n); math.Abs(mean-150) > 15 {
		t.Errorf("the mean is %.1f octets", mean)
	}
}

// A mailbox with one message, of which two users know.
func shared(t *testing.T) (l *ledger, box, number int) {
	t.Helper()
	l = newLedger(1, newNames())
	box = l.made("fred@temp.example.org")
	number, _, d, sent, ok := l.begin(box)
	if !ok {
		t.Fatal("a new mailbox takes no messages")
	}
	l.posted(number, sent, shown{ID: "id", draft: d, Received: time.Unix(1, 0), Size: 1})
	return l, box, number
}

func TestWhatAnotherUserRemovesMayBeAbsent(t *testing.T) {
	for name, c := range map[string]struct {
		play func(l *ledger, box, number int)
		gone int
		bad  int
	}{
		"a message that nobody removes": {func(l *ledger, box, _ int) {
			n, _, _, sent, _ := l.pick(box)
			l.absent(box, n, sent)
		}, 0, 1},
		"a message that another user removes meanwhile": {func(l *ledger, box, _ int) {
			n, _, _, sent, _ := l.pick(box)
			l.discard(box)
			l.absent(box, n, sent)
		}, 1, 0},
		"a message that the same user removes": {func(l *ledger, box, _ int) {
			n, _, _, sent, _ := l.discard(box)
			l.absent(box, n, sent)
		}, 0, 1},
		"a mailbox that nobody removes": {func(l *ledger, box, _ int) {
			_, _, _, sent, _ := l.begin(box)
			l.absent(box, noMessage, sent)
		}, 0, 1},
		"a mailbox that another user removes meanwhile": {func(l *ledger, box, _ int) {
			_, _, _, sent, _ := l.begin(box)
			l.shut(box)
			l.absent(box, noMessage, sent)
		}, 1, 0},
		"a mailbox that the same user removes": {func(l *ledger, box, _ int) {
			_, sent, _ := l.shut(box)
			l.absent(box, noMessage, sent)
		}, 0, 1},
		"a message of a mailbox that another user removes meanwhile": {func(l *ledger, box, _ int) {
			n, _, _, sent, _ := l.discard(box)
			l.shut(box)
			l.absent(box, n, sent)
		}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l, box, number := shared(t)
			c.play(l, box, number)
			if n := l.settled(); n.gone != c.gone || n.bad() != c.bad {
				t.Errorf("it came to %+v, %q", n, l.faults)
			}
		})
	}
}

func TestWhatIsRemovedMeanwhileMayBeShownOrNot(t *testing.T) {
	for _, seen := range []bool{true, false} {
		l, box, number := shared(t)
		sent := l.send()
		l.discard(box)
		l.discarded(number, "id")
		var page listing
		if seen {
			page.Data = []shown{{ID: "id", draft: l.draft(number), Received: time.Unix(1, 0), Size: 1}}
		}
		l.listed(first(box, pageSize, sent), page)
		if n := l.settled(); n.bad() > 0 {
			t.Errorf("a page with the message: %t: %q", seen, l.faults)
		}
		l.listed(first(box, pageSize, l.send()), page)
		if n := l.settled(); (n.bad() > 0) != seen {
			t.Errorf("a later page with the message: %t: %q", seen, l.faults)
		}
	}
}

func TestThePublishedFiguresStandBesideOurs(t *testing.T) {
	o := outcome{load: load{name: "300 users", published: published}, sum: scenario.Result{Operations: 1}, kinds: new([kinds]scenario.Tally)}
	o.kinds[postMessage].Latency.Record(2 * time.Millisecond)
	o.kinds[postMessage].Operations = 7
	var out strings.Builder
	if err := o.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"7 (26376)", "2.00 (5)", "2.00 (99)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &out)
		}
	}
}
