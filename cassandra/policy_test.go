package cassandra

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocql/gocql"
)

// byOrder is a policy that chooses the nodes in their order.
type byOrder struct {
	gocql.HostSelectionPolicy
	nodes []*gocql.HostInfo
}

func (o *byOrder) AddHosts(hosts []*gocql.HostInfo) { o.nodes = hosts }
func (o *byOrder) RemoveHost(*gocql.HostInfo)       {}

func (o *byOrder) KeyspaceChanged(gocql.KeyspaceUpdateEvent) {
	panic("first replica is not the primary replica")
}

func (o *byOrder) Pick(gocql.ExecutableQuery) gocql.NextHost {
	i := -1
	return func() gocql.SelectedHost {
		if i++; i < len(o.nodes) {
			return &choice{HostInfo: o.nodes[i], call: &call{}}
		}
		return nil
	}
}

// threeNodes is a policy that knows the nodes 1, 2 and 3.
func threeNodes() *policy {
	p := &policy{HostSelectionPolicy: &byOrder{}}
	var hosts []*gocql.HostInfo
	for i := range 3 {
		h := &gocql.HostInfo{}
		h.SetConnectAddress(net.IPv4(127, 0, 0, byte(i+1)))
		h.SetHostID(fmt.Sprint(i + 1))
		hosts = append(hosts, h)
	}
	p.AddHosts(hosts)
	return p
}

// statementWith is what the policy sees of a statement.
func statementWith(c *call) gocql.ExecutableQuery {
	return new(gocql.Session).Query("").WithContext(c)
}

// tried are the nodes that a statement is sent to, which answer it with an error.
func tried(ctx context.Context, p *policy, answer map[string]error) string {
	var ids []string
	c := &call{Context: ctx}
	next := p.Pick(statementWith(c))
	for h := next(); h != nil; h = next() {
		id := h.Info().HostID()
		ids = append(ids, id)
		h.Mark(answer[id])
		if answer[id] == nil {
			break
		}
	}
	return strings.Join(ids, " ")
}

func TestASilentNodeIsAskedLastUntilItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := threeNodes()
		silent := map[string]error{"1": gocql.ErrTimeoutNoResponse}
		away := map[string]error{"1": gocql.ErrTimeoutNoResponse, "2": errors.New("away"), "3": errors.New("away")}
		want := func(when, nodes, tried string) {
			t.Helper()
			if tried != nodes {
				t.Errorf("%s: tried %s, want %s", when, tried, nodes)
			}
		}
		want("at first", "1 2", tried(t.Context(), p, silent))
		want("then", "2", tried(t.Context(), p, silent))
		want("where there is no other", "2 3 1", tried(t.Context(), p, away))
		time.Sleep(silentFor + time.Second)
		want("one looks again", "1 2", tried(t.Context(), p, silent))
		want("and the others do not", "2", tried(t.Context(), p, silent))
		time.Sleep(silentFor + time.Second)
		want("when it answers", "1", tried(t.Context(), p, nil))
		want("as before", "1", tried(t.Context(), p, silent)[:1])
	})
}

func TestANodeIsSilentWhenACallerHasWaitedLongEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for wait, nodes := range map[time.Duration]string{silence / 2: "1", silence * 2: "2"} {
			p := threeNodes()
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			h := p.Pick(statementWith(&call{Context: ctx}))()
			<-ctx.Done()
			h.Mark(nil) // as the driver does when the caller's time is over
			if got := tried(t.Context(), p, nil); got != nodes {
				t.Errorf("after %s: tried %s, want %s", wait, got, nodes)
			}
		}
	})
}

