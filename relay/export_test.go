package relay

import "time"

// What tests see of a queue.

// Mutate switches rules off, by name, before Run.
func (q *Queue) Mutate(rule string) {
	switch rule {
	case "no attempt is written":
		q.rules.noAttempt = true
	case "success is forgotten":
		q.rules.forgetSuccess = true
	case "the lease is not looked at":
		q.rules.noLease = true
	case "":
	default:
		panic("no such rule: " + rule)
	}
}

// Pause is how long to wait after the attempt of a number.
func (p *Policy) Pause(seq int) time.Duration { return p.pause(seq) }

// Repack is what a submission is after it was packed.
func Repack(s *Submission) *Submission { return unpack(pack(s)) }

// MostToRepeat is how many withdrawals are remembered before new mail is refused.
const MostToRepeat = mostToRepeat
