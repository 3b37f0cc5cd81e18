package app

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/cassandra/cassandratest"
	"restante/relay/fake"
)

// A smarthost is a fake one that mail of a house leaves through.
type smarthost struct {
	*fake.SMTP
	addr string
}

func newSmarthost(t *testing.T) *smarthost {
	t.Helper()
	f, err := fake.NewSMTP(fake.SMTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := f.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		_ = f.Close()
		serving.Wait()
	})
	return &smarthost{f, l.Addr().String()}
}

// through is a configuration whose mail leaves through a smarthost.
func (s *smarthost) through(t *testing.T, c Config) Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "services.yaml")
	text := fmt.Sprintf("services:\n- name: smarthost\n  provider: smtp://%s?tls=none\n", s.addr)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Relay = RelayConfig{Services: file, Networks: []string{"127.0.0.0/8"}, Scheduler: "p2c", Concurrency: 64}
	return c
}

// await waits until as many mails have come.
func (s *smarthost) await(h *house, n int) []fake.Mail {
	h.t.Helper()
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if log := s.Log(); len(log) >= n {
			return log
		}
	}
	h.t.Fatalf("%d of %d mails have come\n%s", len(s.Log()), n, h.log)
	return nil
}

// submit is a user's mail to somebody else's.
const submit = `on submission
S: 220 {{.*}}
C: EHLO client.example
S* 250 {{.*}}
C: AUTH PLAIN AGZyZWQAc2VjcmV0
S: 235 {{.*}}
C: MAIL FROM:<fred@example.org>
S: 250 {{.*}}
C: RCPT TO:<wilma@elsewhere.example>
S: 250 {{.*}}
C: RCPT TO:<fred@example.org>
S: 250 {{.*}}
C: DATA
S: 354 {{.*}}
raw "From: fred@example.org\r\nBcc: barney@elsewhere.example\r\nSubject: out\r\n\r\nGone.\r\n.\r\n"
S: 250 {{.*}}
C: QUIT
S: 221 {{.*}}
closed
`

// received logs in and wants one message.
const received = `on pop3
S: +OK {{.*}}
C: USER fred@example.org
S: +OK {{.*}}
C: PASS secret
S: +OK {{count=[0-9]+}} messages {{.*}}
C: STAT
S: +OK 1 {{.*}}
C: QUIT
S: +OK {{.*}}
closed
`

func TestMailForElsewhereLeaves(t *testing.T) {
	s := newSmarthost(t)
	leaves(t, s, s.through(t, testConfig(t)))
}

func TestMailForElsewhereLeavesCassandra(t *testing.T) {
	s := newSmarthost(t)
	leaves(t, s, s.through(t, withTables(t, cassandratest.Start(t))))
}

func leaves(t *testing.T, s *smarthost, c Config) {
	h := start(t, c)
	h.await(true)
	h.play(submit)
	mail := s.await(h, 1)[0]
	if mail.From != "fred@example.org" || strings.Join(mail.To, " ") != "wilma@elsewhere.example" || mail.MessageID == "" {
		t.Errorf("the smarthost was given %+v", mail)
	}
	h.play(received)
}

func TestProgramsSubmitOverHTTP(t *testing.T) {
	s := newSmarthost(t)
	h := start(t, s.through(t, testConfig(t)))
	url := "http://" + h.addr("http").String() + "/submissions?to=wilma@elsewhere.example"
	r, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader("From: fred@example.org\r\nSubject: out\r\n\r\nGone.\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("fred@example.org", "secret")
	r.Header.Set("Content-Type", "message/rfc822")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusAccepted {
		body, _ := io.ReadAll(answer.Body)
		t.Fatalf("%s: %s", answer.Status, body)
	}
	if mail := s.await(h, 1)[0]; strings.Join(mail.To, " ") != "wilma@elsewhere.example" {
		t.Errorf("the smarthost was given %+v", mail)
	}
}

// What was accepted while no service was up is sent by the next life of the server.
func TestMailForElsewhereOutlivesTheServer(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	config := testConfig(t)
	h := start(t, (&smarthost{addr: gone.Addr().String()}).through(t, config))
	h.play(submit)
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	s := newSmarthost(t)
	h = start(t, s.through(t, config))
	if mail := s.await(h, 1)[0]; strings.Join(mail.To, " ") != "wilma@elsewhere.example" {
		t.Errorf("the smarthost was given %+v", mail)
	}
}
