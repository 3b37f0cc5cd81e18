package cassandra

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocql/gocql"
)

// A call is the context of one statement, and what became of it on the way.
type call struct {
	context.Context
	only    *gocql.HostInfo // where not nil: no other node is asked
	besides *gocql.HostInfo // where not nil: this one was asked by another call, which goes on
	blind   bool            // it is not known where the partition is
	far     bool            // nodes of other data centres have to answer, too
	asked   atomic.Pointer[gocql.HostInfo]
	host    string // the last one asked, once that has come to its end
	tries   int
}

// A policy chooses the node that a statement goes to: a replica of its partition,
// and then any other of the data centre. A node that did not answer comes last,
// for the cluster itself needs some time to notice that a node is frozen.
type policy struct {
	gocql.HostSelectionPolicy
	anywhere gocql.HostSelectionPolicy // the part of it that does not look at the partition

	mu    sync.Mutex // of those who change nodes
	nodes atomic.Pointer[[]*node]
}

// A node is one of the data centre.
type node struct {
	*gocql.HostInfo
	silent    atomic.Int64 // since when it does not answer, in nanoseconds since 1970; 0: it does
	overtaken atomic.Int64 // when the first was sent of the reads that others have answered since its last answer; 0: none
}

const (
	// silence is how long a statement waits for an answer before the node counts as
	// silent; shorter ones were the caller's.
	silence = time.Second
	// silentFor is how long a node is then left alone. One statement looks whether
	// it is back, of those that have the time to go elsewhere afterwards.
	silentFor = 5 * time.Second
)

// knowledge is what the driver knows of a statement: which arguments say where its
// partition is.
type knowledge struct {
	mu   sync.Mutex // held by who finds out
	text string     // of the statement, as the driver knows it
	sure atomic.Bool
}

const (
	// learnTimeout is how long the driver may take to find out.
	learnTimeout = time.Second
	// neverKnown is what the driver says, from then on, of a statement that was new
	// when it had no connection.
	neverKnown = "no connection available"
)

// learn is the text to send a statement as. Of one that is new the driver finds out
// by asking any node, of which one may be frozen; before it knows, the statement is
// sent anywhere.
func (d *connected) learn(c *call, st *statement, args []any) string {
	v, ok := d.known.Load(st)
	if !ok {
		v, _ = d.known.LoadOrStore(st, &knowledge{text: st.cql})
	}
	k := v.(*knowledge)
	if k.sure.Load() {
		return k.text
	}
	c.blind = true
	if !k.mu.TryLock() {
		return st.cql
	}
	defer k.mu.Unlock()
	ctx, cancel := context.WithTimeout(c, learnTimeout)
	defer cancel()
	_, err := d.Query(k.text, args...).WithContext(ctx).GetRoutingKey()
	switch {
	case err == nil:
		k.sure.Store(true)
		c.blind = false
		return k.text
	case strings.Contains(err.Error(), neverKnown):
		k.text += " " // it will know that one
	}
	return st.cql
}

// newPolicy asks for a partition always the same replica first, so that each node has in
// its caches what it is asked for, and not all there is.
func newPolicy(datacenter string) *policy {
	anywhere := gocql.DCAwareRoundRobinPolicy(datacenter)
	return &policy{HostSelectionPolicy: gocql.TokenAwareHostPolicy(anywhere), anywhere: anywhere}
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
	nodes := slices.DeleteFunc(slices.Clone(p.all()), func(n *node) bool { return n.HostInfo == h })
	p.nodes.Store(&nodes)
	p.mu.Unlock()
	p.HostSelectionPolicy.RemoveHost(h)
}

func (p *policy) HostUp(h *gocql.HostInfo) {
	p.know(h)
	p.HostSelectionPolicy.HostUp(h)
}

// KeyspaceChanged learns where replicas are. The driver panics over a keyspace that
// has none in the data centre; then no node is preferred.
func (p *policy) KeyspaceChanged(e gocql.KeyspaceUpdateEvent) {
	defer func() { _ = recover() }()
	p.HostSelectionPolicy.KeyspaceChanged(e)
}

