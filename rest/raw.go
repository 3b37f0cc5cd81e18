package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"restante/letter"
	"restante/mailbox"
)

type (
	readInput struct {
		Email       string `path:"email" example:"fred@temp.example.org"`
		ID          string `path:"id" format:"uuid"`
		Accept      string `header:"Accept" hidden:"true"`
		IfNoneMatch string `header:"If-None-Match" doc:"entity tags of what is there already; 304, if it has not changed"`
	}
	rawInput struct {
		Email       string `path:"email" example:"fred@temp.example.org"`
		ID          string `path:"id" format:"uuid"`
		IfNoneMatch string `header:"If-None-Match" doc:"entity tags of what is there already; 304, if it has not changed"`
	}
	attachmentInput struct {
		Email       string `path:"email" example:"fred@temp.example.org"`
		ID          string `path:"id" format:"uuid"`
		Number      int    `path:"number" minimum:"1"`
		IfNoneMatch string `header:"If-None-Match" doc:"entity tags of what is there already; 304, if it has not changed"`
	}
)

const (
	jsonType   = "application/json"
	rfc822Type = "message/rfc822"
)

func (p *public) raw() {
	tags := []string{"messages"}
	unchanged := &huma.Response{Description: "Not changed"}
	binary := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	source := map[string]*huma.MediaType{rfc822Type: binary}
	send(p.api, huma.Operation{
		OperationID: "get-message", Method: http.MethodGet, Path: messagePath, Tags: tags,
		Summary:     "Read a message",
		Description: "As JSON, or as it came where Accept asks for message/rfc822.",
		Errors:      []int{http.StatusNotFound, http.StatusNotAcceptable},
		Responses: map[string]*huma.Response{
			"200": {Description: "The message", Content: map[string]*huma.MediaType{jsonType: {Schema: p.schema(Message{})}, rfc822Type: binary}},
			"304": unchanged,
		},
	}, longTimeout, p.getMessage)
	send(p.api, huma.Operation{
		OperationID: "get-source", Method: http.MethodGet, Path: messagePath + "/raw", Tags: tags,
		Summary: "Read a message as it came", Errors: []int{http.StatusNotFound},
		Responses: map[string]*huma.Response{"200": {Description: "The message", Content: source}, "304": unchanged},
	}, longTimeout, p.getRaw)
	send(p.api, huma.Operation{
		OperationID: "get-attachment", Method: http.MethodGet, Path: messagePath + "/attachments/{number}", Tags: tags,
		Summary:     "Read an attachment",
		Description: "It is of the type that the message says, to be kept rather than shown.",
		Errors:      []int{http.StatusNotFound},
		Responses: map[string]*huma.Response{
			"200": {Description: "The attachment", Content: map[string]*huma.MediaType{"*/*": binary}},
			"304": unchanged,
		},
	}, longTimeout, p.getAttachment)
}

