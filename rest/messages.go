package rest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/internal/dotline"
	"restante/letter"
	"restante/mailbox"
	"restante/temporary"
)

// A Message is a message as a person reads it.
type Message struct {
	ID          string       `json:"id" format:"uuid"`
	Sender      string       `json:"sender" example:"Alice <alice@example.org>"`
	Subject     string       `json:"subject"`
	Received    time.Time    `json:"received"`
	Sent        *time.Time   `json:"sent,omitempty" doc:"as the message says; absent, if it does not"`
	Size        int64        `json:"size" doc:"octets of the whole message"`
	Body        string       `json:"body" doc:"the text, made from the HTML where there is none"`
	HTML        string       `json:"html,omitempty" doc:"without scripts, forms and styles; what would be loaded from elsewhere stands in data-remote-src"`
	From        []string     `json:"from" nullable:"false"`
	To          []string     `json:"to" nullable:"false"`
	Cc          []string     `json:"cc,omitempty" nullable:"false"`
	ReplyTo     []string     `json:"reply_to,omitempty" nullable:"false"`
	MessageID   string       `json:"message_id,omitempty" doc:"what the sender's program gave it"`
	Attachments []Attachment `json:"attachments" nullable:"false"`
	Cut         bool         `json:"truncated,omitempty" doc:"there is more in the message than this; the source has it all"`
	Source      string       `json:"source" format:"uri-reference" doc:"where the message is as it came"`
}

// An Attachment is a part of a message that is no text to read.
type Attachment struct {
	Number      int    `json:"number"`
	Name        string `json:"name" example:"invoice.pdf"`
	ContentType string `json:"content_type" example:"application/pdf"`
	ContentID   string `json:"content_id,omitempty" doc:"what a cid: URL in the HTML names"`
	Size        int64  `json:"size" doc:"octets, decoded"`
	Inline      bool   `json:"inline" doc:"belongs into the HTML"`
	Href        string `json:"href" format:"uri-reference" doc:"where it is"`
}

// A draft is a message to post, in JSON.
type draft struct {
	Sender  string `json:"sender" minLength:"1" maxLength:"1000" example:"Alice <alice@example.org>"`
	Subject string `json:"subject,omitempty" nullable:"true" maxLength:"1000"`
	Body    string `json:"body,omitempty" nullable:"true"`
	Sent    string `json:"sent,omitempty" nullable:"true" maxLength:"64" doc:"date and time of RFC 3339; now, if absent" example:"2026-01-31T12:00:00Z"`
}

type (
	postInput struct {
		Email       string `path:"email" example:"fred@temp.example.org"`
		ContentType string `header:"Content-Type" hidden:"true"`
		RawBody     []byte `contentType:"message/rfc822"`
	}
	postOutput struct {
		Location string `header:"Location"`
		Body     Message
	}
	removeMessageInput struct {
		Email  string `path:"email" example:"fred@temp.example.org"`
		ID     string `path:"id" format:"uuid"`
		Compat string `query:"compat" enum:"0,1" doc:"has no effect here"`
		Prefer string `header:"Prefer" doc:"return=minimal: answer 204 (RFC 7240)"`
	}
	removed struct {
		ID      string `json:"id" format:"uuid"`
		Success bool   `json:"success"`
	}
	removeMessageOutput struct {
		Status  int
		Applied string `header:"Preference-Applied"`
		Body    *removed
	}
)

func (p *public) messages() {
	tags := []string{"messages"}
	register(p.api, huma.Operation{
		OperationID: "post-message", Method: http.MethodPost, Path: messagesPath, Tags: tags, DefaultStatus: http.StatusCreated,
		Summary:     "Put a message into a mailbox",
		Description: "Either a whole message, or what one is made from.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: p.schema(draft{})},
		}},
		SkipValidateBody: true, // post does it, for it depends on what it is
		Errors:           []int{http.StatusNotFound, http.StatusUnsupportedMediaType, http.StatusTooManyRequests, http.StatusInsufficientStorage},
	}, shortTimeout, p.post)
	register(p.api, huma.Operation{
		OperationID: "remove-message", Method: http.MethodDelete, Path: messagePath, Tags: tags,
		Summary: "Remove a message", Errors: []int{http.StatusNotFound},
		Responses: map[string]*huma.Response{"204": {Description: "Removed, where no representation was wanted"}},
	}, shortTimeout, p.removeMessage)
}

