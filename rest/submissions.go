package rest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/auth"
	"restante/internal/dotline"
	"restante/mailbox"
	"restante/relay"
)

// SubmissionOptions is what [Public] takes mail of users by. What is not said to be
// optional must be there.
type SubmissionOptions struct {
	Verifier auth.Verifier
	Router   Router
	Intake   Intake
	Hostname string // in the Received field

	MaxMessage    int64 // octets; 0: 10 MiB
	MaxRecipients int   // of a message; 0: 1000
	InsecureAuth  bool  // passwords are taken without TLS
}

// A Router says who receives mail for an address. mailbox.Directory is one.
type Router interface {
	// Resolve is every maildrop behind a path. It fails with mailbox.ErrNotLocal,
	// ErrNotFound, ErrTooFar or ErrUnavailable.
	Resolve(ctx context.Context, a mailbox.Address) ([]mailbox.Recipient, error)
}

// An Intake takes what users submit. relay.Intake is one.
type Intake interface {
	Submit(ctx context.Context, l relay.Letter, content io.Reader) (mailbox.MessageID, error)
}

const (
	submissionsPath      = "/submissions"
	defaultMaxSubmission = 10 << 20
	defaultMaxRecipients = 1000
	// maxMaildrops bounds what the aliases of one message may lead to.
	maxMaildrops = 10_000
	// maxHops is how many Received fields a message may have (RFC 5321, section 6.3).
	maxHops = 100
)

// Submitted is the answer to a message that was taken.
type Submitted struct {
	ID string `json:"id" format:"uuid" doc:"what the server calls the message"`
}

type (
	submitInput struct {
		From        string   `query:"from" example:"fred@example.org" doc:"reverse-path; the Sender or author of the message, if absent"`
		To          []string `query:"to,explode" nullable:"false" example:"[\"ann@example.com\"]" doc:"forward-paths, each as a parameter of its own; those of To, Cc and Bcc, if absent"`
		Class       string   `query:"class" enum:"normal,high,bulk" default:"normal" doc:"how urgent it is: high for what somebody waits for, bulk for newsletters"`
		Key         string   `header:"Idempotency-Key" maxLength:"255" doc:"a repeat with the same key within a day is the same message"`
		ContentType string   `header:"Content-Type" hidden:"true"`
		RawBody     []byte   `contentType:"message/rfc822" required:"true"`
	}
	submitOutput struct{ Body Submitted }
)

func (p *public) submissions() {
	p.api.OpenAPI().Components.SecuritySchemes["account"] = &huma.SecurityScheme{Type: "http", Scheme: "basic", Description: "Address and password of an account."}
	register(p.api, huma.Operation{
		OperationID: "submit", Method: http.MethodPost, Path: submissionsPath, Tags: []string{"submissions"}, DefaultStatus: http.StatusAccepted,
		Summary: "Send a message",
		Description: "To anybody, as SMTP submission does (RFC 6409): Message-ID and Date are added where they are missing, and Bcc is removed. " +
			"When it is answered, the message is durable for all recipients or for none. Passwords are taken under TLS only, or on the machine itself.",
		Security: []map[string][]string{{"account": {}}},
		Errors: []int{
			http.StatusForbidden, http.StatusConflict, http.StatusUnsupportedMediaType, http.StatusInsufficientStorage,
		},
	}, longTimeout, p.submit)
}

// withDefaults fills in what was left out.
func (o SubmissionOptions) withDefaults() *SubmissionOptions {
	o.MaxMessage = cmp.Or(o.MaxMessage, defaultMaxSubmission)
	o.MaxRecipients = cmp.Or(o.MaxRecipients, defaultMaxRecipients)
	return &o
}

// authenticate finds out whose message a request has (RFC 7617), before the message is
// read.
func (p *public) authenticate(w http.ResponseWriter, r *http.Request, from netip.Addr) (*auth.Identity, *huma.ErrorModel) {
	if r.TLS == nil && !p.Submissions.InsecureAuth {
		return nil, problem(http.StatusForbidden, "tls-required", "passwords are taken under TLS only")
	}
	ctx, cancel := context.WithTimeout(r.Context(), shortTimeout)
	defer cancel()
	err := auth.ErrCredentials
	if user, password, ok := r.BasicAuth(); ok {
		var who auth.Identity
		if who, err = p.Submissions.Verifier.Verify(ctx, auth.Attempt{User: user, Password: password, Remote: from}); err == nil {
			if who.Maildrop.Temporary() { // which anybody can make, and would send to anybody by
				return nil, problem(http.StatusForbidden, "account-required", "temporary mailboxes receive only")
			}
			return &who, nil
		}
	}
	if errors.Is(err, auth.ErrCredentials) {
		w.Header().Set("WWW-Authenticate", `Basic realm="restante", charset="UTF-8"`)
		return nil, problem(http.StatusUnauthorized, "credentials-required", "address and password of an account are missing or wrong")
	}
	return nil, refusalOf(ctx, w, p.Log, fmt.Errorf("verify password: %w", err))
}

