package fake

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"restante/relay/internal/sigv4"
)

const letter = "From: fred@example.org\r\nMessage-ID: <1@example.org>\r\n\r\nHello.\r\n"

// form is a request to Mailgun; a field "message" is sent as a file.
func form(t *testing.T, fields ...string) *http.Request {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		if fields[i] != "message" {
			_ = w.WriteField(fields[i], fields[i+1])
			continue
		}
		part, err := w.CreateFormFile("message", "message.eml")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write([]byte(fields[i+1]))
	}
	_ = w.Close()
	r := httptest.NewRequest("POST", "/v3/example.org/messages.mime", &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.SetBasicAuth("api", "key")
	return r
}

// answered holds an answer against what its maker documents.
func answered(t *testing.T, name string, h http.Handler, r *http.Request, status int, text string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != status || !strings.Contains(w.Body.String(), text) {
		t.Errorf("%s: %d %s, want %d %s", name, w.Code, w.Body, status, text)
	}
	return w
}

func TestMailgunAnswersAsDocumented(t *testing.T) {
	f := NewMailgun(MailgunOptions{Domain: "example.org", Key: "key"})
	w := answered(t, "a mail", f, form(t, "to", "ann@example.net, bob@example.net", "message", letter), 200, `"message":"Queued. Thank you."`)
	m := f.Log()[0]
	if len(m.To) != 2 || m.MessageID != "<1@example.org>" || m.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte(letter))) || !strings.Contains(w.Body.String(), "@example.org") {
		t.Errorf("%+v, %s", m, w.Body)
	}
	many := strings.TrimSuffix(strings.Repeat("ann@example.net,", mailgunRecipients+1), ",")
	answered(t, "no to", f, form(t, "message", letter), 400, "to parameter is missing")
	answered(t, "a bad to", f, form(t, "to", "ann", "message", letter), 400, "to parameter is not a valid address. please check documentation")
	answered(t, "too many", f, form(t, "to", many, "message", letter), 400, "Too many recipients, max is 1000")
	answered(t, "no message", f, form(t, "to", "ann@example.net"), 400, "'message' parameter is not a file")
	answered(t, "too large", f, form(t, "to", "ann@example.net", "message", strings.Repeat("x", mailgunMessage+1)), 413, "request size exceeds")
	wrong := form(t, "to", "ann@example.net", "message", letter)
	wrong.SetBasicAuth("api", "other")
	answered(t, "a wrong key", f, wrong, 401, "Forbidden")
	other := form(t, "to", "ann@example.net", "message", letter)
	other.URL.Path = "/v3/example.com/messages.mime"
	answered(t, "another domain", f, other, 404, "Domain not found: example.com")
	lost := form(t, "to", "ann@example.net", "message", letter)
	lost.URL.Path = "/v4/messages"
	answered(t, "another path", f, lost, 200, "Mailgun Magnificent API")
	plain := httptest.NewRequest("POST", "/v3/example.org/messages.mime", strings.NewReader("to=ann"))
	plain.SetBasicAuth("api", "key")
	answered(t, "no form", f, plain, 400, "malformed multipart/form-data request")
	if n := len(f.Log()); n != 1 {
		t.Errorf("%d mails were taken", n)
	}
}

