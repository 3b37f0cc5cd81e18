package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"restante/perf/rig"
	"restante/perf/scenario"
)

// A fake is a text service in memory, which may break one of its promises.
type fake struct {
	broken string

	mu    sync.Mutex
	next  int64
	texts map[string][]fakeText // by user, the oldest first
	posts int
}

type fakeText struct {
	gotten
	expires time.Time
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	user := r.FormValue("username")
	switch r.Method {
	case "POST":
		f.post(w, user, r)
	case "GET":
		f.take(w, user)
	case "DELETE":
		clear(f.texts)
	}
}

func (f *fake) post(w http.ResponseWriter, user string, r *http.Request) {
	timeout := time.Minute
	if s := r.FormValue("timeout"); s != "" {
		n, _ := strconv.Atoi(s)
		timeout = time.Duration(n) * time.Second
	}
	if f.broken == "keeps texts too long" {
		timeout = time.Hour
	}
	f.posts++
	f.next++
	if f.broken == "gives an id twice" && f.posts%10 == 0 {
		f.next--
	}
	text := r.FormValue("text")
	if f.broken == "changes a text" && f.posts%10 == 0 {
		text = strings.ToUpper(text)
	}
	if f.broken == "gives texts to others" && f.posts%10 == 0 {
		user = strings.TrimRight(user, "0123456789") + "0"
	}
	if f.broken != "forgets a text" || f.posts%10 > 0 {
		f.texts[user] = append(f.texts[user], fakeText{gotten{f.next, text}, time.Now().Add(timeout)})
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"id": %d}`, f.next)
}

func (f *fake) take(w http.ResponseWriter, user string) {
	var live []gotten
	for _, t := range slices.Backward(f.texts[user]) {
		if time.Now().Before(t.expires) && len(live) < fullAnswer {
			live = append(live, t.gotten)
		}
	}
	if f.broken != "returns texts again" || f.posts%2 == 0 {
		f.texts[user] = f.texts[user][:max(0, len(f.texts[user])-len(live))]
	}
	if f.broken == "tells another id" {
		for i := range live {
			live[i].ID += 1 << 30
		}
	}
	if f.broken == "says it is empty" || len(live) == 0 {
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprint(w, `"Username not found"`)
		return
	}
	_ = json.NewEncoder(w).Encode(live)
}

// serve starts a fake and returns its host and port.
func serve(t *testing.T, broken string) string {
	t.Helper()
	s := httptest.NewServer(&fake{broken: broken, texts: make(map[string][]fakeText)})
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// small are short forms of all kinds of loads.
func small() []load {
	s := settings{Seconds: 300 * time.Millisecond, Rate: []float64{200}, Duration: 300 * time.Millisecond, Silence: 300 * time.Millisecond, Users: 40}
	loads := []load{published(20)}
	for _, l := range s.loads() {
		if !strings.HasPrefix(l.name, "published") && l.Connections <= 64 || l.Rate == 400 {
			loads = append(loads, l)
		}
	}
	return loads
}

func TestAServerThatKeepsItsWordPassesEveryLoad(t *testing.T) {
	addr := serve(t, "")
	known := &ids{taken: make(map[int64]bool)}
	for _, l := range small() {
		t.Run(l.name, func(t *testing.T) {
			results, n, err := new(cli).one(t.Context(), l, addr, known)
			if err != nil {
				t.Fatal(err)
			}
			if n.posted == 0 || n.returned == 0 || n.bad() > 0 || n.returned+n.overdue != n.posted {
				t.Errorf("it came to %+v", n)
			}
			for _, r := range results {
				if r.Operations == 0 || r.Figures["texts/s"] <= 0 || r.Figures["p99.9 ms"] < r.P50 {
					t.Errorf("measured %+v", r)
				}
			}
			if l.silent > 0 && (len(results) != 2 || results[1].Operations != int64(l.silent)) {
				t.Errorf("there are %d results", len(results))
			}
		})
	}
}

func TestAServerThatBreaksItsWordIsFound(t *testing.T) {
	for broken, says := range map[string]string{
		"gives an id twice":     "which another text has",
		"changes a text":        "was given",
		"gives texts to others": "of user",
		"forgets a text":        "is lost",
		"says it is empty":      "is lost",
		"returns texts again":   "answers are wrong",
		"tells another id":      "has the ids",
	} {
		t.Run(broken, func(t *testing.T) {
			_, n, err := new(cli).one(t.Context(), published(100), serve(t, broken), &ids{taken: make(map[int64]bool)})
			if err == nil || n.bad() == 0 || !strings.Contains(err.Error(), says) {
				t.Errorf("%+v, %v; want something that says %q", n, err, says)
			}
		})
	}
}

func TestTheWarmUpIsVerifiedAndHasNoFigure(t *testing.T) {
	warm := 200 * time.Millisecond
	for _, broken := range []string{"", "changes a text"} {
		f := &fake{broken: broken, texts: make(map[string][]fakeText)}
		s := httptest.NewServer(f)
		defer s.Close()
		var out strings.Builder
		c := cli{Service: rig.Service{Warm: &warm}}
		err := c.measure(t.Context(), &out, []load{published(20)}, strings.TrimPrefix(s.URL, "http://"), "")
		if broken == "" && err != nil || broken != "" && (err == nil || !strings.HasPrefix(err.Error(), "warm-up: ")) {
			t.Errorf("a server that %q: %v", broken, err)
		}
		if n := strings.Count(out.String(), "published, 20 users"); n != 1 || f.posts <= 40 {
			t.Errorf("%d texts, and the load has %d lines in\n%s", f.posts, n, &out)
		}
	}
}

func TestARequestMayFailBeforeTheServerIsWarm(t *testing.T) {
	warm := 200 * time.Millisecond
	f := &fake{texts: make(map[string][]fakeText)}
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := asked.Add(1); r.Method == "POST" && n < 10 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		f.ServeHTTP(w, r)
	}))
	defer s.Close()
	var out strings.Builder
	c := cli{Service: rig.Service{Warm: &warm}}
	err := c.measure(t.Context(), &out, []load{published(20)}, strings.TrimPrefix(s.URL, "http://"), "")
	if err != nil || !strings.Contains(out.String(), "\nwarm-up: ") {
		t.Errorf("%v\n%s", err, &out)
	}
}

func TestATextThatComesLateIsFound(t *testing.T) {
	l := load{
		name: "late", keep: true, timeout: always(time.Second), silent: 10,
		pair: func(n int) (int, int) { return n % 10, 10 }, Load: scenario.Load{Connections: 1, Duration: 1200 * time.Millisecond, Rate: 50, Users: 20},
	}
	// The last half of the users is silent; the first, of whom nobody asked, is asked
	// for when all is over.
	l.pair = func(n int) (int, int) { return 10 + n%10, 0 }
	for broken, want := range map[string]bool{"keeps texts too long": true, "": false} {
		_, n, err := new(cli).one(t.Context(), l, serve(t, broken), &ids{taken: make(map[int64]bool)})
		if (n.late > 0) != want || (err != nil) != want {
			t.Errorf("a server that %q: %+v, %v", broken, n, err)
		}
	}
}

func TestAnAnswerThatThereShouldNotBeIsAnError(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "DELETE" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	results, _, err := new(cli).one(t.Context(), published(2), strings.TrimPrefix(s.URL, "http://"), &ids{taken: make(map[int64]bool)})
	if err == nil || len(results) != 1 || results[0].Errors != 8 {
		t.Errorf("%+v, %v", results, err)
	}
}

func TestSentencesAreAsLongAsThePublishedOnes(t *testing.T) {
	l := newLedger(1, nil)
	sum, n := 0, 10_000
	for i := range n {
		s := l.content(i)
		if len(s) < 33 || len(s) > 131 {
			t.Fatalf("%q has %d octets", s, len(s))
		}
		if l.content(i) != s {
			t.Fatalf("text %d is not the same twice", i)
		}
		sum += len(s)
	}
	if mean := float64(sum) / float64(n); math.Abs(mean-57) > 2 {
		t.Errorf("the mean is %.1f octets", mean)
	}
}

func TestThePublishedLoadPostsToEachTwice(t *testing.T) {
	l := published(100)
	posted, asked := make(map[int]int), make(map[int]int)
	for n := range 200 {
		to, asks := l.pair(n)
		posted[to]++
		asked[asks]++
	}
	for user := range 100 {
		if posted[user] != 2 || asked[user] != 2 {
			t.Fatalf("user %d is posted to %d times and asks %d times", user, posted[user], asked[user])
		}
	}
}
