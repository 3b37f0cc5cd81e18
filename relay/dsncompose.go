package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"restante/mailbox"
)

// maxReturned is the most octets of a content that a notification returns whole. Of a
// larger one it returns the header (RFC 3461, section 6.2).
const maxReturned = 256 << 10

// dateForm is that of date-time in RFC 5322, section 3.3.
const dateForm = "Mon, 2 Jan 2006 15:04:05 -0700"

// A mediaSet is the media types of the three parts of a notification.
type mediaSet struct{ status, whole, header string }

var (
	asciiMedia = mediaSet{"message/delivery-status", "message/rfc822", "text/rfc822-headers"}
	utf8Media  = mediaSet{"message/global-delivery-status", "message/global", "message/global-headers"} // RFC 6533
)

// compose writes the notification (RFC 3464, section 2): the text for people, the
// fields for programs, and as much of the content as is returned.
func (n *Notifier) compose(ctx context.Context, b *bytes.Buffer, notice Notice, id mailbox.MessageID, now time.Time) error {
	s := notice.Submission
	media := asciiMedia
	if s.UTF8 {
		media = utf8Media
	}
	returned, whole, err := notice.returned(ctx)
	if err != nil {
		return err
	}
	boundary := "=_" + id.String()
	writeLines(b,
		"Date: "+now.Format(dateForm),
		"From: Mail Delivery System <MAILER-DAEMON@"+n.Hostname+">",
		"To: <"+s.From.String()+">",
		"Subject: "+notice.subject(),
		"Message-ID: <"+headerID(id, n.Hostname)+">",
	)
	if s.HeaderID != "" {
		about := "<" + escaped(oneLine(s.HeaderID), s.UTF8) + ">"
		writeLines(b, "In-Reply-To: "+about, "References: "+about)
	}
	writeLines(b,
		"Auto-Submitted: auto-replied", // RFC 3834, section 5
		"MIME-Version: 1.0",
		"Content-Type: multipart/report; report-type=delivery-status;",
		"\tboundary=\""+boundary+`"`,
		"Content-Transfer-Encoding: 8bit", // as that of the parts (RFC 2045, section 6.4)
		"",
		"--"+boundary,
		"Content-Type: text/plain; charset=utf-8",
		"Content-Transfer-Encoding: 8bit",
		"",
	)
	notice.explain(b, n.Hostname)
	writeLines(b, "", "--"+boundary, "Content-Type: "+media.status)
	if s.UTF8 {
		writeLines(b, "Content-Transfer-Encoding: 8bit")
	}
	writeLines(b, "")
	notice.fields(b, n.Hostname)
	if returned != nil {
		kind := media.header
		if whole {
			kind = media.whole
		}
		writeLines(b, "", "--"+boundary, "Content-Type: "+kind, "Content-Transfer-Encoding: 8bit", "")
		b.Write(returned)
	}
	writeLines(b, "", "--"+boundary+"--")
	return nil
}

// returned is the part of the content that goes back, and whether it is the whole. Only a
// failure returns it whole, to who asked for that (RFC 3461, section 4.3).
func (n Notice) returned(ctx context.Context) (content []byte, whole bool, err error) {
	if n.Open == nil {
		return nil, false, nil
	}
	r, err := n.Open(ctx)
	if errors.Is(err, mailbox.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("open content: %w", err)
	}
	defer r.Close()
	content, err = io.ReadAll(io.LimitReader(r, maxReturned+1))
	if err != nil {
		return nil, false, fmt.Errorf("read content: %w", err)
	}
	if n.Submission.FullReturn && n.Action == ActionFailed && len(content) <= maxReturned {
		return content, true, nil
	}
	if end := bytes.Index(content, []byte("\r\n\r\n")); end >= 0 {
		content = content[:end+2]
	}
	return content[:min(len(content), MaxHeader)], false, nil
}

func (n Notice) subject() string {
	return [...]string{
		ActionFailed: "Your message could not be delivered", ActionDelayed: "Your message is delayed",
		ActionRelayed: "Your message was handed over", ActionDelivered: "Your message was delivered",
	}[n.Action]
}

// explain is the part for people.
func (n Notice) explain(b *bytes.Buffer, hostname string) {
	writeLines(b, "This is the mail server "+hostname+".", "")
	switch n.Action {
	case ActionFailed:
		writeLines(b, "Your message could not be delivered, and is not tried any more:")
	case ActionDelayed:
		writeLines(b, "Your message has not been delivered yet. There is nothing you need to do: it",
			"will be tried until "+n.Submission.Expires.UTC().Format(dateForm)+".")
	case ActionRelayed:
		writeLines(b, "Your message was handed to a server that may not tell you more:")
	case ActionDelivered:
		writeLines(b, "Your message was delivered:")
	}
	for _, f := range n.Recipients {
		writeLines(b, "", "    <"+n.Submission.Recipients[f.Recipient].String()+">")
		if n.Expired {
			writeLines(b, "    There is no time left to try again.")
		}
		if said := said(f.Outcome); said != "" {
			writeLines(b, "    The last answer: "+said)
		}
	}
}

