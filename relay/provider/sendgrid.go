package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"restante/relay"
)

// SendGridOptions configures [NewSendGrid].
type SendGridOptions struct {
	HTTPOptions
	Key string
	EU  bool // the account is in Europe
}

// A SendGrid sends mail through version 3 of SendGrid's interface. That takes no message
// as it is, but its parts as JSON: so a mail is taken only where nothing that matters is
// lost, and is BadMessage, unasked, otherwise. The smarthost, preset sendgrid-smtp, takes the rest.
type SendGrid struct {
	*endpoint
	opts SendGridOptions
}

var _ relay.Provider = (*SendGrid)(nil)

// sendGridMost is the most octets of a message. It is taken apart in memory.
const sendGridMost = 10 << 20

// NewSendGrid returns a provider that connects when there is something to send.
func NewSendGrid(o SendGridOptions) (*SendGrid, error) {
	if o.Key == "" {
		return nil, errors.New("provider: SendGrid needs a key")
	}
	base := "https://api.sendgrid.com"
	if o.EU {
		base = "https://api.eu.sendgrid.com"
	}
	limits := relay.Limits{Octets: sendGridMost, Recipients: 1000, NoUTF8: true, Reassembles: true}
	return &SendGrid{newEndpoint(o.HTTPOptions, base, limits, sendGridHTTP), o}, nil
}

// sendGridHTTP is from the description of the interface; the detail is the field.
var sendGridHTTP = []rule{
	{text: "maximum credits exceeded", result: relay.Throttled, pause: time.Hour},
	{code: 429, result: relay.Throttled, pause: time.Second},
	{code: 400, detail: "personalizations.*.to*.email", result: relay.BadRecipient},
	{code: 400, detail: "personalizations.*.bcc*.email", result: relay.BadRecipient},
	{code: 400, detail: "personalizations.*.cc*.email", result: relay.BadRecipient},
	{text: "verified sender identity", result: relay.AccountFault, ofSender: true},
	{code: 400, result: relay.BadMessage},
	{code: 401, result: relay.AccountFault},
	{code: 403, result: relay.AccountFault},
	{code: 404, result: relay.AccountFault},
	{code: 413, result: relay.BadMessage},
}

func (p *SendGrid) authorise(r *http.Request) { r.Header.Set("Authorization", "Bearer "+p.opts.Key) }

// Send makes one request. Since the recipients that people see are those that get the
// mail, it is for all recipients or for none.
func (p *SendGrid) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	return all(len(m.Recipients), p.send(ctx, m))
}

func (p *SendGrid) send(ctx context.Context, m relay.Mail) relay.Outcome {
	if m.Submission.Octets > p.limits.Octets {
		return badMessage("5.3.4", textTooLarge)
	}
	text, err := p.convert(ctx, m)
	var lossy lossyError
	switch {
	case errors.As(err, &lossy):
		return badMessage("5.6.3", oneLine("the next hop would lose "+lossy.what))
	case err != nil:
		return transport(textContent)
	}
	said, o := p.post(ctx, request{
		url: p.base + "/v3/mail/send", contentType: "application/json", authorise: p.authorise,
		length: int64(len(text)),
		open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(text)), nil
		},
	}, m.Commit)
	switch {
	case said == nil:
		return o
	case said.status == http.StatusAccepted:
		return relay.Outcome{Result: relay.Success, Code: said.status, RemoteID: oneLine(said.header.Get("X-Message-Id"))}
	case said.status/100 == 2:
		return ambiguous(fmt.Sprintf("an answer that is not SendGrid's: %d", said.status))
	}
	o = p.refusedSendGrid(said)
	if o.Result == relay.BadRecipient && len(m.Recipients) > 1 {
		o.Result = relay.BadMessage // a smarthost can tell them apart
	}
	return o
}

func (p *SendGrid) refusedSendGrid(said *response) relay.Outcome {
	var in struct {
		Errors []struct{ Message, Field string }
	}
	_ = json.Unmarshal(said.body, &in) // without errors the status speaks
	if len(in.Errors) == 0 {
		return p.refused(said, "", "")
	}
	return p.refused(said, in.Errors[0].Field, in.Errors[0].Message)
}

func (p *SendGrid) convert(ctx context.Context, m relay.Mail) ([]byte, error) {
	content, err := open(ctx, m)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	out, err := toJSON(text, m)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// Probe asks what the key may do.
func (p *SendGrid) Probe(ctx context.Context) relay.Outcome {
	said, o := p.get(ctx, "/v3/scopes", p.authorise)
	if said == nil {
		return o
	}
	if said.status != http.StatusOK {
		return p.refusedSendGrid(said)
	}
	var in struct{ Scopes []string }
	if err := json.Unmarshal(said.body, &in); err != nil {
		return relay.Outcome{Result: relay.Temporary, Code: said.status, Text: "an answer that is not SendGrid's"}
	}
	if !slices.Contains(in.Scopes, "mail.send") {
		return relay.Outcome{Result: relay.AccountFault, Code: said.status, Text: "the key may not send mail"}
	}
	return relay.Outcome{Result: relay.Success, Code: said.status}
}
