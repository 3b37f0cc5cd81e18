package cassandra

import (
	"context"
	"errors"
	"time"

	"github.com/gocql/gocql"
)

const (
	// hedgeAfter is how long a read waits for its answer before another node is asked as
	// well: longer than reads take on nodes that are busy, shorter than who waits minds.
	hedgeAfter = 250 * time.Millisecond
	// hedgeRate is how many reads a second are sent twice, and hedgeBurst how many at once.
	// Where all nodes are slow, more of it would make them slower.
	hedgeRate  = 16
	hedgeBurst = 32
)

// errOvertaken ends a try whose answer has come from another node.
var errOvertaken = errors.New("another node was faster")

// hedge asks, and when there is no answer for a while asks another node of the data centre
// as well; the first answer counts. A node that stops for a second, for its disk or to
// collect garbage, makes nobody wait for it.
//
// A read that other data centres have to answer is asked once: the link to them may be cut.
func (s *session) hedge(c *call, ask func(*call) (*gocql.Iter, error)) (*gocql.Iter, error) {
	if c.far {
		return ask(c)
	}
	whole := c.Context
	first, overtake := context.WithCancelCause(whole)
	defer overtake(nil)
	var second *gocql.Iter // nil: it has no answer
	done := make(chan struct{})
	timer := time.AfterFunc(hedgeAfter, func() {
		defer close(done)
		if !s.hedges.Allow() {
			return
		}
		s.metrics.hedges.Inc()
		later, giveUp := context.WithCancel(whole)
		defer giveUp()
		defer context.AfterFunc(first, giveUp)()
		// None was asked yet where the driver still finds out about the statement.
		if page, err := ask(&call{Context: later, besides: c.asked.Load()}); err == nil {
			second = page
			overtake(errOvertaken)
		}
	})
	c.Context = first
	page, err := ask(c)
	if timer.Stop() {
		return page, err
	}
	if err == nil {
		overtake(nil) // and the second with it
	}
	<-done
	if err != nil && second != nil {
		return second, nil
	}
	return page, err
}