func (p *public) getMessage(ctx context.Context, in *readInput) (answer, error) {
	m, message, err := p.message(ctx, in.Email, in.ID)
	if err != nil {
		return answer{}, err
	}
	switch negotiate(in.Accept, jsonType, rfc822Type) {
	case "":
		return answer{}, problem(http.StatusNotAcceptable, "not-acceptable", "there is application/json and message/rfc822")
	case rfc822Type:
		out, err := p.source(ctx, message, in.IfNoneMatch)
		if err == nil {
			out.header.Set("Vary", "Accept")
		}
		return out, err
	}
	out := answer{header: keep(message, "json")}
	out.header.Set("Vary", "Accept")
	if matches(in.IfNoneMatch, out.header) {
		out.status = http.StatusNotModified
		return out, nil
	}
	l, err := p.read(ctx, message)
	if err != nil {
		return answer{}, gone(err)
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(messageOf(prefixOf(ctx)+pathOf(m.Address), message, l)); err != nil {
		return answer{}, fmt.Errorf("rest: marshal a message: %w", err)
	}
	out.header.Set("Content-Type", jsonType)
	out.write = func(w io.Writer) error {
		body.WriteTo(w) //nolint:errcheck // the client is gone
		return nil
	}
	return out, nil
}

func (p *public) getRaw(ctx context.Context, in *rawInput) (answer, error) {
	_, message, err := p.message(ctx, in.Email, in.ID)
	if err != nil {
		return answer{}, err
	}
	return p.source(ctx, message, in.IfNoneMatch)
}

// source sends a message as it came.
func (p *public) source(ctx context.Context, m mailbox.Message, seen string) (answer, error) {
	out := answer{header: keep(m, "eml")}
	if matches(seen, out.header) {
		out.status = http.StatusNotModified
		return out, nil
	}
	content, err := p.Mailboxes.Open(ctx, m)
	if err != nil {
		return answer{}, gone(err)
	}
	out.header.Set("Content-Type", rfc822Type)
	out.header.Set("Content-Length", strconv.FormatInt(m.Octets, 10))
	contain(out.header, m.ID.String()+".eml")
	out.end = func() { content.Close() }
	out.write = func(w io.Writer) error { return pass(w, content) }
	return out, nil
}

func (p *public) getAttachment(ctx context.Context, in *attachmentInput) (answer, error) {
	_, message, err := p.message(ctx, in.Email, in.ID)
	if err != nil {
		return answer{}, err
	}
	found, err := p.attachment(ctx, message, in.Number)
	if err != nil {
		return answer{}, gone(err)
	}
	out := answer{header: keep(message, strconv.Itoa(in.Number))}
	if matches(in.IfNoneMatch, out.header) {
		out.status = http.StatusNotModified
		return out, nil
	}
	content, err := p.Mailboxes.Open(ctx, message)
	if err != nil {
		return answer{}, gone(err)
	}
	out.header.Set("Content-Type", contentType(found.ContentType))
	contain(out.header, found.Name)
	out.end = func() { content.Close() }
	out.write = func(w io.Writer) error {
		if err := p.reading.wait(ctx); err != nil {
			return err
		}
		defer p.reading.done()
		to := &sink{w: w}
		_, err := letter.CopyAttachment(to, content, in.Number, letter.Limits{})
		if to.err != nil {
			return nil // the client is gone
		}
		return err
	}
	return out, nil
}

// attachment looks for an attachment before anything of it is sent.
func (p *public) attachment(ctx context.Context, message mailbox.Message, number int) (letter.Attachment, error) {
	l, err := p.read(ctx, message)
	if err != nil {
		return letter.Attachment{}, err
	}
	for _, a := range l.Attachments {
		if a.Number == number {
			return a, nil
		}
	}
	return letter.Attachment{}, problem(http.StatusNotFound, "attachment-not-found", "the message has no such attachment")
}

// gone says that a message was removed while it was read.
func gone(err error) error {
	if errors.Is(err, mailbox.ErrNotFound) {
		return errNoMessage
	}
	return err
}

// keep is the header of what never changes: a cache of its own reader may keep it.
// What a message is shown as has a name, since each is another representation.
func keep(m mailbox.Message, as string) http.Header {
	return http.Header{
		"Cache-Control": {"private, immutable"},
		"Etag":          {`"` + m.ID.String() + "." + as + `"`},
	}
}

// matches reports whether a client has what the header is of already (RFC 9110,
// section 13.1.2).
func matches(seen string, header http.Header) bool {
	for tag := range strings.SplitSeq(seen, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == header.Get("ETag") {
			return true
		}
	}
	return false
}

// contain makes a browser keep what strangers wrote rather than show it, and shut it
// in where it is shown all the same.
func contain(header http.Header, name string) {
	header.Set("Content-Disposition", disposition(name))
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
}

// disposition asks to keep what is sent as a file (RFC 6266).
func disposition(name string) string {
	if text := mime.FormatMediaType("attachment", map[string]string{"filename": name}); text != "" {
		return text
	}
	return "attachment"
}

// contentType is the type that a message gives to an attachment, if it is one.
func contentType(s string) string {
	kind, _, err := mime.ParseMediaType(s)
	if err != nil || !strings.Contains(kind, "/") {
		return "application/octet-stream"
	}
	return mime.FormatMediaType(kind, nil)
}

// pass copies a content to a client. The error is that of the content: where the
// client fails, nobody is left to tell.
func pass(w io.Writer, content io.Reader) error {
	to := &sink{w: w}
	_, err := io.Copy(to, content)
	if to.err != nil {
		return nil
	}
	return err
}

// A sink remembers whether it was the writer that failed.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

// negotiate picks what a client accepts most of what there is (RFC 9110, section
// 12.5.1), the first where it does not care, or nothing.
func negotiate(accept string, offers ...string) string {
	if strings.TrimSpace(accept) == "" {
		return offers[0]
	}
	best, most := "", 0.0
	for _, offer := range offers {
		if q := quality(accept, offer); q > most {
			best, most = offer, q
		}
	}
	return best
}

// quality is the weight that a client gives to a type: that of the range that says
// most of it.
func quality(accept, offer string) float64 {
	major, _, _ := strings.Cut(offer, "/")
	q, said := 0.0, -1
	for one := range strings.SplitSeq(accept, ",") {
		kind, parameters, err := mime.ParseMediaType(one)
		if err != nil {
			continue
		}
		says := map[string]int{"*/*": 0, major + "/*": 1, offer: 2}
		if n, ok := says[kind]; ok && n > said {
			said, q = n, 1
			if w, err := strconv.ParseFloat(parameters["q"], 64); err == nil {
				q = w
			}
		}
	}
	return q
}
