package provider

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"restante/relay"
	"restante/relay/fake"
)

func TestOneBadRecipientDoesNotKeepTheMailFromTheOthers(t *testing.T) {
	for name, c := range map[string]string{
		"mailgun": "status:400 to parameter is not a valid address. please check documentation",
		"ses":     "status:400 BadRequestException: Missing final '@domain'",
	} {
		bubble(t, everyRig()[name], func(t *testing.T, r *rig) {
			r.set(t, fake.Setting{Mode: c, Recipient: "to2@example.net"})
			var to []string
			for n := range 5 {
				to = append(to, fmt.Sprintf("to%d@example.net", n))
			}
			for i, o := range r.sendMail(t, newMail(t, letter, to...)) {
				result := relay.Success
				if i == 2 {
					result = relay.BadRecipient
				}
				want(t, o, result)
			}
			if got := taken(r.fake.Log()...); got != "[to0@example.net to1@example.net to3@example.net to4@example.net]" {
				t.Errorf("%s: it reached %s", name, got)
			}
		})
	}
}

// answering is a server that says the same to everybody.
func answering(status int, header, body string) func(t *testing.T, n *pipeNet) (url string, dial Dial) {
	return func(t *testing.T, n *pipeNet) (string, Dial) {
		c, err := fake.NewSMTP(fake.SMTPOptions{})
		if err != nil {
			t.Fatal(err)
		}
		serveHTTP(t, n, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if name, value, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}), c.Control)
		return testURL, n.Dial
	}
}

func TestRubbishFromAnInterfaceHasADefinedOutcome(t *testing.T) {
	for _, c := range []struct {
		maker        string
		status       int
		header, body string
		want         relay.Result
	}{
		{"mailgun", 200, "", "Mailgun Magnificent API", relay.AccountFault},
		{"mailgun", 200, "", "{}", relay.Ambiguous},
		{"mailgun", 200, "Content-Length: 100", "{", relay.Ambiguous},
		{"mailgun", 302, "Location: http://127.0.0.1:1/", "", relay.Temporary},
		{"mailgun", 403, "", "<html>", relay.AccountFault},
		{"mailgun", 502, "", "<html>" + strings.Repeat("x", 2*answerMost), relay.Temporary},
		{"ses", 200, "", "", relay.Ambiguous},
		{"ses", 400, "x-amzn-ErrorType: ThrottlingException:http://internal.amazon.com/", "", relay.Throttled},
		{"ses", 400, "", "<html>", relay.Temporary},
		{"sendgrid", 200, "", "", relay.Ambiguous},
		{"sendgrid", 400, "", "<html>", relay.BadMessage},
		{"sendgrid", 503, "", "<html>", relay.Temporary},
	} {
		t.Run(fmt.Sprint(c.maker, c.status, c.header), func(t *testing.T) {
			bubble(t, func(t *testing.T, n *pipeNet) *rig {
				url, dial := answering(c.status, c.header, c.body)(t, n)
				h := HTTPOptions{URL: url, Dial: dial}
				var p relay.Provider
				var err error
				switch c.maker {
				case "mailgun":
					p, err = NewMailgun(MailgunOptions{HTTPOptions: h, Domain: "example.org", Key: "key"})
				case "ses":
					p, err = NewSES(SESOptions{HTTPOptions: h, Region: "eu-west-1", KeyID: "id", Secret: "secret"})
				case "sendgrid":
					p, err = NewSendGrid(SendGridOptions{HTTPOptions: h, Key: "key"})
				}
				return &rig{Provider: closing(t, p, err)}
			}, func(t *testing.T, r *rig) {
				want(t, r.send(t), c.want)
			})
		})
	}
}

// A server that answers at once, before the content is complete, has not taken it.
func TestASuccessBeforeTheEndOfTheContentIsNone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := fake.NewSMTP(fake.SMTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	serveHTTP(t, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"id":"1","message":"Queued. Thank you."}`)
		_ = http.NewResponseController(w).Flush()
	}), c.Control)
	p, err := NewMailgun(MailgunOptions{HTTPOptions: HTTPOptions{URL: "http://" + l.Addr().String()}, Domain: "example.org", Key: "key"})
	closing(t, p, err)
	m := newMail(t, strings.Repeat("x\r\n", 5<<20), "ann@example.net")
	want(t, p.Send(t.Context(), m)[0], relay.Transport)
}

func TestALongContentIsReadInPieces(t *testing.T) {
	for _, name := range []string{"mailgun", "ses", "smtp", "resend-smtp"} {
		bubble(t, everyRig()[name], func(t *testing.T, r *rig) {
			content := letter + strings.Repeat(".And so on.\r\n", 40_000)
			want(t, r.sendMail(t, newMail(t, content, "ann@example.net"))[0], relay.Success)
			prefix := ""
			if p := presets[name].prefix; p != nil {
				prefix = p(newMail(t, content, "ann@example.net"))
			}
			if m := r.accepted(t, 1)[0]; m.SHA256 != sha(prefix, content) {
				t.Errorf("%s: %d octets arrived of %d", name, m.Octets, len(content))
			}
		})
	}
}

func TestAnEncoderIsBase64(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, encoderBlock - 1, encoderBlock, encoderBlock + 1, 3*encoderBlock + 2} {
		in := bytes.Repeat([]byte{0, 0xff, 'x', 7}, n/4+1)[:n]
		for _, r := range []io.Reader{bytes.NewReader(in), iotest.HalfReader(bytes.NewReader(in)), iotest.DataErrReader(bytes.NewReader(in))} {
			got, err := io.ReadAll(newEncoder(r))
			if err != nil || string(got) != base64.StdEncoding.EncodeToString(in) {
				t.Errorf("%d octets: %d of base64, %v", n, len(got), err)
			}
		}
	}
	cut := fmt.Errorf("read: %w", io.ErrUnexpectedEOF)
	if _, err := io.ReadAll(newEncoder(io.MultiReader(strings.NewReader("x"), iotest.ErrReader(cut)))); err == nil {
		t.Error("a source that broke off looks complete")
	}
}

func TestLimitsAreTheLowerOnes(t *testing.T) {
	p, err := NewMailgun(MailgunOptions{Domain: "example.org", Key: "key", HTTPOptions: HTTPOptions{
		Limits: relay.Limits{Octets: 1 << 20, Recipients: 5000, Concurrency: 3, PerSecond: 2.5, PerDay: 100},
	}})
	want := relay.Limits{Octets: 1 << 20, Recipients: 1000, Concurrency: 3, PerSecond: 2.5, PerDay: 100}
	if got := closing(t, p, err).Limits(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
