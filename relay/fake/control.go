// Package fake plays the next hops to which mail for the outside is handed: an SMTP
// server and the HTTP interfaces of Mailgun, Amazon SES and SendGrid. They answer as
// their makers document it, keep nothing but a log, and fail on command, so that a
// failure can be rehearsed:
//
//	PUT /_ctl    {"mode":"hang-after-accept"}  what goes wrong from now on; see [Setting]
//	GET /_ctl                                  what goes wrong just now
//	GET /_log                                  every mail that was taken, one JSON object a line
//	GET /_stats                                counts
//
// The HTTP fakes serve these paths beside their own. The [Control] of the SMTP one is a
// handler to serve on another port. Whoever reaches a fake may control it: it belongs on
// loopback.
package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Setting says what a fake does. The modes are
//
//	ok                   mails are taken
//	status:503           refused with this status or reply; words may follow, as in
//	                     "status:550 5.1.1 no such user"; those of SES and SendGrid may
//	                     begin with what their errors have beside the words, as in
//	                     "status:400 MessageRejected: no" or "status:400 from: no"
//	throttle:7s          refused as too much for so long; the answer says until when, where
//	                     the maker's answers do
//	authfail             the credentials are not known
//	unverified           the sender's domain is not verified
//	hang                 no answer; nothing is taken
//	reset                the connection breaks; nothing is taken
//	hang-after-accept    the mail is taken, no answer
//	reset-after-accept   the mail is taken, then the connection breaks
//	slow:200ms           ok, so much later
//	flap:3s/2s           ok for 3 s, refused for 2 s, and so on
type Setting struct {
	Mode string  `json:"mode"`
	Rate float64 `json:"rate,omitempty"` // mails a second that are taken, others are throttled; 0: no bound

	// At is where a dialogue of SMTP fails: one of Steps, or empty for the step where
	// such a failure is usual. HTTP has one step.
	At string `json:"at,omitempty"`
	// Recipient limits the mode to mails for this address. With SMTP the step is then
	// RCPT or later.
	Recipient string `json:"recipient,omitempty"`
}

// Steps of a dialogue of SMTP.
var Steps = []string{"greeting", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "dot"}

// A Mail is one that was taken.
type Mail struct {
	ID        string    `json:"id"` // what the client was told
	From      string    `json:"from"`
	To        []string  `json:"to"`
	MessageID string    `json:"message_id,omitempty"`
	Received  time.Time `json:"received"`
	Octets    int64     `json:"octets"`
	SHA256    string    `json:"sha256"` // of the content as it came, dots unstuffed
}

// Stats are counts since the start.
type Stats struct {
	Connections int64 `json:"connections"` // SMTP only
	Accepted    int64 `json:"accepted"`
	Refused     int64 `json:"refused"`
	Throttled   int64 `json:"throttled"`
	Broken      int64 `json:"broken"`    // left without an answer
	Forgotten   int64 `json:"forgotten"` // mails that the log had no more room for
}

// How many mails a log keeps, the last ones, and how many recipients of each, the first
// ones.
const (
	logMost        = 50_000
	recipientsMost = 100
)

// maxSetting is the most octets of a setting.
const maxSetting = 4 << 10

// A Control steers a fake and tells what it took. It is safe for concurrent use.
type Control struct {
	mu      sync.Mutex
	setting Setting
	mode    mode
	since   time.Time
	limiter *rate.Limiter
	log     []Mail // a ring once it is full
	most    int    // mails in it
	next    int    // where the ring goes on
	stats   Stats

	closed context.Context
	close  context.CancelFunc
}

func newControl() *Control {
	c := &Control{setting: Setting{Mode: string(ok)}, mode: mode{kind: ok}, most: logMost}
	c.closed, c.close = context.WithCancel(context.Background())
	return c
}

// Set changes what the fake does from now on.
func (c *Control) Set(s Setting) error {
	m, err := parseMode(s.Mode)
	switch {
	case err != nil:
		return err
	case s.At != "" && !slices.Contains(Steps, s.At):
		return fmt.Errorf("fake: unknown step %q", s.At)
	case s.Rate < 0:
		return errors.New("fake: a rate below zero")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setting, c.mode, c.since, c.limiter = s, m, time.Now(), nil
	if s.Rate > 0 {
		c.limiter = rate.NewLimiter(rate.Limit(s.Rate), max(1, int(s.Rate)))
	}
	return nil
}

// Close ends what hangs. It does not close the server of an HTTP fake.
func (c *Control) Close() error {
	c.close()
	return nil
}

// Log is what was taken, in that order.
func (c *Control) Log() []Mail {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Concat(c.log[c.next:], c.log[:c.next])
}

// Stats are the counts so far.
func (c *Control) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// ServeHTTP answers the paths of the control port.
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "PUT /_ctl":
		var s Setting
		in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSetting))
		in.DisallowUnknownFields()
		err := in.Decode(&s)
		if err == nil {
			err = c.Set(s)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case "GET /_ctl":
		c.mu.Lock()
		s := c.setting
		c.mu.Unlock()
		reply(w, http.StatusOK, s)
	case "GET /_log":
		w.Header().Set("Content-Type", "application/x-ndjson")
		out := json.NewEncoder(w)
		for _, m := range c.Log() {
			if out.Encode(m) != nil {
				return // the client is gone
			}
		}
	case "GET /_stats":
		reply(w, http.StatusOK, c.Stats())
	default:
		http.NotFound(w, r)
	}
}

