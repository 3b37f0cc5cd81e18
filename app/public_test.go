package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"restante/cassandra"
	"restante/rest"
)

// ask sends a request to the interface for everybody and reads the answer, which has
// to have this status, into v, if that is not nil.
func (h *house) ask(method, path, body string, status int, v any) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.addr("http").String()+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if answer.StatusCode != status {
		h.t.Fatalf("%s %s: %s, want %d: %s\n%s", method, path, answer.Status, status, text, h.log)
	}
	if v != nil {
		if err := json.Unmarshal(text, v); err != nil {
			h.t.Fatalf("%v in %s", err, text)
		}
	}
}

type madeMailbox struct {
	Email, Password string
	Expires         time.Time
}

type listedMessages struct {
	Data []struct{ ID, Sender, Subject, Body string }
}

func TestATemporaryAddressFromItsMakingToItsEnd(t *testing.T) {
	var ahead atomic.Int64 // of the clock that addresses go by
	h := run(t, testConfig(t), func(h *house) {
		h.directory.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	var made madeMailbox
	h.ask("POST", "/mailboxes", "", http.StatusCreated, &made)
	if !strings.HasSuffix(made.Email, "@temp.example.org") {
		t.Fatalf("%+v", made)
	}
	at := "/mailboxes/" + url.PathEscape(made.Email)

	events := h.events(at + "/events")
	h.play(deliver("250 {{.*}}", made.Email))
	if got := events("data: "); !strings.Contains(got, `"subject":"one"`) {
		t.Errorf("the event is %q", got)
	}

	var page listedMessages
	h.ask("GET", at+"/messages?wait=30s", "", http.StatusOK, &page)
	if len(page.Data) != 1 || page.Data[0].Subject != "one" || strings.TrimSpace(page.Data[0].Body) != "one" {
		t.Fatalf("listed %+v", page)
	}
	h.ask("POST", at+"/messages", `{"sender":"bob@example.com","subject":"two","body":"two"}`, http.StatusCreated, nil)
	session := login(made.Email, made.Password, 2) + "C: UIDL 1\nS: +OK 1 " + page.Data[0].ID + "\nC: RETR 2\nS* .\nC: QUIT\nS: +OK {{.*}}\n"
	h.play(session)
	h.play(refusedLogin(made.Email, "another"))

	ahead.Store(int64(time.Until(made.Expires) - time.Minute))
	h.ask("GET", at, "", http.StatusOK, nil)
	h.play(session)
	h.play(deliver("250 {{.*}}", made.Email))

	ahead.Store(int64(time.Until(made.Expires)))
	for _, path := range []string{"", "/messages", "/messages/" + page.Data[0].ID, "/events"} {
		h.ask("GET", at+path, "", http.StatusNotFound, nil)
	}
	h.play("on smtp\nS: 220 {{.*}}\nC: EHLO client.example\nS* 250 {{.*}}\nC: MAIL FROM:<alice@elsewhere.example>\nS: 250 {{.*}}\n" +
		"C: RCPT TO:<" + made.Email + ">\nS: 550 5.1.1 {{.*}}\n")
	h.play(refusedLogin(made.Email, made.Password))
}

// events begins to watch a mailbox. The function it returns is the next line that
// begins so.
func (h *house) events(path string) func(prefix string) string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	h.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.addr("http").String()+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { answer.Body.Close() })
	lines := bufio.NewScanner(answer.Body)
	next := func(prefix string) string {
		h.t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), prefix) {
				return lines.Text()
			}
		}
		h.t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
	next(": watching")
	return next
}

// refusedLogin is a dialogue of a user who is not let in.
func refusedLogin(user, password string) string {
	return fmt.Sprintf("on pop3\nS: +OK {{.*}}\nC: USER %s\nS: +OK {{.*}}\nC: PASS %s\nS: -ERR [AUTH] {{.*}}\n", user, password)
}

func TestATextIsPostedMailedTakenAndFetched(t *testing.T) {
	c := testConfig(t)
	c.TextPassword = "for all"
	h := start(t, c)
	h.ask("POST", "/chat", `{"username":"ann","text":"by HTTP"}`, http.StatusCreated, nil)
	h.play(deliver("250 {{.*}}", "ann@text.example.org"))
	h.play(login("ann@text.example.org", "for all", 2))
	h.play(refusedLogin("ann@text.example.org", "for nobody"))
	var texts []struct {
		ID   int64
		Text string
	}
	h.ask("GET", "/chat?username=ann", "", http.StatusOK, &texts)
	if len(texts) != 2 || texts[1].Text != "by HTTP" || !strings.Contains(texts[0].Text, "one") {
		t.Errorf("taken: %+v", texts)
	}
	h.ask("GET", "/chat?username=ann", "", http.StatusNotFound, nil)
	h.ask("DELETE", "/chat", "", http.StatusForbidden, nil)
}

func TestAnAccountIsNotMadeWhereAddressesAreTemporary(t *testing.T) {
	h := start(t, testConfig(t))
	for _, domain := range []string{"temp.example.org", "text.example.org"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+h.addr("admin").String()+"/accounts",
			strings.NewReader(`{"address":"fred@`+domain+`","password":"secret"}`))
		if err != nil {
			t.Fatal(err)
		}
		token, err := ReadAdminToken(h.config.Data)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %s", domain, answer.Status)
		}
	}
}

