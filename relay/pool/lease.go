package pool

import (
	"fmt"
	"time"
)

// A lease is what the beats of an agent say. It is by the clock of this process alone.
type lease struct {
	beats int       // in a row, up to enough
	here  time.Time // when this process heard the last one
	there time.Time // when it learnt from the store that another process heard one
	last  Beat      // what it said
	seq   uint64    // of the last beat that this process heard
}

// enough is how many beats in a row make an agent that is not known one that is up.
const enough = 2

// A Beat is what an agent says about itself, again and again.
type Beat struct {
	Epoch    Epoch  `json:"epoch,omitzero"`       // as it was told when it registered
	Seq      uint64 `json:"seq"`                  // higher with every beat to the same process; 0: not counted
	Status   string `json:"status,omitempty"`     // up, degraded, drain or down; empty: up
	Percent  int    `json:"weight_pct,omitempty"` // of its weight, 1 to 100; 0: all
	Capacity int    `json:"capacity,omitempty"`   // mails at a time; 0: not told
	Left     *int64 `json:"quota_left,omitempty"` // recipients; at zero it rests
	Note     string `json:"note,omitempty"`       // for people
}

func (b Beat) check() error {
	statuses := map[string]bool{"": true, "up": true, "degraded": true, "drain": true, "down": true}
	if !statuses[b.Status] || b.Percent < 0 || b.Percent > 100 || b.Capacity < 0 || len(b.Note) > maxText {
		return fmt.Errorf("pool: beat: %w: want the status up, degraded, drain or down, weight_pct 0 to 100, capacity not negative, and a note of at most %d octets", ErrInvalid, maxText)
	}
	return nil
}

// age is how long nothing has been heard. Time stands still for what others hear while
// the store cannot be read: polled is when it was read last.
func (l *lease) age(now, polled time.Time) time.Duration {
	age := now.Sub(l.here)
	if !l.there.IsZero() {
		// What was heard is seen at the next poll, so half an interval is not waited for.
		age = min(age, max(0, polled.Sub(l.there)+sharedEvery/2))
	}
	return age
}

func (l *lease) heard(b Beat) {
	l.last = b
	l.beats = min(l.beats+1, enough)
}

func (l *lease) judge(now, polled time.Time, ttl time.Duration) (State, string) {
	if age := l.age(now, polled); age >= ttl {
		l.beats = 0
		return Down, "no beat is heard"
	}
	switch l.last.Status {
	case "down":
		return Down, "says that it is down"
	case "drain":
		return Draining, "asks for no more mail"
	}
	if l.beats < enough {
		return Probing, "has not beaten often enough"
	}
	if l.last.Left != nil && *l.last.Left <= 0 {
		return Throttled, "says that it may send no more"
	}
	if l.last.Status == "degraded" {
		return Suspect, "says that it is degraded"
	}
	return Up, ""
}
