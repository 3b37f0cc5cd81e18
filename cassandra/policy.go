package cassandra

import (
	"context"
	"sync"

	"github.com/gocql/gocql"
)

// A call is the context of one statement, and what became of it on the way.
type call struct {
	context.Context
	only  *gocql.HostInfo // where not nil: no other node is asked
	host  string          // the last one asked
	tries int
}

// A policy chooses the node that a statement goes to: a replica of its partition,
// and then any other of the data centre. It knows the nodes there are.
type policy struct {
	gocql.HostSelectionPolicy

	mu    sync.Mutex
	nodes map[string]*gocql.HostInfo // by id
}

func newPolicy(datacenter string) *policy {
	return &policy{
		HostSelectionPolicy: gocql.TokenAwareHostPolicy(gocql.DCAwareRoundRobinPolicy(datacenter), gocql.ShuffleReplicas()),
		nodes:               make(map[string]*gocql.HostInfo),
	}
}

func (p *policy) AddHost(h *gocql.HostInfo) {
	p.know(h)
	p.HostSelectionPolicy.AddHost(h)
}

// AddHosts is AddHost for all nodes at once, which the driver makes use of.
func (p *policy) AddHosts(hosts []*gocql.HostInfo) {
	p.know(hosts...)
	p.HostSelectionPolicy.(interface{ AddHosts([]*gocql.HostInfo) }).AddHosts(hosts)
}

func (p *policy) RemoveHost(h *gocql.HostInfo) {
	p.mu.Lock()
	delete(p.nodes, h.HostID())
	p.mu.Unlock()
	p.HostSelectionPolicy.RemoveHost(h)
}

func (p *policy) HostUp(h *gocql.HostInfo) {
	p.know(h)
	p.HostSelectionPolicy.HostUp(h)
}

func (p *policy) know(hosts ...*gocql.HostInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range hosts {
		p.nodes[h.HostID()] = h
	}
}

// up are the nodes that the driver counts as running.
func (p *policy) up() []*gocql.HostInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	var up []*gocql.HostInfo
	for _, h := range p.nodes {
		if h.IsUp() {
			up = append(up, h)
		}
	}
	return up
}

// Pick returns the nodes to try, one after the other.
func (p *policy) Pick(q gocql.ExecutableQuery) gocql.NextHost {
	var c *call
	if q != nil {
		c, _ = q.Context().(*call)
	}
	if c == nil {
		return p.HostSelectionPolicy.Pick(q) // the driver's own
	}
	next := func() *gocql.HostInfo { only := c.only; c.only = nil; return only }
	if c.only == nil {
		pick := p.HostSelectionPolicy.Pick(q)
		next = func() *gocql.HostInfo {
			if h := pick(); h != nil {
				return h.Info()
			}
			return nil
		}
	}
	return func() gocql.SelectedHost {
		if h := next(); h != nil {
			return &choice{h, c}
		}
		return nil
	}
}

// A choice is a node that a statement is sent to, unless it has no connection.
type choice struct {
	node *gocql.HostInfo
	call *call
}

func (c *choice) Info() *gocql.HostInfo { return c.node }

// Mark is called with the outcome, by the goroutine of the statement.
func (c *choice) Mark(error) {
	c.call.host = c.node.ConnectAddressAndPort()
	c.call.tries++
}
