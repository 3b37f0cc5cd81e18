package rest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/mailbox"
	"restante/temporary"
)

// A Mailbox is what everybody who knows its address may see of a mailbox.
type Mailbox struct {
	Email    string    `json:"email" example:"mfrggzdfmztwq2lknnwg23tpoa@temp.example.org"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires" doc:"when it ends, and all its mail with it"`
	Messages int       `json:"messages" doc:"how many there are"`
}

// A NewMailbox is a mailbox with what is told only once.
type NewMailbox struct {
	Email    string    `json:"email" example:"mfrggzdfmztwq2lknnwg23tpoa@temp.example.org"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires" doc:"when it ends, and all its mail with it"`
	Password string    `json:"password" doc:"for POP3, with the address as the user; it is not told again"`
}

// A wish is what may be wished of a new mailbox.
type wish struct {
	LocalPart string `json:"local_part,omitempty" nullable:"true" maxLength:"64" doc:"what stands before the @; random, if absent" example:"fred"`
	Domain    string `json:"domain,omitempty" nullable:"true" maxLength:"255" doc:"one of those for temporary mailboxes; the first of them, if absent"`
	TTL       *int64 `json:"ttl,omitempty" nullable:"true" doc:"seconds until it ends"`
}

type (
	createInput struct {
		Body *wish
	}
	createOutput struct {
		Location string `header:"Location"`
		Body     NewMailbox
	}
	mailboxInput struct {
		Email string `path:"email" example:"fred@temp.example.org"`
	}
	mailboxOutput struct{ Body Mailbox }
	removeInput   struct {
		Email  string `path:"email" example:"fred@temp.example.org"`
		Compat string `query:"compat" enum:"0,1" doc:"1: answer 200 with the mailbox, for clients of older services"`
		Prefer string `header:"Prefer" doc:"return=representation: the same (RFC 7240)"`
	}
	removeOutput struct {
		Status  int
		Applied string `header:"Preference-Applied"`
		Body    *Mailbox
	}
)

const (
	mailboxPath  = "/mailboxes/{email}"
	messagesPath = mailboxPath + "/messages"
	messagePath  = messagesPath + "/{id}"
)

func (p *public) mailboxes() {
	tags := []string{"mailboxes"}
	register(p.api, huma.Operation{
		OperationID: "create-mailbox", Method: http.MethodPost, Path: "/mailboxes", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary:     "Make a mailbox",
		Description: "Without a body it has a random address that nobody can guess. An address that was in use before never shows old mail.",
		Errors:      []int{http.StatusConflict, http.StatusUnsupportedMediaType, http.StatusTooManyRequests, http.StatusInsufficientStorage},
	}, shortTimeout, p.createMailbox)
	register(p.api, huma.Operation{
		OperationID: "get-mailbox", Method: http.MethodGet, Path: mailboxPath, Tags: tags,
		Summary: "Look at a mailbox", Errors: []int{http.StatusNotFound},
	}, shortTimeout, p.getMailbox)
	register(p.api, huma.Operation{
		OperationID: "remove-mailbox", Method: http.MethodDelete, Path: mailboxPath, Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Remove a mailbox and its mail", Errors: []int{http.StatusNotFound},
		Responses: map[string]*huma.Response{"200": {
			Description: "Removed, where a representation was asked for",
			Content:     map[string]*huma.MediaType{"application/json": {Schema: p.schema(Mailbox{})}},
		}},
	}, longTimeout, p.removeMailbox)
	// The framework thinks that what may have a body always has one.
	p.api.OpenAPI().Paths[mailboxPath].Delete.Responses["204"].Content = nil
}

