package app

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"restante/webhook"
)

func TestAWebhookIsToldOfMailAndNotOfTexts(t *testing.T) {
	told := make(chan webhook.Notice, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var n webhook.Notice
		if err != nil || json.Unmarshal(body, &n) != nil || r.Header.Get("webhook-signature") == "" {
			t.Errorf("%s %s: %v", r.Header, body, err)
		}
		told <- n
	}))
	t.Cleanup(receiver.Close)
	c := testConfig(t)
	c.WebhookURL, c.WebhookSecret = receiver.URL, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
	h := run(t, c, func(*house) {})
	h.ask("POST", "/chat", `{"username":"ann","text":"hello"}`, http.StatusCreated, nil)
	var made madeMailbox
	h.ask("POST", "/mailboxes", "", http.StatusCreated, &made)
	h.play(deliver("250 {{.*}}", made.Email))
	select {
	case n := <-told:
		if n.Type != webhook.Received || n.Data.Address != made.Email || n.Data.Octets == 0 {
			t.Errorf("told %+v", n)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the webhook is told nothing")
	}
}

func TestSettingsOfAWebhookThatCannotWorkAreNamedAndNotRepeated(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
	for _, x := range []struct{ url, secret, want string }{
		{"https://example.org/", "", "go together"},
		{"", secret, "go together"},
		{"hunter2", secret, "--webhook-url"},
		{"https://example.org/", "hunter2", "--webhook-secret"},
	} {
		c := testConfig(t)
		c.WebhookURL, c.WebhookSecret = x.url, x.secret
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", x, err)
		}
	}
}
