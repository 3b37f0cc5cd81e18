package provider

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"restante/internal/dotline"
	"restante/mailbox"
	"restante/relay"
)

// window is how many commands are on their way at once (RFC 2920), so that neither side
// has to wait for the other to read.
const window = 50

// A transaction hands one mail over on a connection.
type transaction struct {
	*conn
	mail     relay.Mail
	prefix   string
	outcomes []relay.Outcome
	known    []bool // which of outcomes are set
	together []int  // places of recipients that were refused at the end for one of them
	stale    bool   // the connection was over before the server heard of the mail
	keep     bool   // the connection can be used again
}

// run returns when there is an outcome for each recipient, unless stale is set.
func (t *transaction) run(content io.Reader) {
	t.outcomes = make([]relay.Outcome, len(t.mail.Recipients))
	t.known = make([]bool, len(t.outcomes))
	if o, unfit := t.unfit(); unfit {
		t.rest(o)
		t.keep = true
		return
	}
	switch ready, err := t.envelope(); {
	case err != nil:
		t.rest(transport(t.hop.addr + ": " + cause(err)))
	case ready:
		t.content(content)
	}
}

// rest is the outcome of all recipients that have none.
func (t *transaction) rest(o relay.Outcome) {
	for i := range t.outcomes {
		if !t.known[i] {
			t.outcomes[i], t.known[i] = o, true
		}
	}
}

// unfit says what the server told us not to send.
func (t *transaction) unfit() (relay.Outcome, bool) {
	has := func(name string) bool { _, ok := t.ext[name]; return ok }
	s := t.mail.Submission
	limit, _ := strconv.ParseInt(t.ext["SIZE"], 10, 64)
	switch {
	case s.EightBit && !has("8BITMIME"):
		return badMessage("5.6.3", textNoEightBit), true
	case s.UTF8 && !has("SMTPUTF8"):
		return badMessage("5.6.7", textNoUTF8), true
	case limit > 0 && t.octets() > limit:
		return badMessage("5.3.4", textTooLarge), true
	}
	return relay.Outcome{}, false
}

func (t *transaction) octets() int64 { return t.mail.Submission.Octets + int64(len(t.prefix)) }

// recipient is the one at a place of the mail.
func (t *transaction) recipient(n int) mailbox.Address {
	return t.mail.Submission.Recipients[t.mail.Recipients[n]]
}

func (t *transaction) mailFrom() string {
	s := t.mail.Submission
	line := "MAIL FROM:<" + s.From.String() + ">"
	if _, ok := t.ext["SIZE"]; ok {
		line += " SIZE=" + strconv.FormatInt(t.octets(), 10)
	}
	if _, ok := t.ext["8BITMIME"]; ok && s.EightBit {
		line += " BODY=8BITMIME"
	}
	if s.UTF8 {
		line += " SMTPUTF8"
	}
	return line + t.dsnOfMail()
}