func (p *public) createMailbox(ctx context.Context, in *createInput) (*createOutput, error) {
	r := temporary.Request{}
	if in.Body != nil {
		var err error
		if r, err = in.Body.request(); err != nil {
			return nil, err
		}
	}
	if wait := p.creations.take(clientOf(ctx)); wait > 0 {
		return nil, tooMany("too-many-mailboxes", "too many mailboxes were made from there, try again later", wait)
	}
	m, err := p.Mailboxes.Create(ctx, r)
	switch {
	case errors.Is(err, mailbox.ErrExists):
		return nil, problem(http.StatusConflict, "mailbox-exists", "somebody has a mailbox of that address")
	case errors.Is(err, temporary.ErrLife):
		return nil, errTTL
	case err != nil:
		return nil, err
	}
	return &createOutput{
		Location: prefixOf(ctx) + pathOf(m.Address),
		Body:     NewMailbox{Email: m.Address.String(), Created: m.Created, Expires: m.Expires, Password: m.Password},
	}, nil
}

var errTTL = problem(http.StatusUnprocessableEntity, "ttl-out-of-range", "ttl is not a number of seconds that a mailbox may live here")

// request is the wish in the words of package temporary.
func (w *wish) request() (temporary.Request, error) {
	r := temporary.Request{Local: w.LocalPart, Domain: w.Domain}
	if w.TTL != nil {
		if *w.TTL < 1 || *w.TTL > int64(math.MaxInt64/time.Second) {
			return r, errTTL
		}
		r.Life = time.Duration(*w.TTL) * time.Second
	}
	return r, nil
}

// pathOf is where a mailbox is.
func pathOf(a mailbox.Address) string { return "/mailboxes/" + url.PathEscape(a.String()) }

// mailbox finds the mailbox of a path.
func (p *public) mailbox(ctx context.Context, email string) (temporary.Mailbox, error) {
	address, err := mailbox.ParseAddress(email)
	if err != nil {
		return temporary.Mailbox{}, err
	}
	m, err := p.Mailboxes.Get(ctx, address)
	if errors.Is(err, mailbox.ErrNotFound) || errors.Is(err, mailbox.ErrNotLocal) {
		return m, errNoMailbox
	}
	return m, err
}

var errNoMailbox = problem(http.StatusNotFound, "mailbox-not-found", "there is no such mailbox, or it has ended")

func (p *public) getMailbox(ctx context.Context, in *mailboxInput) (*mailboxOutput, error) {
	m, err := p.mailbox(ctx, in.Email)
	if err != nil {
		return nil, err
	}
	body, err := p.counted(ctx, m)
	if err != nil {
		return nil, err
	}
	return &mailboxOutput{*body}, nil
}

// counted is a mailbox with the number of its messages.
func (p *public) counted(ctx context.Context, m temporary.Mailbox) (*Mailbox, error) {
	messages, err := p.Mailboxes.Newest(ctx, m, mailbox.MessageID{}, p.MaxShown)
	if err != nil {
		return nil, fmt.Errorf("count messages: %w", err)
	}
	return &Mailbox{Email: m.Address.String(), Created: m.Created, Expires: m.Expires, Messages: len(messages)}, nil
}

func (p *public) removeMailbox(ctx context.Context, in *removeInput) (*removeOutput, error) {
	m, err := p.mailbox(ctx, in.Email)
	if err != nil {
		return nil, err
	}
	out := &removeOutput{Status: http.StatusNoContent}
	preferred := preference(in.Prefer)
	if in.Compat == "1" || preferred == "return=representation" {
		out.Status = http.StatusOK
		if out.Body, err = p.counted(ctx, m); err != nil {
			return nil, err
		}
	}
	if err := p.Mailboxes.Remove(ctx, m.Address); err != nil {
		if errors.Is(err, mailbox.ErrNotFound) {
			err = errNoMailbox // somebody was quicker
		}
		return nil, err
	}
	out.Applied = preferred
	return out, nil
}

// preference is what a request prefers to have returned (RFC 7240, section 4.2), or
// nothing.
func preference(header string) string {
	for one := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "return") {
			continue
		}
		value, _, _ = strings.Cut(value, ";")
		switch value = strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`)); value {
		case "representation", "minimal":
			return "return=" + value
		}
		return ""
	}
	return ""
}
