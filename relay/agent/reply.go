package agent

import (
	"cmp"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"restante/relay"
	"restante/smtp"
)

// textMost is how much of what a provider said is passed on, in octets: a reply is a line
// of 512 (RFC 5321, section 4.5.3.1.5).
const textMost = 400

// replyFor is the reply by which a server that speaks to the agent as to any smarthost
// finds the same result, with two exceptions: what was not sent because nobody answered
// (Transport) is temporary, since the server's own connection did work; and of what nobody
// knows (Ambiguous) nothing is said.
func replyFor(o relay.Outcome) smtp.Reply {
	switch o.Result {
	case relay.Success:
		text := cmp.Or(o.Text, "ok")
		if o.RemoteID != "" {
			text += ", queued as " + o.RemoteID
		}
		return reply(250, "2.0.0", text)
	case relay.BadRecipient:
		if o.NoSuchMailbox() {
			return translated(550, "5.1.1", "5.1.[0-36]", "", o)
		}
		return translated(550, "5.1.0", "5.1.[0-36]", "", o) // which says nothing of whether he exists
	case relay.BadMessage:
		if o.Unasked {
			return translated(555, "5.6.0", "5.*", "5.1.*", o) // which nobody else says there
		}
		return translated(554, "5.6.0", "5.*", "5.1.*", o)
	case relay.Throttled:
		o.Text = cmp.Or(o.Text, "too much")
		if until := o.Until; !until.IsZero() {
			// The form has whole seconds.
			o.Text = cut(o.Text, textMost-100) + ", try again after " + until.Add(time.Second-1).UTC().Format(http.TimeFormat)
		}
		return translated(451, "4.4.5", "4.4.5", "", o)
	case relay.AccountFault:
		if o.OfSender {
			return translated(535, "5.7.1", "5.7.1", "", o)
		}
		return translated(535, "5.7.8", "5.7.*", "5.7.1", o)
	case relay.Ambiguous:
		return smtp.Reply{}
	case relay.Transport:
		return translated(451, "4.4.1", "4.4.[1-4]", "", o)
	}
	return translated(451, "4.3.0", "4.*", "4.4.5", o)
}

// translated is a reply with an enhanced code of our own, unless that of the outcome is
// like one pattern and not like another. Then what was said stands in the text.
func translated(code int, enhanced, like, unlike string, o relay.Outcome) smtp.Reply {
	text := cmp.Or(o.Text, o.Result.String())
	match := func(pattern string) bool { ok, _ := path.Match(pattern, o.Enhanced); return ok }
	if match(like) && !match(unlike) {
		return reply(code, o.Enhanced, text)
	}
	if o.Code != 0 {
		text = fmt.Sprintf("(%s) %s", strings.TrimSpace(strconv.Itoa(o.Code)+" "+o.Enhanced), text)
	}
	return reply(code, enhanced, text)
}

func reply(code int, enhanced, text string) smtp.Reply {
	r := smtp.Reply{Code: code, Text: cut(plain(text), textMost)}
	for i, part := range strings.Split(enhanced, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || i >= len(r.Enhanced) {
			r.Enhanced = [3]int{code / 100, 0, 0}
			break
		}
		r.Enhanced[i] = n
	}
	return r
}

// plain is a text fit for a reply to who may not know UTF-8.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

func cut(s string, n int) string { return s[:min(len(s), n)] }
