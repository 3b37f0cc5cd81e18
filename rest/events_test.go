package rest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A watching is what a client of events reads, in a bubble.
type watching struct {
	t     *testing.T
	lines *bufio.Scanner
	close func()
}

// watch begins to watch a mailbox over a connection without a network.
func (l *lodge) watch(t *testing.T, email, lastID string) *watching {
	t.Helper()
	s := &site{handler: l.handler}
	conn, end := s.dial(t)
	go fmt.Fprintf(conn, "GET /mailboxes/%s/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %s\r\n\r\n", email, lastID)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %s", answer.Status, answer.Header)
	}
	return &watching{t, bufio.NewScanner(answer.Body), end}
}

// next is the next line that is neither empty nor a comment, or nothing at the end.
func (s *watching) next() string {
	for s.lines.Scan() {
		if line := s.lines.Text(); line != "" && line[0] != ':' {
			return line
		}
	}
	return ""
}

// event is the next event: its name and its data.
func (s *watching) event() (name, id, data string) {
	s.t.Helper()
	for data == "" {
		line := s.next()
		if line == "" {
			s.t.Fatal("the stream ended")
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			data = value
		}
	}
	return name, id, data
}

func TestEventsTellWhatHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLodge(t)
		made := l.mailbox(t, `{"ttl":600}`)
		old := l.post(t, made.Email, "old", "old")
		s := l.watch(t, made.Email, "")
		defer s.close()
		if line := s.next(); line != "retry: 2000" {
			t.Errorf("it begins with %q", line)
		}
		fresh := l.post(t, made.Email, "new", "new")
		name, id, data := s.event()
		if name != "message" || id != fresh.ID || !strings.Contains(data, `"id":"`+fresh.ID+`"`) || strings.Contains(data, `"body"`) {
			t.Errorf("%s %s %s", name, id, data)
		}
		l.answerTo("DELETE", "/mailboxes/"+made.Email+"/messages/"+old.ID, "")
		if name, _, data := s.event(); name != "removed" || data != `{"id":"`+old.ID+`"}` {
			t.Errorf("%s %s", name, data)
		}
		if name, _, _ := s.event(); name != "ended" || time.Since(made.Created) != 10*time.Minute {
			t.Errorf("%s after %s", name, time.Since(made.Created))
		}
		if line := s.next(); line != "" {
			t.Errorf("then %q", line)
		}
	})
}

func TestEventsGoOnAfterTheLastThatWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLodge(t)
		made := l.mailbox(t, "")
		ids := l.fill(t, made.Email, 4)
		l.answerTo("DELETE", "/mailboxes/"+made.Email+"/messages/"+ids[2], "") // the last seen
		s := l.watch(t, made.Email, ids[2])
		defer s.close()
		for _, want := range []string{ids[1], ids[0]} {
			if name, id, _ := s.event(); name != "message" || id != want {
				t.Errorf("%s %s, want %s", name, id, want)
			}
		}
	})
	l := newLodge(t)
	made := l.mailbox(t, "")
	w := l.answerTo("GET", "/mailboxes/"+made.Email+"/events", "", field("Last-Event-ID", "1"))
	wantProblem(t, w, http.StatusBadRequest, "invalid-cursor")
}

func TestOldMessagesThatMoveUpAreNoEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLodge(t, func(o *PublicOptions) { o.MaxShown = 20 })
		made := l.mailbox(t, "")
		ids := l.fill(t, made.Email, 25)
		s := l.watch(t, made.Email, "")
		defer s.close()
		l.answerTo("DELETE", "/mailboxes/"+made.Email+"/messages/"+ids[0], "")
		if name, _, data := s.event(); name != "removed" || !strings.Contains(data, ids[0]) {
			t.Errorf("%s %s", name, data)
		}
		fresh := l.post(t, made.Email, "new", "new")
		if name, id, _ := s.event(); name != "message" || id != fresh.ID {
			t.Errorf("%s %s", name, id)
		}
	})
}

func TestASilentStreamBeatsAndHearsOfItsEnd(t *testing.T) {
	for name, end := range map[string]func(*lodge, NewMailbox){
		"the mailbox is removed": func(l *lodge, m NewMailbox) { l.answerTo("DELETE", "/mailboxes/"+m.Email, "") },
		"the server stops":       func(l *lodge, _ NewMailbox) { close(l.stopping) },
		"the hour is over":       func(*lodge, NewMailbox) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLodge(t)
				made := l.mailbox(t, `{"ttl":86400}`)
				s := l.watch(t, made.Email, "")
				defer s.close()
				s.next()
				for range 3 {
					began := time.Now()
					for s.lines.Scan() && !strings.HasPrefix(s.lines.Text(), ": ") {
					}
					if since := time.Since(began); since > heartbeat {
						t.Errorf("silent for %s", since)
					}
				}
				go end(l, made)
				last := ""
				for line := s.next(); line != ""; line = s.next() {
					last = line
				}
				if (last == "data: {}") != strings.HasPrefix(name, "the mailbox") {
					t.Errorf("the last line is %q", last)
				}
			})
		})
	}
}

func TestAStreamThatIsNotReadIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLodge(t)
		made := l.mailbox(t, `{"ttl":86400}`)
		s := l.watch(t, made.Email, "")
		defer s.close()
		s.next()
		time.Sleep(heartbeat + writeTimeout + time.Second) // net.Pipe has no buffer
		if text, err := io.ReadAll(l.streams()); err != nil || string(text) != "0" {
			t.Errorf("%s streams", text)
		}
	})
}

// streams is how many there are, as the metrics say.
func (l *lodge) streams() io.Reader {
	families, err := l.registry.Gather()
	if err != nil {
		return strings.NewReader(err.Error())
	}
	for _, f := range families {
		if f.GetName() == "restante_http_streams" {
			return strings.NewReader(fmt.Sprint(f.GetMetric()[0].GetGauge().GetValue()))
		}
	}
	return strings.NewReader("none")
}

func TestAThousandClientsThatNeverReadCostLittle(t *testing.T) {
	const clients = 1000
	l := newLodge(t)
	server := httptest.NewServer(l.handler)
	defer server.Close()
	made := l.mailbox(t, "")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conns := make([]net.Conn, clients)
	for i := range conns {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /mailboxes/%s/events HTTP/1.1\r\nHost: x\r\n\r\n", made.Email)
		conns[i] = conn
	}
	for _, conn := range conns { // they watch when the first octet is there
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	wantProblem(t, l.answerTo("GET", "/mailboxes/"+made.Email+"/events", ""), http.StatusTooManyRequests, "too-many-streams")
	for i := range 10 {
		l.post(t, made.Email, fmt.Sprint(i), strings.Repeat("x", 1000))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse)) / clients; each > 128<<10 {
		t.Errorf("each takes %d octets", each)
	} else {
		t.Logf("each takes %d octets", each)
	}
	if page := l.page(t, "/mailboxes/"+made.Email+"/messages"); len(page.Data) != 10 {
		t.Errorf("%d messages", len(page.Data))
	}
	for _, conn := range conns {
		conn.Close()
	}
	for end := time.Now().Add(time.Minute); ; {
		text, _ := io.ReadAll(l.streams())
		if string(text) == "0" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s streams are left", text)
		}
		<-time.After(10 * time.Millisecond) // each hears of it when it hears of it
	}
}
