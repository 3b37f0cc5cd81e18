package provider

import (
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/relay"
)

// A step is where a reply came; steps can be added.
type step uint8

const (
	atGreeting step = 1 << iota
	atHello         // and STARTTLS
	atAuth
	atMail
	atRcpt
	atData
	atDot
	atRequest // of HTTP
)

// A reply is what a next hop said.
type reply struct {
	code     int    // of SMTP or HTTP
	enhanced string // status code (RFC 3463); empty: none
	detail   string // of HTTP: the kind of error, or the field that it is about
	text     string
	to       string // the recipient whom it answers; empty: nobody in particular
}

// A rule says what a reply means. What it leaves empty may be anything.
type rule struct {
	at     step
	code   int    // 4 is all from 400 to 499
	detail string // of the enhanced code or the detail, as [path.Match] has it
	text   string // in the text, in lower case; or another, after |
	result relay.Result
	pause  time.Duration // of Throttled, where the reply does not say how long
	silent bool          // about the recipient: the text does not name him

	unasked, ofSender bool // as in relay.Outcome
}

// match is given the text as rules have it, too.
func (r rule) match(at step, said reply, text string) bool {
	switch {
	case r.at != 0 && r.at&at == 0:
		return false
	case r.code != 0 && r.code != said.code && r.code != said.code/100:
		return false
	case !slices.ContainsFunc(strings.Split(r.text, "|"), func(s string) bool { return strings.Contains(text, s) }):
		return false
	case r.silent && said.names():
		return false
	case r.detail == "":
		return true
	}
	for _, s := range []string{said.enhanced, said.detail} {
		if ok, _ := path.Match(r.detail, s); ok {
			return true
		}
	}
	return false
}

// names reports whether the text has the address of the recipient in it.
func (said reply) names() bool {
	return said.to != "" && strings.Contains(strings.ToLower(said.text), strings.ToLower(said.to))
}

// echoed is what others may have chosen: addresses, and what else is quoted.
var echoed = regexp.MustCompile(`<[^<>]*>|"[^"]*"`)

// outcome finds the first rule that matches. What no rule knows is temporary: mail must
// not fail for words that nobody understood.
func (said reply) outcome(at step, header http.Header, tables ...[]rule) relay.Outcome {
	o := relay.Outcome{Result: relay.Temporary, Code: said.code, Enhanced: said.enhanced, Text: oneLine(said.text)}
	text := strings.ToLower(echoed.ReplaceAllString(said.text, "<>"))
	for _, table := range tables {
		for _, r := range table {
			if r.match(at, said, text) {
				o.Unasked, o.OfSender = r.unasked, r.ofSender
				if o.Result = r.result; o.Result == relay.Throttled {
					o.Until = until(header, said.text, r.pause)
				}
				return o
			}
		}
	}
	return o
}

// longestPause is how far ahead a next hop can make itself unavailable.
const longestPause = 24 * time.Hour

// until is when a next hop that had too much may be asked again: what it said, or else
// after the pause.
func until(header http.Header, text string, pause time.Duration) time.Time {
	now := time.Now()
	at := now.Add(pause)
	_, date, found := strings.Cut(text, "try again after ")
	if found {
		if t, err := time.Parse(time.RFC1123, strings.TrimRight(date, " .")); err == nil {
			at = t
		}
	}
	for _, name := range []string{"X-RateLimit-Reset", "RateLimit-Reset", "Retry-After"} {
		value := header.Get(name)
		if seconds, err := strconv.ParseInt(value, 10, 64); err == nil && seconds >= 0 {
			// Some makers write how long, others when.
			if at = time.Unix(seconds, 0); seconds < 1e8 {
				at = now.Add(time.Duration(seconds) * time.Second)
			}
		} else if t, err := http.ParseTime(value); err == nil {
			at = t
		}
	}
	if at.Before(now) {
		at = now.Add(time.Second)
	}
	if latest := now.Add(longestPause); at.After(latest) {
		at = latest
	}
	return at
}

// Words of smarthosts. Many wait until RCPT to say whom they do not want.
const (
	// relayDenied: they do not take mail of ours for elsewhere.
	relayDenied = "access denied|relay denied|relay not|relaying|to relay|not relay|allowed rcpthosts"
	// usRejected: they do not take any of ours, or none of this sender.
	usRejected = "client host|helo command|sender address rejected|sender verify"
	// himRejected: they speak of the recipient.
	himRejected = "recipient|mailbox|no such user|user unknown|unknown user"
	// overRate: we have sent too much.
	overRate = "sending limit|sending quota|relay limit|rate limit|daily limit|daily quota|hourly limit|hourly quota|per hour|per day"
	// overSize: the mail has too much of something.
	overSize = "size limit|length limit|line limit|hop limit|nesting limit|header limit|attachment limit"
)

