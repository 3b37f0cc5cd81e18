package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"restante/relay"
)

// MailgunOptions configures [NewMailgun].
type MailgunOptions struct {
	HTTPOptions
	Domain string // that the account sends for
	Key    string
	EU     bool // the account is in Europe
}

// A Mailgun sends MIME messages as they are through Mailgun. Its reverse-path is one of
// Mailgun's own.
type Mailgun struct {
	*endpoint
	opts MailgunOptions
}

var _ relay.Provider = (*Mailgun)(nil)

// NewMailgun returns a provider that connects when there is something to send.
func NewMailgun(o MailgunOptions) (*Mailgun, error) {
	if o.Domain == "" || o.Key == "" {
		return nil, errors.New("provider: Mailgun needs a domain and a key")
	}
	base := "https://api.mailgun.net"
	if o.EU {
		base = "https://api.eu.mailgun.net"
	}
	return &Mailgun{newEndpoint(o.HTTPOptions, base, relay.Limits{Octets: 25 << 20, Recipients: 1000}, mailgunHTTP), o}, nil
}

// mailgunHTTP is the table of its manual.
var mailgunHTTP = []rule{
	{code: 420, result: relay.Throttled, pause: time.Minute}, // seen instead of 429
	{code: 429, result: relay.Throttled, pause: time.Minute},
	{text: "limit exceeded, try again", result: relay.Throttled, pause: time.Minute},
	{text: "not allowed to send large batches", result: relay.Throttled, pause: time.Hour},
	{code: 400, text: "not allowed to send", result: relay.AccountFault},
	{code: 400, text: "is not a valid address", result: relay.BadRecipient},
	{code: 400, result: relay.BadMessage},
	{code: 401, result: relay.AccountFault},
	{code: 402, result: relay.AccountFault},
	{code: 403, result: relay.AccountFault},
	{code: 404, result: relay.AccountFault}, // the domain, or the wrong part of the world
	{code: 413, result: relay.BadMessage},
}

func (p *Mailgun) authorise(r *http.Request) { r.SetBasicAuth("api", p.opts.Key) }

// Send makes one request, or more where a recipient is refused.
func (p *Mailgun) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	return split(m, asOne(func(m relay.Mail) relay.Outcome { return p.send(ctx, m) }))
}

func (p *Mailgun) send(ctx context.Context, m relay.Mail) relay.Outcome {
	// The parts before the content, and what ends the last one.
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	for _, r := range m.Recipients {
		_ = parts.WriteField("to", m.Submission.Recipients[r].String()) // a Buffer takes it
	}
	_ = parts.WriteField("o:tracking", "no")
	_, _ = parts.CreateFormFile("message", "message.eml")
	head := bytes.Clone(form.Bytes())
	form.Reset()
	_ = parts.Close()
	tail := form.Bytes()

	said, o := p.post(ctx, request{
		url:         p.base + "/v3/" + url.PathEscape(p.opts.Domain) + "/messages.mime",
		contentType: parts.FormDataContentType(),
		authorise:   p.authorise,
		length:      int64(len(head)) + m.Submission.Octets + int64(len(tail)),
		open: func(ctx context.Context) (io.ReadCloser, error) {
			content, err := open(ctx, m)
			if err != nil {
				return nil, err
			}
			return readCloser{io.MultiReader(bytes.NewReader(head), content, bytes.NewReader(tail)), content}, nil
		},
	}, m.Commit)
	if said == nil {
		return o
	}
	var in struct{ ID, Message string }
	err := json.Unmarshal(said.body, &in)
	switch {
	case said.status != http.StatusOK:
		if err != nil {
			in.Message = string(said.body)
		}
		return p.refused(said, "", in.Message)
	case err == nil && in.ID != "":
		return relay.Outcome{Result: relay.Success, Code: said.status, Text: oneLine(in.Message), RemoteID: oneLine(in.ID)}
	case !said.cut && strings.Contains(string(said.body), "Magnificent"):
		// What it answers to a path that it does not know.
		return relay.Outcome{Result: relay.AccountFault, Code: said.status, Text: "not the URL of Mailgun's interface: " + oneLine(string(said.body))}
	}
	return ambiguous("an answer that is not Mailgun's")
}

// readCloser reads from one and closes another.
type readCloser struct {
	io.Reader
	io.Closer
}

// Probe asks for the state of the domain.
func (p *Mailgun) Probe(ctx context.Context) relay.Outcome {
	said, o := p.get(ctx, "/v3/domains/"+url.PathEscape(p.opts.Domain), p.authorise)
	if said == nil {
		return o
	}
	var in struct {
		Message string
		Domain  struct{ State string }
	}
	err := json.Unmarshal(said.body, &in)
	switch {
	case said.status != http.StatusOK:
		return p.refused(said, "", in.Message)
	case err != nil || in.Domain.State == "":
		return relay.Outcome{Result: relay.AccountFault, Code: said.status, Text: "not the URL of Mailgun's interface"}
	case in.Domain.State != "active":
		return relay.Outcome{Result: relay.AccountFault, Code: said.status, Text: oneLine(fmt.Sprintf("domain %s is %s", p.opts.Domain, in.Domain.State))}
	}
	return relay.Outcome{Result: relay.Success, Code: said.status}
}
