package pool

import (
	"time"

	"restante/relay"
)

// A quota is what a service may still be given: per second, per day, and again after it
// said that it was too much.
type quota struct {
	tokens float64
	filled time.Time // until when the tokens are counted; zero: there is no rate
	day    window    // recipients

	until time.Time // it rests until then
	times int       // how often in a row it did not say until when
}

const (
	restMin, restMax = time.Second, 5 * time.Minute // where the service does not say how long
	restLongest      = 24 * time.Hour               // whatever it says
)

func newQuota() quota { return quota{day: newWindow(24*time.Hour, 24)} }

// fill counts the tokens. A take may have left less than none, which is paid off first.
// When a rate begins to be kept nobody knows what others have used of it, so there is one
// token and not a burst, which every process would have.
func (q *quota) fill(l Limits, now time.Time) {
	switch {
	case l.PerSecond == 0:
		q.filled = time.Time{}
		return
	case q.filled.IsZero():
		q.tokens, q.filled = 1, now
	case now.Before(q.filled):
		return // it rests
	}
	burst := l.Burst
	if burst == 0 {
		burst = 2 * l.PerSecond
	}
	q.tokens = min(max(burst, 1), q.tokens+now.Sub(q.filled).Seconds()*l.PerSecond)
	q.filled = now
}

// wait is how long until the rate allows the next mail.
func (q *quota) wait(l Limits, now time.Time) time.Duration {
	if l.PerSecond == 0 {
		return 0
	}
	q.fill(l, now)
	if q.tokens >= 1 {
		return 0
	}
	return time.Duration((1-q.tokens)/l.PerSecond*float64(time.Second)) + time.Microsecond
}

func (q *quota) take(l Limits, now time.Time, recipients int) {
	q.fill(l, now)
	q.tokens -= float64(recipients)
	q.day.add(now, 0, int64(recipients))
}

// giveBack undoes a take of what was not used.
func (q *quota) giveBack(now time.Time, recipients int) {
	q.tokens += float64(recipients)
	q.day.add(now, 0, -int64(recipients))
}

// throttle makes it rest. Then it begins without tokens: what it knew of the rate was too
// much.
func (q *quota) throttle(now, until time.Time) {
	if !until.After(now) {
		if now.Before(q.until) {
			return // the mail was on its way when another was turned away
		}
		until = now.Add(min(restMin<<min(q.times, 20), restMax))
		q.times++
	}
	if until = minTime(until, now.Add(restLongest)); until.After(q.until) {
		q.until = until
	}
	q.tokens, q.filled = min(q.tokens, 0), q.until
}

// reset forgets that it was to rest.
func (q *quota) reset() { q.until, q.times, q.filled = time.Time{}, 0, time.Time{} }

func (q *quota) success(now time.Time) {
	if now.After(q.until) {
		q.times = 0
	}
}

func (q *quota) judge(l Limits, now time.Time) (State, string) {
	q.fill(l, now) // from when it is looked at, and not from the first mail
	switch {
	case now.Before(q.until):
		return Throttled, "rests until " + q.until.UTC().Format(time.DateTime)
	case l.PerDay > 0 && q.day.sum(now)[0] >= l.PerDay:
		return Throttled, "its day is used up"
	}
	return Up, ""
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// A verdict is what the outcomes of one mail say about the service.
type verdict struct {
	failed, succeeded bool
	away              bool // it failed for the service itself was not reached
	throttled         bool
	until             time.Time
	account           string // what is wrong with the account
	stranger          string // why the sender was refused
}

// verdictOf: that a recipient or a content is refused is an answer of a service that
// works, and so is one success beside failures. One that was not asked said nothing.
func verdictOf(outcomes []relay.Outcome) (v verdict) {
	for _, o := range outcomes {
		if o.Unasked {
			continue
		}
		switch o.Result {
		case relay.Success, relay.BadRecipient, relay.BadMessage:
			v.succeeded = true
		case relay.Throttled:
			v.throttled = true
			if o.Until.After(v.until) {
				v.until = o.Until
			}
		case relay.AccountFault:
			why := "account fault"
			if o.Text != "" {
				why += ": " + o.Text
			}
			if o.OfSender {
				v.stranger = why
			} else {
				v.account = why
			}
		case relay.Temporary, relay.Transport, relay.Ambiguous:
			v.failed = true
			v.away = v.away || o.Result == relay.Transport
		}
	}
	if v.succeeded {
		v.failed, v.account, v.stranger = false, "", ""
	}
	return v
}