func sesRequest(body string, sign string) *http.Request {
	r := httptest.NewRequest("POST", "/v2/email/outbound-emails", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	sigv4.Sign(r, sha256.Sum256([]byte(body)), sigv4.Credentials{KeyID: "id", Secret: sign, Region: "eu-west-1", Service: "ses"}, time.Now())
	return r
}

func TestSESAnswersAsDocumented(t *testing.T) {
	f := NewSES(SESOptions{KeyID: "id", Secret: "secret", Region: "eu-west-1"})
	raw := func(text string, to ...string) string {
		b, _ := json.Marshal(map[string]any{
			"Destination": map[string]any{"ToAddresses": to},
			"Content":     map[string]any{"Raw": map[string]string{"Data": base64.StdEncoding.EncodeToString([]byte(text))}},
		})
		return string(b)
	}
	answered(t, "a mail", f, sesRequest(raw(letter, "ann@example.net"), "secret"), 200, `"MessageId":"0100`)
	if m := f.Log()[0]; m.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte(letter))) || m.To[0] != "ann@example.net" {
		t.Errorf("%+v", m)
	}
	for _, c := range []struct {
		name, body, secret string
		status             int
		kind, text         string
	}{
		{"a wrong secret", raw(letter, "ann@example.net"), "other", 403, "InvalidSignatureException", "does not match the signature"},
		{"no JSON", "{", "secret", 400, "SerializationException", ""},
		{"no content", `{"Destination":{"ToAddresses":["a@b"]}}`, "secret", 400, "BadRequestException", "Content must be one of"},
		{"an empty content", raw("", "ann@example.net"), "secret", 400, "BadRequestException", "Missing required field"},
		{"no recipient", raw(letter), "secret", 400, "BadRequestException", "Missing final '@domain'"},
		{"51 recipients", raw(letter, make([]string, 51)...), "secret", 400, "BadRequestException", "Recipient count exceeds 50."},
		{"no From", raw("Subject: x\r\n\r\n", "ann@example.net"), "secret", 400, "BadRequestException", "Missing required header"},
	} {
		w := answered(t, c.name, f, sesRequest(c.body, c.secret), c.status, c.text)
		if got := w.Header().Get("x-amzn-ErrorType"); got != c.kind {
			t.Errorf("%s: %s, want %s", c.name, got, c.kind)
		}
	}
	unsigned := httptest.NewRequest("POST", "/v2/email/outbound-emails", strings.NewReader(raw(letter, "ann@example.net")))
	answered(t, "not signed", f, unsigned, 403, "security token")
	if n := len(f.Log()); n != 1 {
		t.Errorf("%d mails were taken", n)
	}
}

func TestSendGridAnswersAsDocumented(t *testing.T) {
	f := NewSendGrid(SendGridOptions{Key: "key"})
	request := func(body, key string) *http.Request {
		r := httptest.NewRequest("POST", "/v3/mail/send", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+key)
		return r
	}
	const good = `{"personalizations":[{"to":[{"email":"ann@example.net"}]}],"from":{"email":"fred@example.org"},"subject":"x","content":[{"type":"text/plain","value":"x"}],"headers":{"Message-ID":"<1@example.org>"}}`
	w := answered(t, "a mail", f, request(good, "key"), 202, "")
	if m := f.Log()[0]; w.Body.Len() != 0 || w.Header().Get("X-Message-Id") != m.ID || m.MessageID != "<1@example.org>" {
		t.Errorf("%q %v %+v", w.Body, w.Header(), m)
	}
	answered(t, "a wrong key", f, request(good, "other"), 401, "The provided authorization grant is invalid, expired, or revoked")
	for _, c := range []struct{ name, old, new, field, text string }{
		{"no personalization", `[{"to":[{"email":"ann@example.net"}]}]`, `[]`, "personalizations", "at least one personalization"},
		{"no to", `"to":[{"email":"ann@example.net"}]`, `"to":[]`, "personalizations.0.to", "to array is required"},
		{"a bad address", "ann@example.net", "ann", "personalizations.0.to.0.email", "Does not contain a valid address."},
		{"no from", `{"email":"fred@example.org"}`, `{}`, "from", "from object must be provided"},
		{"no subject", `"subject":"x"`, `"subject":""`, "subject", "The subject is required."},
		{"no content", `[{"type":"text/plain","value":"x"}]`, `[]`, "content", "at least one defined content block"},
		{"an empty content", `"value":"x"`, `"value":""`, "content.0.value", "at least one character"},
		{"an attachment without a name", `"subject"`, `"attachments":[{"content":"eA=="}],"subject"`, "attachments.0.filename", "filename is required"},
	} {
		answered(t, c.name, f, request(strings.Replace(good, c.old, c.new, 1), "key"), 400, `"field":"`+c.field+`"`)
		answered(t, c.name, f, request(strings.Replace(good, c.old, c.new, 1), "key"), 400, c.text)
	}
	answered(t, "too large", f, request(good+strings.Repeat(" ", sendGridRequest), "key"), 413, "")
	answered(t, "no JSON", f, request("{", "key"), 400, "Bad Request")
	if n := len(f.Log()); n != 1 {
		t.Errorf("%d mails were taken", n)
	}
}