// A node is as silent when others answer in its place, so that reads which are asked of two
// nodes find out too.
func TestANodeThatIsOvertakenForAWhileIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := threeNodes()
		overtaken := func() {
			ctx, overtake := context.WithCancelCause(t.Context())
			c := &call{Context: ctx}
			h := p.Pick(statementWith(c))()
			if h.Info().HostID() != "1" || c.asked.Load() != h.Info() {
				t.Errorf("went to %s, want 1", h.Info().HostID())
			}
			time.Sleep(hedgeAfter)
			overtake(errOvertaken)
			h.Mark(nil) // as the driver does
		}
		for range silence / hedgeAfter {
			overtaken()
		}
		if got := tried(t.Context(), p, nil); got != "1" {
			t.Errorf("tried %s, want 1, which answers", got)
		}
		for range silence/hedgeAfter + 1 {
			overtaken()
		}
		if got := tried(t.Context(), p, nil); got != "2" {
			t.Errorf("tried %s, want 2: 1 is silent", got)
		}
	})
}

func TestWhoIsAskedAsWellIsAnotherAndNotSilent(t *testing.T) {
	p := threeNodes()
	first := p.up()[0]
	p.node(p.up()[1]).silent.Store(time.Now().UnixNano())
	next := p.Pick(statementWith(&call{Context: t.Context(), besides: first}))
	if h := next(); h == nil || h.Info() != p.up()[2] {
		t.Errorf("went to %v, want 3", h)
	}
	if h := next(); h != nil {
		t.Errorf("and then to %v", h)
	}
}

// Who has little time would be at its end before the node counts as silent again.
func TestWhoHasLittleTimeDoesNotLookWhetherANodeIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := threeNodes()
		tried(t.Context(), p, map[string]error{"1": gocql.ErrTimeoutNoResponse})
		time.Sleep(silentFor + time.Second)
		for _, c := range []struct {
			time  time.Duration
			nodes string
		}{{tryTimeout, "2"}, {statementTimeout, "1"}} {
			ctx, cancel := context.WithTimeout(t.Context(), c.time)
			defer cancel()
			if got := tried(ctx, p, nil); got != c.nodes {
				t.Errorf("with %s it tried %s, want %s", c.time, got, c.nodes)
			}
		}
	})
}

func TestANodeThatWaitsForAnotherDataCentreIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := threeNodes()
		ctx, cancel := context.WithTimeout(t.Context(), 2*silence)
		defer cancel()
		for _, level := range []Consistency{EachQuorum, everyReplica} {
			p.Pick(statementWith(&call{Context: t.Context(), far: level.far()}))().Mark(gocql.ErrTimeoutNoResponse)
		}
		h := p.Pick(statementWith(&call{Context: ctx, far: true}))()
		<-ctx.Done()
		h.Mark(nil)
		if got := tried(t.Context(), p, nil); got != "1" {
			t.Errorf("tried %s, want 1", got)
		}
		for _, level := range []Consistency{LocalQuorum, localOne} {
			if level.far() {
				t.Errorf("%s waits for other data centres", level)
			}
		}
	})
}

func TestAStatementForOneNodeGoesThere(t *testing.T) {
	p := threeNodes()
	third := p.up()[2]
	c := &call{Context: t.Context(), only: third}
	next := p.Pick(statementWith(c))
	h := next()
	h.Mark(nil)
	if h.Info() != third || next() != nil || c.host != "127.0.0.3:0" || c.tries != 1 {
		t.Errorf("went to %s in %d tries, want %s alone", c.host, c.tries, third.ConnectAddressAndPort())
	}
}

func TestTheNodesThatAreKnown(t *testing.T) {
	p := threeNodes()
	p.know(p.up()[0]) // again
	p.RemoveHost(p.up()[1])
	var ids string
	for _, h := range p.up() {
		ids += h.HostID()
	}
	if ids != "13" {
		t.Errorf("nodes %s, want 1 and 3", ids)
	}
}

// The driver panics in a goroutine of its own, and the server would end.
func TestAKeyspaceWithoutReplicasHereEndsNothing(t *testing.T) {
	threeNodes().KeyspaceChanged(gocql.KeyspaceUpdateEvent{Keyspace: "mail", Change: "UPDATED"})
}