// accepted enters a mail in the log.
func (c *Control) accepted(m Mail) {
	m.To = slices.Clone(m.To[:min(len(m.To), recipientsMost)])
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Accepted++
	if len(c.log) < c.most {
		c.log = append(c.log, m)
		return
	}
	c.log[c.next] = m
	c.next = (c.next + 1) % c.most
	c.stats.Forgotten++
}

// tally changes the counts.
func (c *Control) tally(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.stats)
}

// admit asks the rate whether one more mail is taken, or else when to come again.
func (c *Control) admit() (again time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limiter == nil || c.limiter.Allow() {
		return time.Time{}, true
	}
	return time.Now().Add(time.Second), false
}

// now is the mode of this moment for a mail or a step.
func (c *Control) now(step string, to ...string) mode {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.mode
	if c.setting.Recipient != "" && !slices.ContainsFunc(to, func(a string) bool { return strings.EqualFold(a, c.setting.Recipient) }) {
		return mode{kind: ok}
	}
	passed := time.Since(c.since)
	switch m.kind {
	case throttle:
		m.until = c.since.Add(m.wait)
		if passed >= m.wait {
			return mode{kind: ok}
		}
	case flap:
		if passed%(m.wait+m.down) < m.wait {
			return mode{kind: ok}
		}
	}
	if step != "" && !slices.Contains(m.steps(c.setting), step) {
		return mode{kind: ok}
	}
	return m
}

// sleep waits; it reports false where the fake is closed before or gone is.
func (c *Control) sleep(gone context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-gone.Done():
	case <-c.closed.Done():
	}
	return false
}

// longest is how long a fake that hangs does so, where the client does not give up.
const longest = 30 * time.Minute

type kind string

const (
	ok          kind = "ok"
	status      kind = "status"
	throttle    kind = "throttle"
	authFail    kind = "authfail"
	unverified  kind = "unverified"
	hang        kind = "hang"
	reset       kind = "reset"
	hangAfter   kind = "hang-after-accept"
	resetAfter  kind = "reset-after-accept"
	slow        kind = "slow"
	flap        kind = "flap"
	afterAccept      = "-after-accept"
)

// A mode is one that was read.
type mode struct {
	kind  kind
	code  int           // of status
	text  string        // of status; may be empty
	wait  time.Duration // of throttle and slow; how long flap is up
	down  time.Duration // of flap
	until time.Time     // when throttle ends
}

// after reports whether the mode begins when the mail was taken.
func (m mode) after() bool { return strings.HasSuffix(string(m.kind), afterAccept) }

// steps are where a dialogue of SMTP meets the mode.
func (m mode) steps(s Setting) []string {
	switch {
	case m.after():
		return []string{"dot"}
	case s.At != "":
		return []string{s.At}
	}
	switch m.kind {
	case authFail:
		return []string{"AUTH"}
	case unverified, slow:
		return []string{"dot"}
	case hang, reset:
		return []string{"greeting"}
	case flap:
		return []string{"greeting", "MAIL"}
	}
	if s.Recipient != "" {
		return []string{"RCPT"}
	}
	return []string{"MAIL"}
}

func parseMode(s string) (mode, error) {
	name, arg, _ := strings.Cut(s, ":")
	m := mode{kind: kind(name)}
	fail := func() (mode, error) { return mode{}, fmt.Errorf("fake: unknown mode %q", s) }
	duration := func(arg string) (d time.Duration, ok bool) {
		d, err := time.ParseDuration(arg)
		return d, err == nil && d > 0 && d <= 24*time.Hour
	}
	good := arg == ""
	switch m.kind {
	case ok, authFail, unverified, hang, reset, hangAfter, resetAfter:
	case status:
		code, text, _ := strings.Cut(arg, " ")
		n, err := strconv.Atoi(code)
		if good = err == nil && n >= 400 && n <= 599 && !strings.ContainsAny(text, "\r\n"); good {
			m.code, m.text = n, text
		}
	case throttle, slow:
		m.wait, good = duration(arg)
	case flap:
		up, down, _ := strings.Cut(arg, "/")
		var goodDown bool
		m.wait, good = duration(up)
		m.down, goodDown = duration(down)
		good = good && goodDown
	default:
		return fail()
	}
	if !good {
		return fail()
	}
	return m, nil
}

// reply writes v as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nobody to tell
}