// envelope says everything up to DATA. It reports true where the content is due.
func (t *transaction) envelope() (ready bool, err error) {
	var lines []string
	if t.open {
		lines = append(lines, "RSET")
	}
	mail := len(lines)
	lines = append(lines, t.mailFrom())
	for n := range t.mail.Recipients {
		lines = append(lines, "RCPT TO:<"+t.recipient(n).String()+">"+t.dsnOfRcpt(n))
	}
	data := len(lines)
	lines = append(lines, "DATA")

	group := 1
	if _, ok := t.ext["PIPELINING"]; ok {
		group = window
	}
	accepted, reused := 0, t.used > 0
	for i := 0; i < len(lines); {
		if i == data && accepted == 0 {
			break
		}
		end := min(i+group, len(lines))
		if _, err := t.out.WriteString(strings.Join(lines[i:end], "\r\n") + "\r\n"); err != nil {
			t.stale = reused && i == 0
			return false, err
		}
		if err := t.out.Flush(); err != nil {
			t.stale = reused && i == 0
			return false, err
		}
		for ; i < end; i++ {
			r, err := t.reply(t.hop.times.Command)
			if reused && i == 0 && (err != nil || r.code == 421) {
				t.stale = true
				return false, errors.Join(err, errStale)
			}
			if err != nil {
				return false, err
			}
			good := r.code/100 == 2
			switch {
			case r.code == 421:
				t.rest(r.outcome(stepOf(i, mail, data), nil, t.hop.rules...))
				return false, nil
			case i < mail:
				if !good {
					return false, fmt.Errorf("RSET: %d %s", r.code, oneLine(r.text))
				}
				t.open = false
			case i == mail:
				if t.open = good; !good {
					t.rest(r.outcome(atMail, nil, t.hop.rules...))
				}
			case i < data:
				if n := i - mail - 1; good {
					accepted++
				} else if !t.known[n] {
					r.to = t.recipient(n).String()
					t.outcomes[n], t.known[n] = r.outcome(atRcpt, nil, t.hop.rules...), true
				}
			case r.code == 354 && accepted > 0:
				return true, nil
			case r.code == 354:
				return false, nil // it waits for a content: the connection is lost
			case accepted > 0:
				t.rest(r.outcome(atData, nil, t.hop.rules...))
			}
		}
		if !t.open {
			break // MAIL was refused
		}
	}
	t.keep = true
	return false, nil
}

var errStale = errors.New("closed while it was idle")

func stepOf(i, mail, data int) step {
	switch {
	case i <= mail:
		return atMail
	case i < data:
		return atRcpt
	}
	return atData
}

// content sends the message and reads what became of it.
func (t *transaction) content(content io.Reader) {
	w := dotline.NewWriter(t.out)
	_, err := io.WriteString(w, t.prefix)
	if err == nil {
		_, err = io.Copy(w, reading{content})
	}
	if err == nil {
		err = t.out.Flush()
	}
	var read readError
	switch {
	case errors.As(err, &read):
		t.rest(transport(textContent))
		return
	case err != nil:
		t.rest(t.interrupted(transport(t.hop.addr + ": " + cause(err))))
		return
	}
	if err := t.mail.Commit(); err != nil {
		t.rest(transport(textBrokenOff))
		return
	}
	if err = w.Close(); err == nil {
		err = t.out.Flush()
	}
	if err != nil {
		t.rest(t.interrupted(ambiguous(textUnanswered + ": " + cause(err))))
		return
	}
	r, err := t.reply(t.hop.times.Reply)
	if err != nil || r.code/100 == 3 {
		if err == nil {
			err = errRubbish
		}
		t.rest(ambiguous(textUnanswered + ": " + cause(err)))
		return
	}
	t.open = false
	t.used++
	t.keep = r.code != 421
	t.rest(t.answer(r))
}

// answer is the outcome of the final reply.
func (t *transaction) answer(r reply) relay.Outcome {
	if r.code/100 == 2 {
		o := relay.Outcome{Result: relay.Success, Code: r.code, Enhanced: r.enhanced, Text: oneLine(r.text)}
		if t.hop.remoteID != nil {
			o.RemoteID = oneLine(t.hop.remoteID(r.text))
		}
		return o
	}
	o := r.outcome(atDot, nil, t.hop.rules...)
	if o.Result == relay.BadRecipient { // one of them, and nobody says which
		for i, known := range t.known {
			if !known {
				t.together = append(t.together, i)
			}
		}
	}
	return o
}

// interrupted is the outcome where the content cannot be written: what the server said
// before it closed the connection, or else o.
func (t *transaction) interrupted(o relay.Outcome) relay.Outcome {
	if t.ctx.Err() == nil {
		if r, err := t.reply(time.Second); err == nil && r.code >= 400 {
			return t.answer(r)
		}
	}
	return o
}

// reading tells failures of a reader from those of the writer that it is copied to.
type reading struct{ io.Reader }

type readError struct{ error }

func (r reading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = readError{err}
	}
	return n, err
}
