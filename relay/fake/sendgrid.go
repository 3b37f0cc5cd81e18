package fake

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"time"
)

// SendGridOptions configures [NewSendGrid].
type SendGridOptions struct {
	Key string
}

// A SendGrid takes mails as JSON, as version 3 of SendGrid's interface does:
//
//	POST /v3/mail/send
//	GET /v3/scopes
//
// The Message-ID in its log is the one of the headers, if that was given.
type SendGrid struct {
	*Control
	opts SendGridOptions
	mux  *http.ServeMux
}

// Limits of SendGrid.
const (
	sendGridRequest    = 30 << 20
	sendGridRecipients = 1000
)

// NewSendGrid returns a SendGrid.
func NewSendGrid(o SendGridOptions) *SendGrid {
	f := &SendGrid{Control: newControl(), opts: o, mux: http.NewServeMux()}
	f.mux.Handle("/", f.Control)
	f.mux.HandleFunc("POST /v3/mail/send", f.send)
	f.mux.HandleFunc("GET /v3/scopes", func(w http.ResponseWriter, r *http.Request) {
		f.probe(w, r, f, f.stranger(r), answer{status: http.StatusOK, body: map[string][]string{"scopes": {"mail.send"}}})
	})
	return f
}

func (f *SendGrid) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

func (f *SendGrid) stranger(r *http.Request) bool {
	return r.Header.Get("Authorization") != "Bearer "+f.opts.Key
}

func (f *SendGrid) send(w http.ResponseWriter, r *http.Request) {
	p := parcel{stranger: f.stranger(r)}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, sendGridRequest))
	if err != nil {
		p.err = err
	} else {
		f.read(&p, body)
	}
	f.hand(w, r, f, p)
}

// A sendGridError is one of the list in an answer.
type sendGridError struct {
	Message string `json:"message"`
	Field   any    `json:"field"`
	Help    any    `json:"help"`
}

func sendGridSays(status int, field, text string) answer {
	e := sendGridError{Message: text}
	if field != "" {
		e.Field = field
	}
	return answer{status: status, body: map[string][]sendGridError{"errors": {e}}}
}

func (f *SendGrid) read(p *parcel, body []byte) {
	wrong := func(field, text string) {
		if p.problem == nil { // the first one is told
			a := sendGridSays(http.StatusBadRequest, field, text)
			p.problem = &a
		}
	}
	type address struct{ Email, Name string }
	var in struct {
		Personalizations []struct {
			To, Cc, Bcc []address
			Subject     string
		}
		From        *address
		Subject     string
		Content     []struct{ Type, Value string }
		Attachments []struct{ Content, Filename, Type, Disposition string }
		Headers     map[string]string
	}
	if err := json.Unmarshal(body, &in); err != nil {
		wrong("", "Bad Request")
		return
	}
	p.content = newContent()
	if id := in.Headers["Message-ID"]; id != "" {
		// So that the log finds it where it is in other mails.
		p.content.head.WriteString("Message-Id: " + id + "\r\n\r\n")
	}
	_, _ = p.content.Write(body)
	if in.From != nil {
		p.from = in.From.Email
	}
	if len(in.Personalizations) == 0 {
		wrong("personalizations", "The personalizations field is required and must have at least one personalization.")
	}
	subject := in.Subject != ""
	for i, person := range in.Personalizations {
		if len(person.To) == 0 {
			wrong(fmt.Sprintf("personalizations.%d.to", i), "The to array is required for all personalization objects, and must have at least one email object with a valid email address.")
		}
		for _, field := range []struct {
			name string
			list []address
		}{{"to", person.To}, {"cc", person.Cc}, {"bcc", person.Bcc}} {
			for j, a := range field.list {
				if _, err := mail.ParseAddress(a.Email); err != nil || strings.ContainsAny(a.Email, "<>") {
					wrong(fmt.Sprintf("personalizations.%d.%s.%d.email", i, field.name, j), "Does not contain a valid address.")
				}
				p.to = append(p.to, a.Email)
			}
		}
		subject = subject || person.Subject != ""
	}
	switch {
	case len(p.to) > sendGridRecipients:
		wrong("personalizations", "Too many recipients.")
	case p.from == "":
		wrong("from", "The from object must be provided for every email send. It is an object that requires the email parameter, but may also contain a name parameter.  e.g. {\"email\" : \"example@example.com\"}  or {\"email\" : \"example@example.com\", \"name\" : \"Example Recipient\"}.")
	case !subject:
		wrong("subject", "The subject is required. You can get around this requirement if you use a template with a subject defined or if every personalization has a subject defined.")
	case len(in.Content) == 0:
		wrong("content", "Unless a valid template_id is provided, the content parameter is required. There must be at least one defined content block. We typically suggest both text/plain and text/html blocks are included, but only one block is required.")
	}
	for i, c := range in.Content {
		if c.Value == "" {
			wrong(fmt.Sprintf("content.%d.value", i), "The content value must be a string at least one character in length.")
		}
		if i > 0 && c.Type == "text/plain" {
			wrong("content", "If present, text/plain content must be first, followed by text/html content.")
		}
	}
	for i, a := range in.Attachments {
		if _, err := base64.StdEncoding.DecodeString(a.Content); err != nil || a.Content == "" {
			wrong(fmt.Sprintf("attachments.%d.content", i), "The attachment content must be base64 encoded.")
		}
		if a.Filename == "" {
			wrong(fmt.Sprintf("attachments.%d.filename", i), "The attachment filename is required.")
		}
	}
}

func (f *SendGrid) authFail() answer {
	return sendGridSays(http.StatusUnauthorized, "", "The provided authorization grant is invalid, expired, or revoked")
}

func (f *SendGrid) unverified(string) answer {
	return sendGridSays(http.StatusForbidden, "from", "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved. Visit https://sendgrid.com/docs/for-developers/sending-email/sender-identity/ to see the Sender Identity requirements")
}

func (f *SendGrid) throttled(until time.Time) answer {
	a := sendGridSays(http.StatusTooManyRequests, "", "too many requests")
	a.header = map[string]string{"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(until.Unix(), 10)}
	return a
}

func (f *SendGrid) tooLarge() answer {
	return sendGridSays(http.StatusRequestEntityTooLarge, "", "Payload too large")
}

func (f *SendGrid) refused(status int, text string) answer {
	field, text := cut(text)
	if text == "" {
		text = http.StatusText(status)
	}
	return sendGridSays(status, field, text)
}

func (f *SendGrid) newID() string { return newID()[:22] }

func (f *SendGrid) accepted(id string) answer {
	return answer{status: http.StatusAccepted, header: map[string]string{"X-Message-Id": id}}
}
