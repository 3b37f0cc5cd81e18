package fake

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"time"
)

// MailgunOptions configures [NewMailgun].
type MailgunOptions struct {
	Domain string // the one that it sends for
	Key    string // the password of the user "api"
}

// A Mailgun takes MIME messages as Mailgun does:
//
//	POST /v3/{domain}/messages.mime
//	GET /v3/domains/{domain}
type Mailgun struct {
	*Control
	opts MailgunOptions
	mux  *http.ServeMux
}

// Limits of Mailgun.
const (
	mailgunRequest    = 524 << 20 / 10
	mailgunMessage    = 25 << 20
	mailgunRecipients = 1000
	fieldMost         = 64 << 10
)

// NewMailgun returns a Mailgun.
func NewMailgun(o MailgunOptions) *Mailgun {
	f := &Mailgun{Control: newControl(), opts: o, mux: http.NewServeMux()}
	f.mux.Handle("/_ctl", f.Control)
	f.mux.Handle("/_log", f.Control)
	f.mux.Handle("/_stats", f.Control)
	f.mux.HandleFunc("POST /v3/{domain}/messages.mime", f.send)
	f.mux.HandleFunc("GET /v3/domains/{domain}", f.domain)
	f.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		// What the real one says to a wrong path, with this very status.
		answer{status: http.StatusOK, body: "Mailgun Magnificent API"}.write(w)
	})
	return f
}

func (f *Mailgun) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

func (f *Mailgun) stranger(r *http.Request) bool {
	user, key, _ := r.BasicAuth()
	return user != "api" || key != f.opts.Key
}

func (f *Mailgun) domain(w http.ResponseWriter, r *http.Request) {
	good := answer{status: http.StatusOK, body: map[string]any{"domain": map[string]any{"name": f.opts.Domain, "state": "active"}}}
	if r.PathValue("domain") != f.opts.Domain {
		good = mailgunSays(http.StatusNotFound, "Domain not found")
	} else if f.now("").kind == unverified {
		answer{status: http.StatusOK, body: map[string]any{"domain": map[string]any{"name": f.opts.Domain, "state": "unverified"}}}.write(w)
		return
	}
	f.probe(w, r, f, f.stranger(r), good)
}

func (f *Mailgun) send(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, mailgunRequest)
	p := f.read(r)
	p.stranger = f.stranger(r)
	f.hand(w, r, f, p)
}

func (f *Mailgun) read(r *http.Request) (p parcel) {
	wrong := func(status int, text string) { a := mailgunSays(status, text); p.problem = &a }
	if r.PathValue("domain") != f.opts.Domain {
		wrong(http.StatusNotFound, "Domain not found: "+r.PathValue("domain"))
		_, p.err = io.Copy(io.Discard, r.Body)
		return p
	}
	p.from = "bounce@" + f.opts.Domain // it has reverse-paths of its own
	parts, err := r.MultipartReader()
	if err != nil {
		wrong(http.StatusBadRequest, "malformed multipart/form-data request")
		return p
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.err = err
			return p
		}
		if p.err = f.part(&p, part); p.err != nil {
			return p
		}
	}
	switch {
	case len(p.to) == 0:
		wrong(http.StatusBadRequest, "to parameter is missing")
	case len(p.to) > mailgunRecipients:
		wrong(http.StatusBadRequest, fmt.Sprintf("Too many recipients, max is %d", mailgunRecipients))
	case p.content == nil:
		wrong(http.StatusBadRequest, "'message' parameter is not a file")
	case p.content.octets > mailgunMessage:
		a := f.tooLarge()
		p.problem = &a
	default:
		for _, to := range p.to {
			if _, err := mail.ParseAddress(to); err != nil {
				wrong(http.StatusBadRequest, "to parameter is not a valid address. please check documentation")
			}
		}
	}
	return p
}

// part reads a part of the form. The error is one of the connection.
func (f *Mailgun) part(p *parcel, part *multipart.Part) error {
	switch {
	case part.FormName() == "message" && part.FileName() != "":
		p.content = newContent()
		_, err := io.Copy(p.content, part)
		return err
	case part.FormName() == "to":
		value, err := io.ReadAll(io.LimitReader(part, fieldMost))
		if err != nil {
			return err
		}
		for to := range strings.SplitSeq(string(value), ",") {
			p.to = append(p.to, strings.TrimSpace(to))
		}
	}
	_, err := io.Copy(io.Discard, part)
	return err
}

func mailgunSays(status int, text string) answer {
	return answer{status: status, body: map[string]string{"message": text}}
}

func (f *Mailgun) authFail() answer {
	return answer{status: http.StatusUnauthorized, body: "Forbidden"}
}

func (f *Mailgun) unverified(string) answer {
	return mailgunSays(http.StatusBadRequest, "Domain "+f.opts.Domain+" is not allowed to send: The domain is unverified and requires DNS configuration. Log in to your control panel to view required DNS records.")
}

func (f *Mailgun) throttled(until time.Time) answer {
	a := mailgunSays(http.StatusTooManyRequests, "Domain "+f.opts.Domain+" is not allowed to send: request limit exceeded, try again after "+until.UTC().Format(time.RFC1123))
	a.header = map[string]string{"X-RateLimit-Reset": strconv.FormatInt(until.Unix(), 10)}
	return a
}

func (f *Mailgun) tooLarge() answer {
	return mailgunSays(http.StatusRequestEntityTooLarge, "request size exceeds 52.4MiB limit")
}

func (f *Mailgun) refused(status int, text string) answer {
	if text == "" {
		text = http.StatusText(status)
	}
	return mailgunSays(status, text)
}

func (f *Mailgun) newID() string { return "<" + newID() + "@" + f.opts.Domain + ">" }

func (f *Mailgun) accepted(id string) answer {
	return answer{status: http.StatusOK, body: map[string]string{"id": id, "message": "Queued. Thank you."}}
}
