package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"restante/relay"
	"restante/relay/internal/sigv4"
)

// SESOptions configures [NewSES].
type SESOptions struct {
	HTTPOptions
	Region        string // as in "eu-west-1"
	KeyID, Secret string // of a key that may call ses:SendRawEmail and ses:GetAccount
	Configuration string // name of a configuration set; may be empty

	// Feedback has bounces go to the reverse-path, whose domain must then be verified too.
	// Otherwise they go to the Return-Path or From of the header.
	Feedback bool
}

// An SES sends raw messages through version 2 of the interface of Amazon SES. That puts
// a Message-ID and a Date of its own in their place.
type SES struct {
	*endpoint
	opts SESOptions
}

var _ relay.Provider = (*SES)(nil)

// sesMessage is the most octets of a message in base64.
const sesMessage = 40 << 20

// NewSES returns a provider that connects when there is something to send.
func NewSES(o SESOptions) (*SES, error) {
	if o.Region == "" || o.KeyID == "" || o.Secret == "" {
		return nil, errors.New("provider: Amazon SES needs a region and a key")
	}
	limits := relay.Limits{Octets: sesMessage / 4 * 3, Recipients: 50, NoUTF8: true}
	return &SES{newEndpoint(o.HTTPOptions, "https://email."+o.Region+".amazonaws.com", limits, sesHTTP), o}, nil
}

// sesHTTP is from the model of the interface, and what all of Amazon's have in common; the
// detail is the kind of error. A request that is too old or too new is none of the mail's:
// a clock is wrong, or it was long on its way.
var sesHTTP = []rule{
	{text: "daily message quota exceeded", result: relay.Throttled, pause: time.Hour},
	{detail: "LimitExceededException", result: relay.Throttled, pause: time.Hour},
	{text: "maximum sending rate exceeded", result: relay.Throttled, pause: time.Second},
	{detail: "Throttling*", result: relay.Throttled, pause: time.Second},
	{code: 429, result: relay.Throttled, pause: time.Second},
	{detail: "RequestExpired", result: relay.Temporary},
	{text: "signature expired|signature not yet current", result: relay.Temporary},
	{text: "not verified", result: relay.AccountFault, ofSender: true},
	{detail: "MailFromDomainNotVerifiedException", result: relay.AccountFault, ofSender: true},
	{detail: "AccessDenied*", result: relay.AccountFault, ofSender: true}, // to the identity perhaps
	{detail: "AccountSuspendedException", result: relay.AccountFault},
	{detail: "SendingPausedException", result: relay.AccountFault},
	{detail: "NotAuthorized", result: relay.AccountFault},
	{detail: "IncompleteSignature*", result: relay.AccountFault},
	{detail: "SignatureDoesNotMatch*", result: relay.AccountFault},
	{detail: "InvalidClientTokenId*", result: relay.AccountFault},
	{detail: "MissingAuthenticationToken*", result: relay.AccountFault},
	{detail: "UnrecognizedClient*", result: relay.AccountFault},
	{detail: "ExpiredToken*", result: relay.AccountFault},
	{code: 401, result: relay.AccountFault},
	{code: 403, result: relay.AccountFault},
	{code: 404, result: relay.AccountFault}, // the configuration set
	{detail: "MessageRejected", result: relay.BadMessage},
	{detail: "BadRequestException", text: "final '@domain'", result: relay.BadRecipient},
	{detail: "BadRequestException", text: "domain contains", result: relay.BadRecipient},
	{detail: "BadRequestException", text: "local address contains", result: relay.BadRecipient},
	{detail: "BadRequestException", text: "invalid email address", result: relay.BadRecipient},
	{detail: "BadRequestException", result: relay.BadMessage},
	{code: 413, result: relay.BadMessage},
}

func (p *SES) authorise(sum [sha256.Size]byte) func(*http.Request) {
	c := sigv4.Credentials{KeyID: p.opts.KeyID, Secret: p.opts.Secret, Region: p.opts.Region, Service: "ses"}
	return func(r *http.Request) { sigv4.Sign(r, sum, c, time.Now()) }
}

// Send makes one request, or more where a recipient is refused.
func (p *SES) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	if m.Submission.UTF8 {
		return all(len(m.Recipients), badMessage("5.6.7", textNoUTF8))
	}
	return split(m, asOne(func(m relay.Mail) relay.Outcome { return p.send(ctx, m) }))
}