func (p *public) post(ctx context.Context, in *postInput) (*postOutput, error) {
	m, err := p.mailbox(ctx, in.Email)
	if err != nil {
		return nil, err
	}
	content, err := p.compose(m, in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	if wait := p.posts.take(clientOf(ctx)); wait > 0 {
		return nil, tooMany("too-many-messages", "too many messages were posted from there, try again later", wait)
	}
	// Who is told to try again must not have a message there that was delivered, so what
	// has to wait goes first.
	l, err := p.take(ctx, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	message, err := p.Mailboxes.Deliver(ctx, m, dotline.NewReader(bytes.NewReader(content)))
	if errors.Is(err, mailbox.ErrNotFound) {
		return nil, errNoMailbox
	}
	if err != nil {
		return nil, err
	}
	p.summaries.put(message.ID, glanceOf(l))
	body := messageOf(prefixOf(ctx)+pathOf(m.Address), message, l)
	return &postOutput{Location: messageURL(prefixOf(ctx)+pathOf(m.Address), message.ID), Body: body}, nil
}

// compose is the message that a request is about.
func (p *public) compose(m temporary.Mailbox, contentType string, body []byte) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case contentType == "" || err == nil && kind == "application/json":
	case err == nil && kind == "message/rfc822":
		return body, nil
	default:
		return nil, problem(http.StatusUnsupportedMediaType, "unsupported-media-type", "a message is message/rfc822 or application/json")
	}
	var d draft
	if err := p.decode(body, &d); err != nil {
		return nil, err
	}
	date := time.Now()
	if d.Sent != "" {
		if date, err = time.Parse(time.RFC3339, d.Sent); err != nil {
			return nil, problem(http.StatusBadRequest, "malformed-date", "sent is not a date such as 2026-01-31T12:00:00Z")
		}
	}
	content, err := letter.Compose(letter.Draft{
		From:      d.Sender,
		To:        m.Address.String(),
		Subject:   d.Subject,
		Text:      d.Body,
		Date:      date,
		MessageID: strings.ToLower(rand.Text()) + "@" + m.Address.Domain,
	})
	if errors.Is(err, letter.ErrDraft) {
		err = problem(http.StatusUnprocessableEntity, "unusable-field", "sender or subject cannot stand in the header of a message")
	}
	return content, err
}

// decode reads JSON as the framework would, for an operation that does not leave it
// to the framework.
func (p *public) decode(body []byte, v any) error {
	var parsed any
	if err := json.Unmarshal(body, &parsed); err != nil {
		return problem(http.StatusBadRequest, "malformed-request", "the body is not JSON")
	}
	var result huma.ValidateResult
	schemas := p.api.OpenAPI().Components.Schemas
	path := huma.NewPathBuffer(make([]byte, 0, 64), 0)
	path.Push("body")
	huma.Validate(schemas, p.schema(v), path, huma.ModeWriteToServer, parsed, &result)
	if len(result.Errors) > 0 {
		return huma.NewError(http.StatusUnprocessableEntity, "validation failed", result.Errors...)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return huma.NewError(http.StatusUnprocessableEntity, "validation failed", err)
	}
	return nil
}

func messageURL(mailboxURL string, id mailbox.MessageID) string {
	return mailboxURL + "/messages/" + url.PathEscape(id.String())
}

// messageOf is a message as JSON has it. The base is the path of the mailbox.
func messageOf(base string, m mailbox.Message, l *letter.Letter) Message {
	at := messageURL(base, m.ID)
	out := Message{
		ID: m.ID.String(), Sender: l.Sender, Subject: l.Subject, Received: m.ID.Time(), Sent: timeOrNil(l.Date), Size: m.Octets,
		Body: l.Text, HTML: l.HTML, MessageID: l.MessageID, Cut: l.Truncated, Source: at + "/raw",
		From: texts(l.From), To: texts(l.To), Cc: texts(l.Cc), ReplyTo: texts(l.ReplyTo),
		Attachments: make([]Attachment, 0, len(l.Attachments)),
	}
	for _, a := range l.Attachments {
		out.Attachments = append(out.Attachments, Attachment{
			Number: a.Number, Name: a.Name, ContentType: a.ContentType, ContentID: a.ContentID, Size: a.Octets, Inline: a.Inline,
			Href: at + "/attachments/" + strconv.Itoa(a.Number),
		})
	}
	return out
}

// texts are addresses as people read them.
func texts(list []*mail.Address) []string {
	all := make([]string, 0, len(list))
	for _, a := range list {
		if a.Name == "" {
			all = append(all, a.Address)
		} else {
			all = append(all, fmt.Sprintf("%s <%s>", a.Name, a.Address))
		}
	}
	return all
}

// message finds the message of a path, with its mailbox.
func (p *public) message(ctx context.Context, email, id string) (temporary.Mailbox, mailbox.Message, error) {
	m, err := p.mailbox(ctx, email)
	if err != nil {
		return m, mailbox.Message{}, err
	}
	parsed, err := mailbox.ParseMessageID(id)
	if err != nil {
		return m, mailbox.Message{}, errNoMessage
	}
	message, err := p.Mailboxes.Message(ctx, m, parsed)
	if errors.Is(err, mailbox.ErrNotFound) {
		err = errNoMessage
	}
	return m, message, err
}

var errNoMessage = problem(http.StatusNotFound, "message-not-found", "there is no such message in the mailbox")

func (p *public) removeMessage(ctx context.Context, in *removeMessageInput) (*removeMessageOutput, error) {
	m, message, err := p.message(ctx, in.Email, in.ID)
	if err != nil {
		return nil, err
	}
	if err := p.Mailboxes.Expunge(ctx, m, message); err != nil {
		return nil, err
	}
	preferred := preference(in.Prefer)
	if preferred == "return=minimal" {
		return &removeMessageOutput{Status: http.StatusNoContent, Applied: preferred}, nil
	}
	return &removeMessageOutput{Status: http.StatusOK, Applied: preferred, Body: &removed{ID: message.ID.String(), Success: true}}, nil
}
