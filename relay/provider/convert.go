package provider

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"restante/mailbox"
	"restante/relay"
)

// A lossyError says what of a mail SendGrid's JSON has no place for.
type lossyError struct{ what string }

func (e lossyError) Error() string { return "provider: no place for " + e.what }

func loses(format string, args ...any) error { return lossyError{fmt.Sprintf(format, args...)} }

// A gridMail is a mail as SendGrid takes it.
type gridMail struct {
	Personalizations []gridPerson      `json:"personalizations"`
	From             gridAddress       `json:"from"`
	ReplyTo          *gridAddress      `json:"reply_to,omitempty"`
	Subject          string            `json:"subject"`
	Content          []gridContent     `json:"content"`
	Attachments      []gridAttachment  `json:"attachments,omitempty"`
	Headers          map[string]string `json:"headers,omitempty"`
	Tracking         gridTracking      `json:"tracking_settings"`
}

type gridPerson struct {
	To  []gridAddress `json:"to"`
	Cc  []gridAddress `json:"cc,omitempty"`
	Bcc []gridAddress `json:"bcc,omitempty"`
}

type gridAddress struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

type gridContent struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type gridAttachment struct {
	Content     string `json:"content"`
	Type        string `json:"type"`
	Filename    string `json:"filename"`
	Disposition string `json:"disposition"`
	ContentID   string `json:"content_id,omitempty"`
}

// gridTracking is false throughout: nothing is rewritten.
type gridTracking struct {
	Click struct {
		Enable bool `json:"enable"`
	} `json:"click_tracking"`
	Open struct {
		Enable bool `json:"enable"`
	} `json:"open_tracking"`
}

// toJSON takes a message apart. It fails with a lossyError where the mail that SendGrid
// would make of it shows something else, or goes to somebody else.
func toJSON(text []byte, m relay.Mail) (*gridMail, error) {
	message, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		return nil, loses("a header that cannot be read")
	}
	g := &gridMail{Headers: map[string]string{}}
	if err := g.header(message.Header); err != nil {
		return nil, err
	}
	if err := g.recipients(message.Header, m); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(message.Body)
	if err != nil {
		return nil, err
	}
	if err := g.part(textproto.MIMEHeader(message.Header), body, mixed); err != nil {
		return nil, err
	}
	if len(g.Content) == 0 {
		return nil, loses("a message without text")
	}
	return g, nil
}

// What SendGrid writes itself, and so may be left out: it signs, and it traces.
var gridWrites = map[string]bool{
	"Mime-Version": true, "Content-Type": true, "Content-Transfer-Encoding": true,
	"Received": true, "Return-Path": true, "Dkim-Signature": true, "Date": true,
}

var words = mime.WordDecoder{CharsetReader: func(charset string, _ io.Reader) (io.Reader, error) {
	return nil, fmt.Errorf("provider: character set %q", charset)
}}

func (g *gridMail) header(h mail.Header) error {
	for name, values := range h {
		if gridWrites[name] {
			continue
		}
		if len(values) > 1 {
			return loses("the second %s of the header", name)
		}
		var err error
		switch value := values[0]; {
		case name == "From":
			var from *gridAddress
			if from, err = oneAddress(h, name); err == nil {
				g.From = *from
			}
		case name == "Reply-To":
			g.ReplyTo, err = oneAddress(h, name)
		case name == "Subject":
			if g.Subject, err = words.DecodeHeader(value); err != nil {
				err = loses("the character set of the subject")
			}
		case name == "To" || name == "Cc": // see recipients
		case name == "Bcc" || name == "Sender" || strings.HasPrefix(name, "Resent-") || strings.HasPrefix(name, "X-Sg-"):
			err = loses("the %s of the header", name)
		case strings.HasPrefix(name, "Content-"):
			err = loses("the %s of the header", name)
		case !mailbox.IsASCII(value):
			err = loses("octets of the header that are not ASCII")
		case name == "Message-Id":
			g.Headers["Message-ID"] = value
		default:
			g.Headers[name] = value
		}
		if err != nil {
			return err
		}
	}
	switch {
	case g.From.Email == "":
		return loses("a message without From")
	case strings.TrimSpace(g.Subject) == "":
		return loses("a message without a subject")
	}
	return nil
}

func addresses(h mail.Header, name string) ([]gridAddress, error) {
	if h.Get(name) == "" {
		return nil, nil
	}
	parser := mail.AddressParser{WordDecoder: &words}
	list, err := parser.ParseList(h.Get(name))
	if err != nil || strings.Contains(h.Get(name), ":") { // which names a group
		return nil, loses("the %s of the header", name)
	}
	var out []gridAddress
	for _, a := range list {
		out = append(out, gridAddress{Email: a.Address, Name: a.Name})
	}
	return out, nil
}