// smtpRules are what replies of a smarthost mean that no maker's table knows (RFC 5321,
// section 4.2; RFC 3463). A smarthost that refuses the sender refuses us: an account
// that is closed, has sent too much today or is not allowed to use a domain must not make
// mail fail.
var smtpRules = []rule{
	{at: atDot, code: 535, detail: "5.7.1", result: relay.AccountFault, ofSender: true}, // of agents
	{code: 530, result: relay.AccountFault},                                             // authentication required
	{code: 534, result: relay.AccountFault},
	{code: 535, result: relay.AccountFault},
	{code: 538, result: relay.AccountFault},
	{at: atGreeting | atHello | atAuth, code: 5, result: relay.AccountFault},
	{code: 4, detail: "4.4.5", result: relay.Throttled, pause: time.Minute}, // congestion; agents say until when
	{code: 4, result: relay.Temporary},

	{at: atDot, code: 5, detail: "5.1.[0-36]", result: relay.BadRecipient},         // see split
	{at: atDot, code: 555, result: relay.BadMessage, unasked: true},                // of agents, for their next hop
	{code: 5, text: "submission quota", result: relay.Throttled, pause: time.Hour}, // of Exchange
	{at: atDot, code: 554, result: relay.BadMessage},                               // of agents, with the words of others
	{at: atMail | atData | atDot, code: 552, result: relay.BadMessage},
	{at: atMail | atData | atDot, code: 5, detail: "5.3.4", result: relay.BadMessage},
	{at: atMail | atData | atDot, code: 5, detail: "5.6.*", result: relay.BadMessage},
	{at: atMail | atData | atDot, code: 5, text: overSize, result: relay.BadMessage},
	{code: 5, detail: "5.4.5", result: relay.Throttled, pause: time.Hour}, // of Gmail
	{at: atMail | atData | atDot, code: 5, text: overRate, result: relay.Throttled, pause: time.Hour},
	{at: atMail | atData | atDot, code: 5, text: "limit exceeded|quota exceeded", result: relay.Throttled, pause: time.Hour},

	{at: atMail | atRcpt, code: 553, detail: "5.7.1", result: relay.AccountFault, ofSender: true}, // as Postfix says it
	{at: atMail, code: 5, detail: "5.1.[78]", result: relay.BadMessage},                           // this reverse-path
	{at: atMail, code: 501, result: relay.BadMessage},
	{at: atMail, code: 553, result: relay.BadMessage},
	{at: atMail, code: 555, result: relay.BadMessage},
	{at: atMail, code: 5, result: relay.AccountFault, ofSender: true},

	{at: atRcpt, code: 5, detail: "5.1.[78]", result: relay.BadMessage}, // it waited with that
	{at: atRcpt, code: 5, text: usRejected, result: relay.AccountFault, ofSender: true},
	{at: atRcpt, code: 5, detail: "5.1.*", result: relay.BadRecipient},
	{at: atRcpt, code: 5, detail: "5.2.*", result: relay.BadRecipient},
	{at: atRcpt, code: 5, detail: "5.4.1", result: relay.BadRecipient}, // of Exchange, which says "access denied"
	{at: atRcpt, code: 5, text: overRate, result: relay.Throttled, pause: time.Hour},
	{at: atRcpt, code: 5, text: relayDenied, result: relay.AccountFault, ofSender: true},
	{at: atRcpt, code: 5, detail: "5.7.*", text: "limit exceeded|quota exceeded", result: relay.Throttled, pause: time.Hour},
	{at: atRcpt, code: 5, detail: "5.7.*", text: himRejected, result: relay.BadRecipient},
	{at: atRcpt, code: 5, detail: "5.7.*", silent: true, result: relay.AccountFault, ofSender: true},
	{at: atRcpt, code: 503, result: relay.Temporary},
	{at: atRcpt, code: 555, result: relay.BadMessage},
	{at: atRcpt, code: 552, result: relay.Temporary}, // too many, as RFC 821 said it: RFC 5321, section 4.5.3.1.10
	{at: atRcpt, code: 5, detail: "5.5.3", result: relay.Temporary},
	{at: atRcpt, code: 5, result: relay.BadRecipient},

	{at: atData | atDot, code: 5, result: relay.BadMessage},
}

// mxRules are what replies of a host that receives mail mean. We have no account there.
var mxRules = []rule{
	{at: atGreeting | atHello, result: relay.Temporary}, // another host is asked
	{code: 4, result: relay.Temporary},
	{at: atMail, code: 5, result: relay.BadMessage},
	{at: atRcpt, code: 5, detail: "5.1.[78]", result: relay.BadMessage},
	{at: atRcpt, code: 552, detail: "5.2.*", result: relay.BadRecipient},
	{at: atRcpt, code: 552, result: relay.Temporary},
	{at: atRcpt, code: 5, result: relay.BadRecipient},
	{at: atDot, code: 5, detail: "5.1.[0-36]", result: relay.BadRecipient}, // see split
	{at: atData | atDot, code: 5, result: relay.BadMessage},
}