func (p *SES) send(ctx context.Context, m relay.Mail) relay.Outcome {
	type envelope struct {
		Destination                    struct{ ToAddresses []string }
		FeedbackForwardingEmailAddress string `json:",omitempty"`
		ConfigurationSetName           string `json:",omitempty"`
		Content                        struct{ Raw struct{ Data string } }
	}
	// Without FromEmailAddress, which would change the From of the header.
	e := envelope{ConfigurationSetName: p.opts.Configuration}
	for _, r := range m.Recipients {
		e.Destination.ToAddresses = append(e.Destination.ToAddresses, m.Submission.Recipients[r].String())
	}
	if p.opts.Feedback {
		e.FeedbackForwardingEmailAddress = m.Submission.From.String()
	}
	text, err := json.Marshal(e)
	if err != nil {
		return badMessage("", "the envelope cannot be written")
	}
	// Content is the last field: its data goes before the quote.
	const end = `"}}}`
	head, tail := text[:len(text)-len(end)], text[len(text)-len(end):]
	q := request{
		url: p.base + "/v2/email/outbound-emails", contentType: "application/json",
		length: int64(len(text)) + (m.Submission.Octets+2)/3*4,
		open: func(ctx context.Context) (io.ReadCloser, error) {
			content, err := open(ctx, m)
			if err != nil {
				return nil, err
			}
			return readCloser{io.MultiReader(bytes.NewReader(head), newEncoder(content), bytes.NewReader(tail)), content}, nil
		},
	}
	// The signature is over the whole, and comes before it: the content is read twice
	// rather than kept in memory.
	sum, err := sumOf(ctx, q)
	if err != nil {
		return transport(textContent)
	}
	q.authorise = p.authorise(sum)
	said, o := p.post(ctx, q, m.Commit)
	if said == nil {
		return o
	}
	var in struct{ MessageId, Message string } //nolint:revive // as it is written there
	err = json.Unmarshal(said.body, &in)
	switch {
	case said.status != http.StatusOK:
		return p.refused(said, kindOf(said), in.Message)
	case err != nil || in.MessageId == "":
		return ambiguous("an answer that is not that of Amazon SES")
	}
	return relay.Outcome{Result: relay.Success, Code: said.status, RemoteID: oneLine(in.MessageId)}
}

// kindOf is the kind of an error, without where it is defined.
func kindOf(said *response) string {
	kind, _, _ := strings.Cut(said.header.Get("x-amzn-ErrorType"), ":")
	return kind
}

func sumOf(ctx context.Context, q request) (sum [sha256.Size]byte, err error) {
	r, err := q.open(ctx)
	if err != nil {
		return sum, err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// An encoder reads another reader in base64.
type encoder struct {
	src  io.Reader
	raw  []byte
	text []byte
	left []byte // of text
	err  error
}

// encoderBlock is a multiple of three, so that only the last one is padded.
const encoderBlock = 24 << 10

func newEncoder(r io.Reader) *encoder {
	return &encoder{src: r, raw: make([]byte, encoderBlock), text: make([]byte, encoderBlock/3*4)}
}

func (e *encoder) Read(p []byte) (int, error) {
	for len(e.left) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		n, err := io.ReadFull(e.src, e.raw)
		switch e.err = err; err {
		case nil, io.EOF:
		case io.ErrUnexpectedEOF: // of ReadFull; those of a source are wrapped
			e.err = io.EOF
		default:
			return 0, err
		}
		e.left = e.text[:base64.StdEncoding.EncodedLen(n)]
		base64.StdEncoding.Encode(e.left, e.raw[:n])
	}
	n := copy(p, e.left)
	e.left = e.left[n:]
	return n, nil
}

// Probe asks for the state of the account and what is left of its quota.
func (p *SES) Probe(ctx context.Context) relay.Outcome {
	said, o := p.get(ctx, "/v2/email/account", p.authorise(sha256.Sum256(nil)))
	if said == nil {
		return o
	}
	var in struct {
		Message           string
		SendingEnabled    bool
		EnforcementStatus string
		SendQuota         struct{ Max24HourSend, SentLast24Hours float64 }
	}
	err := json.Unmarshal(said.body, &in)
	quota := in.SendQuota
	switch {
	case said.status != http.StatusOK:
		return p.refused(said, kindOf(said), in.Message)
	case err != nil:
		return relay.Outcome{Result: relay.Temporary, Code: said.status, Text: "an answer that is not that of Amazon SES"}
	case !in.SendingEnabled || in.EnforcementStatus == "SHUTDOWN":
		return relay.Outcome{Result: relay.AccountFault, Code: said.status, Text: "the account may not send, its state is " + oneLine(in.EnforcementStatus)}
	case quota.Max24HourSend > 0 && quota.SentLast24Hours >= quota.Max24HourSend:
		return relay.Outcome{
			Result: relay.Throttled, Code: said.status, Until: time.Now().Add(time.Hour),
			Text: fmt.Sprintf("%.0f of %.0f recipients in 24 hours", quota.SentLast24Hours, quota.Max24HourSend),
		}
	}
	return relay.Outcome{Result: relay.Success, Code: said.status}
}