func oneAddress(h mail.Header, name string) (*gridAddress, error) {
	list, err := addresses(h, name)
	if err == nil && len(list) != 1 {
		err = loses("a %s that is not one address", name)
	}
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

// recipients sees to it that those whom people see are those who get the mail now, and
// that the others are not seen.
func (g *gridMail) recipients(h mail.Header, m relay.Mail) error {
	hidden := map[string]string{}
	for _, r := range m.Recipients {
		to := m.Submission.Recipients[r].String()
		hidden[strings.ToLower(to)] = to
	}
	if len(hidden) != len(m.Recipients) {
		return loses("a recipient that is there twice")
	}
	var person gridPerson
	for _, field := range []struct {
		name string
		list *[]gridAddress
	}{{"To", &person.To}, {"Cc", &person.Cc}} {
		list, err := addresses(h, field.name)
		if err != nil {
			return err
		}
		for _, a := range list {
			key := strings.ToLower(a.Email)
			if _, ok := hidden[key]; !ok {
				return loses("a recipient that the header names and that is not to get this copy")
			}
			delete(hidden, key)
		}
		*field.list = list
	}
	for _, r := range m.Recipients { // in their order
		if to := m.Submission.Recipients[r].String(); hidden[strings.ToLower(to)] != "" {
			person.Bcc = append(person.Bcc, gridAddress{Email: to})
		}
	}
	if len(person.To) == 0 {
		return loses("a message without To")
	}
	g.Personalizations = []gridPerson{person}
	return nil
}

// A place is where in a message a part may stand.
type place uint8

const (
	mixed       place = iota // the outermost
	alternative              // or what stands for the text
	plain                    // first of alternatives
	html                     // last of alternatives, with its pictures perhaps
	root                     // HTML, first of related parts
	picture                  // related to HTML
	attachment
)

// part takes one part apart. Only the shapes that SendGrid makes itself are taken.
func (g *gridMail) part(h textproto.MIMEHeader, body []byte, at place) error {
	kind, params, err := mime.ParseMediaType(orDefault(h.Get("Content-Type"), "text/plain"))
	if err != nil {
		return loses("a content type that cannot be read")
	}
	disposition, file, err := mime.ParseMediaType(orDefault(h.Get("Content-Disposition"), "inline"))
	if err != nil {
		return loses("a disposition that cannot be read")
	}
	switch {
	case kind == "multipart/mixed" && at == mixed:
		return g.parts(params["boundary"], body, func(n int) place {
			if n == 0 {
				return alternative
			}
			return attachment
		})
	case kind == "multipart/alternative" && at <= alternative:
		before := len(g.Content)
		err := g.parts(params["boundary"], body, func(n int) place { return min(plain+place(n), html) })
		if err == nil && len(g.Content) != before+2 {
			err = loses("alternatives that are not text and HTML")
		}
		return err
	case kind == "multipart/related" && (at <= alternative || at == html):
		return g.parts(params["boundary"], body, func(n int) place {
			if n == 0 {
				return root
			}
			return picture
		})
	case strings.HasPrefix(kind, "multipart/"), strings.HasPrefix(kind, "message/"):
		return loses("%s", kind)
	}
	data, err := decode(h.Get("Content-Transfer-Encoding"), body)
	if err != nil {
		return err
	}
	isText := kind == "text/plain" && at <= plain || kind == "text/html" && (at <= alternative || at == html || at == root)
	if at < picture {
		if !isText || disposition != "inline" || file["filename"] != "" {
			return loses("%s in the place of the text", kind)
		}
		return g.text(kind, params, data)
	}
	a := gridAttachment{
		Content: base64.StdEncoding.EncodeToString(data), Type: kind, Disposition: "attachment",
		Filename: orDefault(file["filename"], params["name"]),
	}
	if at == picture {
		a.Disposition, a.ContentID = "inline", strings.Trim(h.Get("Content-Id"), "<>")
		if a.ContentID == "" {
			return loses("a related part without an id")
		}
	} else if disposition != "attachment" {
		return loses("a part between text and attachment")
	}
	delete(params, "name")
	if a.Filename == "" || len(data) == 0 || len(params) > 0 {
		return loses("an attachment without a name, or empty, or with parameters")
	}
	g.Attachments = append(g.Attachments, a)
	return nil
}

func (g *gridMail) parts(boundary string, body []byte, at func(n int) place) error {
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for n := 0; ; n++ {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return loses("parts that cannot be read")
		}
		data, err := io.ReadAll(p)
		if err != nil {
			return loses("parts that cannot be read")
		}
		if err := g.part(p.Header, data, at(n)); err != nil {
			return err
		}
	}
}

func (g *gridMail) text(kind string, params map[string]string, data []byte) error {
	charset := strings.ToLower(orDefault(params["charset"], "us-ascii"))
	delete(params, "charset")
	switch {
	case len(params) > 0:
		return loses("parameters of a text")
	case charset == "us-ascii" && !mailbox.IsASCII(data), charset != "us-ascii" && charset != "utf-8", !utf8.Valid(data):
		return loses("a text in %s", charset)
	case len(bytes.TrimSpace(data)) == 0:
		return loses("an empty text")
	}
	g.Content = append(g.Content, gridContent{Type: kind, Value: string(data)})
	return nil
}

func decode(encoding string, body []byte) ([]byte, error) {
	var out []byte
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "7bit", "8bit":
		return body, nil
	case "quoted-printable":
		out, err = io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	case "base64":
		out, err = io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body)))
	default:
		err = errors.New("unknown")
	}
	if err != nil {
		return nil, loses("a part in %q", encoding)
	}
	return out, nil
}

func orDefault(s, value string) string {
	if s == "" {
		return value
	}
	return s
}