// said is a reply on one line.
func said(o Outcome) string {
	said := oneLine(o.Text)
	if o.Enhanced != "" && !strings.Contains(said, o.Enhanced) {
		said = strings.TrimSpace(o.Enhanced + " " + said)
	}
	if code := strconv.Itoa(o.Code); o.Code != 0 && !strings.HasPrefix(said, code) {
		said = strings.TrimSpace(code + " " + said)
	}
	return said
}

// fields is the part for programs (RFC 3464, sections 2.2 and 2.3).
func (n Notice) fields(b *bytes.Buffer, hostname string) {
	s := n.Submission
	if s.EnvelopeID != "" {
		writeLines(b, "Original-Envelope-Id: "+oneLine(s.EnvelopeID))
	}
	writeLines(b, "Reporting-MTA: dns; "+hostname)
	if !s.Accepted.IsZero() {
		writeLines(b, "Arrival-Date: "+s.Accepted.Format(dateForm))
	}
	for _, f := range n.Recipients {
		n.fieldsOf(b, f)
	}
}

// fieldsOf are those about a recipient, after an empty line.
func (n Notice) fieldsOf(b *bytes.Buffer, f Fate) {
	s := n.Submission
	writeLines(b, "")
	if original := s.original(f.Recipient); original != "" {
		writeLines(b, "Original-Recipient: "+escaped(oneLine(original), s.UTF8))
	}
	writeLines(b, "Final-Recipient: "+typed(s.Recipients[f.Recipient], s.UTF8),
		"Action: "+n.Action.String(),
		"Status: "+n.status(f.Outcome))
	if f.Service != "" {
		writeLines(b, "Remote-MTA: x-service; "+escaped(oneLine(f.Service), s.UTF8))
	}
	if said := said(f.Outcome); said != "" {
		writeLines(b, "Diagnostic-Code: "+dialect(f.Outcome)+"; "+escaped(said, s.UTF8))
	}
	if !f.Attempted.IsZero() {
		writeLines(b, "Last-Attempt-Date: "+f.Attempted.Format(dateForm))
	}
	if n.Action == ActionDelayed {
		writeLines(b, "Will-Retry-Until: "+s.Expires.Format(dateForm))
	}
}

// typed is an address with its type (RFC 3464, section 2.3.2; RFC 6533, section 3).
func typed(a mailbox.Address, global bool) string {
	if a.IsASCII() {
		return "rfc822; " + a.String()
	}
	return "utf-8; " + escaped(a.String(), global)
}

// escaped is text beyond ASCII in the form that stands where only ASCII may (RFC 6533,
// section 3: utf-8-addr-xtext), unless UTF-8 may stand there.
func escaped(text string, global bool) string {
	if global || mailbox.IsASCII(text) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		piece := string(r)
		if r >= utf8.RuneSelf || r == '\\' {
			piece = fmt.Sprintf(`\x{%X}`, r)
		}
		if b.Len()+len(piece) > maxOneLine {
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}

// status is an enhanced status code that fits the action (RFC 3463): the one that was
// given, if it does.
func (n Notice) status(o Outcome) string {
	class, otherwise := "2.", "2.0.0"
	switch {
	case n.Action == ActionDelayed:
		class, otherwise = "4.", "4.0.0"
	case n.Action != ActionFailed:
	case n.Expired:
		return "5.4.7"
	default:
		class, otherwise = "5.", "5.0.0"
		switch o.Result {
		case BadRecipient:
			otherwise = "5.1.1"
		case BadMessage:
			otherwise = "5.6.0"
		}
	}
	if strings.HasPrefix(o.Enhanced, class) {
		return oneLine(o.Enhanced)
	}
	return otherwise
}

// dialect is the type of a diagnostic (RFC 3464, section 2.3.6). Only SMTP has enhanced
// status codes.
func dialect(o Outcome) string {
	if o.Enhanced != "" {
		return "smtp"
	}
	return "x-service"
}

// writeLines writes lines with their ends.
func writeLines(b *bytes.Buffer, lines ...string) {
	for _, l := range lines {
		b.WriteString(l)
		b.WriteString("\r\n")
	}
}

// maxOneLine is how much of what others said stands on a line, in octets: with the name of
// its field it stays below the limit of RFC 5322, section 2.1.1.
const maxOneLine = 900

// oneLine is text of others that can stand in a field.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	for len(s) > maxOneLine {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}