func (p *public) submit(ctx context.Context, in *submitInput) (*submitOutput, error) {
	who := visitOf(ctx).account
	if who == nil {
		return nil, errors.New("rest: a submission by nobody") // the guard lets none through
	}
	if kind, _, err := mime.ParseMediaType(in.ContentType); err != nil || kind != rfc822Type {
		return nil, problem(http.StatusUnsupportedMediaType, "unsupported-media-type", "a submission is message/rfc822")
	}
	end, known, err := p.repeats.begin(who.Address, in.Key, in.fingerprint())
	if err != nil {
		return nil, err
	}
	defer func() { end(known) }()
	if known.IsZero() {
		if known, err = p.takeIn(ctx, who, in); err != nil {
			return nil, err
		}
	}
	return &submitOutput{Submitted{known.String()}}, nil
}

// fingerprint tells one submission from another.
func (in *submitInput) fingerprint() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, s := range append([]string{in.Class, in.From}, in.To...) {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	binary.Write(h, binary.BigEndian, int64(len(in.RawBody))) //nolint:errcheck // never fails
	h.Write(in.RawBody)
	return [sha256.Size]byte(h.Sum(nil))
}

// takeIn takes a message in. It returns the zero id where it fails.
func (p *public) takeIn(ctx context.Context, who *auth.Identity, in *submitInput) (mailbox.MessageID, error) {
	content, err := io.ReadAll(dotline.NewReader(bytes.NewReader(in.RawBody)))
	if err != nil {
		return mailbox.MessageID{}, err
	}
	m, err := readSubmission(content)
	if err != nil {
		return mailbox.MessageID{}, err
	}
	l, err := p.envelope(ctx, who, in, m)
	if err != nil {
		return mailbox.MessageID{}, err
	}
	id, err := p.Submissions.Intake.Submit(ctx, l, io.MultiReader(bytes.NewReader(p.received(ctx)), bytes.NewReader(content)))
	switch {
	case errors.Is(err, relay.ErrHeader):
		err = problem(http.StatusUnprocessableEntity, "header-too-large", fmt.Sprintf("the header of a message is at most %d octets", relay.MaxHeader))
	case errors.Is(err, relay.ErrBatch):
		err = errManyRecipients
	case err == nil:
		p.Log.Info("message submitted", "session", requestID(ctx), "message", id, "account", who.Address.String(), "recipients", len(l.Recipients), "octets", len(content))
		return id, nil
	}
	return mailbox.MessageID{}, err
}

var errManyRecipients = problem(http.StatusUnprocessableEntity, "too-many-recipients", "a message has fewer recipients")

// envelope is who the message is from and for: as the request says, or else the message.
func (p *public) envelope(ctx context.Context, who *auth.Identity, in *submitInput, m *submission) (l relay.Letter, err error) {
	l = relay.Letter{Account: who.Address, UTF8: m.utf8, Class: classNamed(in.Class)}
	if l.From, err = m.sender(in.From); err != nil {
		return l, err
	}
	if err := p.mayUse(ctx, who, l.From); err != nil {
		return l, err
	}
	to, err := m.recipients(in.To)
	switch {
	case err != nil:
		return l, err
	case len(to) == 0:
		return l, problem(http.StatusUnprocessableEntity, "no-recipients", "neither the request nor the message says for whom it is")
	case len(to) > p.Submissions.MaxRecipients:
		return l, errManyRecipients
	}
	maildrops := 0
	for _, a := range to {
		behind, err := p.Submissions.Router.Resolve(ctx, a)
		switch {
		case errors.Is(err, mailbox.ErrNotLocal):
			behind = nil
		case errors.Is(err, mailbox.ErrNotFound):
			return l, problem(http.StatusUnprocessableEntity, "recipient-unknown", "nobody here has the address "+a.String())
		case err != nil:
			return l, fmt.Errorf("resolve recipient %s: %w", a, err)
		}
		if maildrops += len(behind); maildrops > maxMaildrops {
			return l, errManyRecipients
		}
		l.Recipients = append(l.Recipients, relay.Addressee{Address: a, Maildrops: behind})
		l.UTF8 = l.UTF8 || !a.IsASCII()
	}
	l.UTF8 = l.UTF8 || !l.From.IsASCII()
	return l, nil
}

func classNamed(name string) relay.Class {
	for class, n := range classes {
		if n == name {
			return class
		}
	}
	return relay.Normal
}

// mayUse holds a user to reverse-paths that lead back to him: his address, with any
// detail, and aliases he is behind (RFC 6409, section 6.1).
func (p *public) mayUse(ctx context.Context, who *auth.Identity, from mailbox.Address) error {
	if from.Canonical() == who.Address {
		return nil
	}
	mine, err := mailbox.LeadsTo(ctx, p.Submissions.Router, from, who.Maildrop)
	switch {
	case err != nil:
		return err
	case !mine:
		return problem(http.StatusForbidden, "sender-not-yours", "this sender address does not belong to the account")
	}
	return nil
}

// received is the trace field that every server adds (RFC 5321, section 4.4).
func (p *public) received(ctx context.Context) []byte {
	from := "unknown"
	if remote := visitOf(ctx).remote; remote.Is4() {
		from = "[" + remote.String() + "]"
	} else if remote.IsValid() {
		from = "[IPv6:" + remote.WithZone("").String() + "]"
	}
	return fmt.Appendf(nil, "Received: from %s\r\n\tby %s (Restante) with HTTP id %s;\r\n\t%s\r\n",
		from, p.Submissions.Hostname, requestID(ctx), time.Now().Format("Mon, 2 Jan 2006 15:04:05 -0700"))
}
