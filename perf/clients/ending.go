package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	askEach   = 100 * time.Millisecond
	aftermath = 3 * time.Second // how long a mailbox is asked for after its end
)

// A sighting is what one protocol told of a mailbox, before and after its end.
type sighting struct {
	end         time.Time
	there, gone time.Time // when it was asked that last found it, and first did not
	early, late error     // the first answer that was wrong, by when it was asked
}

// watch asks every tenth of a second until the aftermath is over, and holds the answers
// to the end that the server told: one that came before the end has to find the
// mailbox, one to what was asked from the end on must not. What was under way at the
// end may do either. Server and tool have the same clock.
func watch(ctx context.Context, end time.Time, there func(context.Context) (bool, error)) sighting {
	s := sighting{end: end}
	tick := time.NewTicker(askEach)
	defer tick.Stop()
	for asked := time.Now(); asked.Before(end.Add(aftermath)); asked = time.Now() {
		found, err := there(ctx)
		s.put(asked, time.Now(), found, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s
		}
	}
	if s.there.IsZero() {
		s.early = errors.Join(s.early, errors.New("it was never there"))
	}
	if s.gone.IsZero() {
		s.late = errors.Join(s.late, errors.New("it was never seen to be gone"))
	}
	return s
}

// put judges one answer.
func (s *sighting) put(asked, answered time.Time, found bool, err error) {
	over := !asked.Before(s.end)
	switch {
	case err != nil:
	case found && over:
		err = fmt.Errorf("there when asked %v after its end", asked.Sub(s.end))
	case !found && answered.Before(s.end):
		err = fmt.Errorf("gone %v before its end", s.end.Sub(answered))
	case found:
		s.there = asked
	case s.gone.IsZero():
		s.gone = asked
	}
	switch {
	case err == nil:
	case over && s.late == nil:
		s.late = err
	case !over && s.early == nil:
		s.early = err
	}
}

// String tells how close to the end it was asked.
func (s *sighting) String() string {
	return fmt.Sprintf("last found when asked %.3f s before the end, first not found when asked %.3f s after it",
		s.end.Sub(s.there).Seconds(), s.gone.Sub(s.end).Seconds())
}
