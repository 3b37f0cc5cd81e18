package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func do(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestTheControlPortTakesWhatIsDocumentedAndNothingElse(t *testing.T) {
	c := newControl()
	for _, body := range []string{
		`{"mode":"ok"}`, `{"mode":"status:503"}`, `{"mode":"status:550 5.1.1 no such user"}`, `{"mode":"throttle:7s"}`,
		`{"mode":"authfail"}`, `{"mode":"unverified"}`, `{"mode":"hang"}`, `{"mode":"reset"}`, `{"mode":"hang-after-accept"}`,
		`{"mode":"reset-after-accept"}`, `{"mode":"slow:200ms"}`, `{"mode":"flap:3s/2s"}`,
		`{"mode":"ok","rate":2.5}`, `{"mode":"hang","at":"RCPT"}`, `{"mode":"status:550","recipient":"ann@example.net"}`,
	} {
		if w := do(c, "PUT", "/_ctl", body); w.Code != http.StatusNoContent {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
		var sent, got Setting
		if err := json.Unmarshal([]byte(body), &sent); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(do(c, "GET", "/_ctl", "").Body.Bytes(), &got); err != nil || got != sent {
			t.Errorf("%s: it says %+v, %v", body, got, err)
		}
	}
	for _, body := range []string{
		``, `{}`, `[]`, `{"mode":""}`, `{"mode":"of"}`, `{"mode":"ok:1"}`, `{"mode":"status"}`, `{"mode":"status:200"}`,
		`{"mode":"status:x"}`, `{"mode":"status:550 a\r\nb"}`, `{"mode":"throttle"}`, `{"mode":"throttle:7"}`, `{"mode":"slow:-1s"}`,
		`{"mode":"flap:3s"}`, `{"mode":"flap:3s/0s"}`, `{"mode":"ok","rate":-1}`, `{"mode":"hang","at":"rcpt"}`, `{"mode":"ok","colour":"red"}`,
		`{"mode":"` + strings.Repeat("x", maxSetting) + `"}`,
	} {
		if w := do(c, "PUT", "/_ctl", body); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", body, w.Code)
		}
	}
	for _, c2 := range []struct{ method, path string }{{"DELETE", "/_log"}, {"GET", "/"}, {"POST", "/_ctl"}} {
		if w := do(c, c2.method, c2.path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d", c2.method, c2.path, w.Code)
		}
	}
}

func TestTheLogIsOneObjectALineInOrderAndForgetsTheOldest(t *testing.T) {
	const most = 10
	c := newControl()
	c.most = most
	everybody := make([]string, 2*recipientsMost)
	for n := range most + 3 {
		content := newContent()
		fmt.Fprintf(content, "Message-ID: <%d@example.org>\r\n\r\n", n)
		c.accepted(content.mail(fmt.Sprint(n), "fred@example.org", everybody[:n*10]))
	}
	lines := strings.Split(strings.TrimSpace(do(c, "GET", "/_log", "").Body.String()), "\n")
	if len(lines) != most {
		t.Fatalf("%d lines, want %d", len(lines), most)
	}
	for i, line := range []string{lines[0], lines[1], lines[most-1]} {
		var m Mail
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if want := []int{3, 4, most + 2}[i]; m.ID != fmt.Sprint(want) || m.MessageID != fmt.Sprintf("<%d@example.org>", want) || len(m.To) != min(want*10, recipientsMost) {
			t.Errorf("line %d is of %s with %s", i, m.ID, m.MessageID)
		}
	}
	var s Stats
	if err := json.Unmarshal(do(c, "GET", "/_stats", "").Body.Bytes(), &s); err != nil || s.Accepted != most+3 || s.Forgotten != 3 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAModeHoldsForItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl()
		at := func(want kind) {
			t.Helper()
			if got := c.now("").kind; got != want {
				t.Errorf("after %v: %s, want %s", time.Since(c.since), got, want)
			}
		}
		set := func(s Setting) {
			t.Helper()
			if err := c.Set(s); err != nil {
				t.Fatal(err)
			}
		}
		set(Setting{Mode: "throttle:7s"})
		at(throttle)
		time.Sleep(7*time.Second - 1)
		at(throttle)
		time.Sleep(1)
		at(ok)

		set(Setting{Mode: "flap:3s/2s"})
		for range 2 {
			at(ok)
			time.Sleep(3 * time.Second)
			at(flap)
			time.Sleep(2 * time.Second)
		}
	})
}

func TestAModeForARecipientIsForNobodyElse(t *testing.T) {
	c := newControl()
	if err := c.Set(Setting{Mode: "status:550", Recipient: "ann@example.net"}); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		step string
		to   []string
		want kind
	}{
		{"", nil, ok},
		{"", []string{"bob@example.net", "Ann@Example.net"}, status},
		{"", []string{"bob@example.net"}, ok},
		{"MAIL", nil, ok},
		{"RCPT", []string{"ann@example.net"}, status},
		{"RCPT", []string{"bob@example.net"}, ok},
		{"dot", []string{"ann@example.net"}, ok},
	} {
		if got := c.now(x.step, x.to...).kind; got != x.want {
			t.Errorf("%s of %v: %s, want %s", x.step, x.to, got, x.want)
		}
	}
}