func TestThePageAndTheSettingsOfMailProgramsAreServed(t *testing.T) {
	h := start(t, testConfig(t))
	h.ask("GET", "/", "", http.StatusOK, nil)
	h.ask("GET", "/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=fred@example.org", "", http.StatusOK, nil)
	h.ask("DELETE", "/", "", http.StatusMethodNotAllowed, nil)
	answer, err := http.Get("http://" + h.addr("admin").String() + "/status")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the page for operators: %s", answer.Status)
	}
}

func TestOnlyTheNewestMessagesAreShownByPOP3(t *testing.T) {
	c := testConfig(t)
	c.TempMaxMessages = 3
	h := start(t, c)
	var made madeMailbox
	h.ask("POST", "/mailboxes", "", http.StatusCreated, &made)
	for range 5 {
		h.play(deliver("250 {{.*}}", made.Email))
	}
	h.play(login(made.Email, made.Password, 3))
	var page listedMessages
	h.ask("GET", "/mailboxes/"+made.Email+"/messages", "", http.StatusOK, &page)
	if len(page.Data) != 3 {
		t.Errorf("%d are listed", len(page.Data))
	}
}

func TestClientsAreToldThatSomeMailExpires(t *testing.T) {
	h := start(t, testConfig(t))
	h.play("on pop3\nS: +OK {{.*}}\nC: CAPA\nS* EXPIRE 0 USER\nS* .\n")
	var made madeMailbox
	h.ask("POST", "/mailboxes", "", http.StatusCreated, &made)
	h.play(login(made.Email, made.Password, 0) + "C: CAPA\nS* EXPIRE 0\nS* .\n")
}

func TestShutdownEndsStreamsOfEvents(t *testing.T) {
	h := start(t, testConfig(t))
	var made madeMailbox
	h.ask("POST", "/mailboxes", "", http.StatusCreated, &made)
	h.events("/mailboxes/" + made.Email + "/events")
	began := time.Now()
	if err := h.end(); err != nil || time.Since(began) > h.config.Grace/2 {
		t.Errorf("Run: %v after %s", err, time.Since(began))
	}
}

func TestConnectionsBeyondTheLimitAreClosed(t *testing.T) {
	c := testConfig(t)
	c.MaxConnections = 3
	h := start(t, c)
	var open []net.Conn
	for range 3 {
		conn, err := h.dial("http")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		say(t, conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200")
		open = append(open, conn)
	}
	one, err := h.dial("http")
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	one.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := one.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("one too many is served")
	}
	open[0].Close()
	for end := time.Now().Add(20 * time.Second); ; {
		conn, err := h.dial("http")
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		text, _ := io.ReadAll(conn)
		conn.Close()
		if strings.HasPrefix(string(text), "HTTP/1.1 200") {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a connection that is closed leaves no room")
		}
		<-time.After(10 * time.Millisecond) // the server hears of it when it hears of it
	}
}

func TestATemporaryAddressDoesNotOutliveWhatCassandraKeeps(t *testing.T) {
	c := testConfig(t)
	c.TempMaxLife = cassandra.MaxLife + time.Second
	if err := c.Validate(); err != nil {
		t.Errorf("in the embedded store: %v", err)
	}
	c.Store, c.Cassandra.CassandraConfig = cassandraStore, cassandraConfig()
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "--temp-max-life 8784h0m1s: in Cassandra") {
		t.Errorf("in Cassandra: %v", err)
	}
	c.TempMaxLife = cassandra.MaxLife
	if err := c.Validate(); err != nil {
		t.Errorf("as long as it keeps it: %v", err)
	}
}

func TestSettingsForEverybodyThatCannotWorkAreNamed(t *testing.T) {
	for want, edit := range map[string]func(*Config){
		"--temp-domain x..y":       func(c *Config) { c.TempDomains = []string{"x..y"} },
		"--temp-domain: at least":  func(c *Config) { c.TempDomains = nil },
		"--text-domain x..y":       func(c *Config) { c.TextDomain = "x..y" },
		"the domain example.org":   func(c *Config) { c.TempDomains = []string{"Example.ORG."} },
		"the domain temp.example":  func(c *Config) { c.TextDomain = "temp.example.org" },
		"--temp-life 1ms":          func(c *Config) { c.TempLife = time.Millisecond },
		"--temp-max-life 1m0s":     func(c *Config) { c.TempMaxLife = time.Minute },
		"--temp-max-messages":      func(c *Config) { c.TempMaxMessages = 0 },
		"--temp-max-mailboxes":     func(c *Config) { c.TempMaxMailboxes = -1 },
		"--temp-rate":              func(c *Config) { c.TempRate = 0 },
		"--http-max-message":       func(c *Config) { c.HTTPMaxMessage = 0 },
		"--http-max-message 167":   func(c *Config) { c.HTTPMaxMessage = rest.MaxBody + 1 },
		"--http-origin example":    func(c *Config) { c.HTTPOrigins = []string{"example.org"} },
		"--http-origin https://a/": func(c *Config) { c.HTTPOrigins = []string{"https://a/"} },
		"--admin-token: it is":     func(c *Config) { c.AdminToken = "open sesame" },
		"--api-key: not NAME:KEY":  func(c *Config) { c.APIKeys = []string{"0123456789abcdef"} },
		"--api-key ann: the key":   func(c *Config) { c.APIKeys = []string{"ann:short"} },
		"--api-key ann: there are": func(c *Config) { c.APIKeys = []string{"ann:0123456789abcdef", "ann:0123456789abcdeg"} },
	} {
		c := testConfig(t)
		edit(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c := testConfig(t)
	c.TextDomain, c.HTTPOrigins, c.APIKeys = Off, []string{"*", "https://a.example:8443"}, []string{"ann:0123456789:abcdef"}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
