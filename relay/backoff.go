package relay

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// A Policy says how long and how often mail of a class is tried.
type Policy struct {
	Steps     []time.Duration // from one attempt to the next; the last one repeats
	Expires   time.Duration   // after it was accepted; then it fails
	Delay     time.Duration   // after it was accepted; then the sender hears that it waits; 0: never
	Ambiguous Ambiguity
	Hold      time.Duration // before an ambiguous attempt is repeated, at least
}

// An Ambiguity says what is done when a next hop got the whole content and did not
// answer. Whatever is done, some mail arrives twice or some does not arrive.
type Ambiguity uint8

const (
	// RetrySame asks the same service again if it is up, since it may know the message.
	RetrySame Ambiguity = iota
	// RetryAny asks any service.
	RetryAny
	// AssumeSent takes it for delivered.
	AssumeSent
)

// Policies are those of each class, by [Class].
type Policies [3]Policy

// DefaultPolicies retry for five days, and for one day what somebody waits for.
func DefaultPolicies() Policies {
	const s, m, h = time.Second, time.Minute, time.Hour
	patient := Policy{
		Steps:   []time.Duration{m, 5 * m, 15 * m, 30 * m, h, 2 * h, 4 * h, 6 * h},
		Expires: 5 * 24 * h, Delay: 4 * h, Hold: 5 * m,
	}
	urgent := Policy{
		Steps:   []time.Duration{10 * s, 30 * s, 2 * m, 10 * m, 30 * m, h},
		Expires: 24 * h, Delay: 4 * h, Hold: 5 * m,
	}
	return Policies{Normal: patient, High: urgent, Bulk: patient}
}

// check fails where a policy makes no sense.
func (p *Policy) check() error {
	if len(p.Steps) == 0 || slices.Min(p.Steps) <= 0 || p.Expires <= 0 || p.Delay < 0 || p.Hold < 0 {
		return errors.New("relay: a policy needs steps and an end, and no time is negative")
	}
	return nil
}

// of is the policy of a class; one that is not known is Normal.
func (p *Policies) of(c Class) *Policy {
	if int(c) >= len(p) {
		c = Normal
	}
	return &p[c]
}

// firstSoon is how long to wait after the first attempt that reached nobody. By then it
// is mostly known that no service is up, for which mail waits without an attempt.
const firstSoon = 2 * time.Second

// soon is how long to wait after attempts of which so many reached nobody, a quarter more
// or less; at most a first step.
func (p *Policy) soon(times int) time.Duration {
	pause := min(firstSoon<<(min(max(times, 1), mostUnreached)-1), p.Steps[0])
	return pause - pause/4 + rand.N(pause/2+1)
}

// pause is how long to wait after the attempt of a number, from 1, a tenth more or
// less, so that what failed together is not tried together.
func (p *Policy) pause(seq int) time.Duration {
	step := p.Steps[min(max(seq, 1), len(p.Steps))-1]
	return step - step/10 + rand.N(step/5+1)
}

// hold is how long to wait after the attempt of a number, from 1, that may have succeeded.
// It grows as others do: where each attempt succeeds and is not answered, each is a copy.
func (p *Policy) hold(seq int) time.Duration { return max(p.Hold, p.pause(seq)) }

// reopen is how long after the beginning of an attempt of a number, from 1, whose process
// died in it, the next is due. The first is repeated soon: most processes die of something
// else. One that is there again was perhaps what they died of.
func (p *Policy) reopen(seq int) time.Duration {
	if seq <= 1 {
		return 0
	}
	return p.pause(seq - 1)
}