func (p *policy) know(hosts ...*gocql.HostInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	nodes := slices.Clone(p.all())
	for _, h := range hosts {
		if p.node(h) == nil {
			nodes = append(nodes, &node{HostInfo: h})
		}
	}
	p.nodes.Store(&nodes)
}

func (p *policy) all() []*node {
	if nodes := p.nodes.Load(); nodes != nil {
		return *nodes
	}
	return nil
}

func (p *policy) node(h *gocql.HostInfo) *node {
	for _, n := range p.all() {
		if n.HostInfo == h {
			return n
		}
	}
	return nil
}

// up are the nodes that the driver counts as running.
func (p *policy) up() []*gocql.HostInfo {
	var up []*gocql.HostInfo
	for _, n := range p.all() {
		if n.IsUp() {
			up = append(up, n.HostInfo)
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
	switch {
	case c == nil:
		return p.HostSelectionPolicy.Pick(q) // the driver's own
	case c.only != nil:
		only := c.only
		return func() gocql.SelectedHost {
			h := only
			only = nil
			return p.choose(h, c)
		}
	}
	pick := p.HostSelectionPolicy.Pick
	if c.blind {
		pick = p.anywhere.Pick
	}
	next := pick(q)
	var last []*gocql.HostInfo
	return func() gocql.SelectedHost {
		for s := next(); s != nil; s = next() {
			if n := p.node(s.Info()); n == nil || n.answers(time.Now(), c) {
				return p.choose(s.Info(), c)
			}
			last = append(last, s.Info())
		}
		if len(last) == 0 || c.besides != nil {
			return nil
		}
		h := last[0]
		last = last[1:]
		return p.choose(h, c)
	}
}

// answers reports whether a node is worth a statement.
func (n *node) answers(now time.Time, c *call) bool {
	since := n.silent.Load()
	switch {
	case n.HostInfo == c.besides:
		return false
	case since == 0:
		return true
	case now.Sub(time.Unix(0, since)) <= silentFor:
		return false
	case c.besides != nil:
		return true
	}
	if end, ends := c.Deadline(); ends && end.Sub(now) <= tryTimeout {
		return false
	}
	return n.silent.CompareAndSwap(since, now.UnixNano())
}

func (p *policy) choose(h *gocql.HostInfo, c *call) gocql.SelectedHost {
	if h == nil {
		return nil
	}
	c.asked.Store(h)
	return &choice{HostInfo: h, node: p.node(h), call: c, since: time.Now()}
}

// A choice is a node that a statement is sent to, unless it has no connection.
type choice struct {
	*gocql.HostInfo
	node  *node // nil: it was removed meanwhile
	call  *call
	since time.Time
}

func (c *choice) Info() *gocql.HostInfo { return c.HostInfo }

// Mark is called with the outcome, by the goroutine of the statement. That a statement
// had no answer says nothing about the node that was asked where it waits for other data
// centres: the link to them may be cut.
func (c *choice) Mark(err error) {
	c.call.host = c.ConnectAddressAndPort()
	c.call.tries++
	if c.node == nil {
		return
	}
	// The driver calls with nil, too, when the caller's time is over.
	ended := c.call.Err()
	switch {
	case errors.Is(err, gocql.ErrTimeoutNoResponse), errors.Is(ended, context.DeadlineExceeded) && time.Since(c.since) > silence:
		if !c.call.far {
			c.node.silent.Store(time.Now().UnixNano())
		}
	case errors.Is(context.Cause(c.call), errOvertaken):
		c.node.overtake(c.since)
	case err == nil && ended == nil:
		c.node.answered()
	}
}

// answered notes that a node has.
func (n *node) answered() {
	for _, since := range []*atomic.Int64{&n.silent, &n.overtaken} {
		if since.Load() != 0 { // which costs less than to write
			since.Store(0)
		}
	}
}

// overtake notes that a node had not answered what was sent at a time when another one did.
// Where it has been so for a while, it is silent.
func (n *node) overtake(sent time.Time) {
	if n.overtaken.CompareAndSwap(0, sent.UnixNano()) {
		return
	}
	now := time.Now()
	if now.Sub(time.Unix(0, n.overtaken.Load())) > silence {
		n.silent.Store(now.UnixNano())
	}
}
