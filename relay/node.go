package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
)

// NodeOptions configure a [Node].
type NodeOptions struct {
	// Queue is what each life of the node has for its queue. Lane and Lease are the
	// node's own to say.
	Queue Options
	Lanes Lanes         // nil: no other process can open the store
	Name  string        // what the operator calls the process
	Say   func() []byte // what else others may know; may be nil
	Times Times
}

// A Node is a process of the relay: a queue, the lease of its lane, and a look at the
// lanes of others. When its lease has lapsed, others may have adopted what it had, so it
// forgets everything and goes on under a new lane, as if it had been started again; but it
// still withdraws what it has refused.
type Node struct {
	options NodeOptions
	log     *slog.Logger
	rules   rules // of the queues

	leftovers *leftovers // of the lives before

	mu   sync.Mutex
	life *life // nil: not running
}

// A life of a node.
type life struct {
	queue    *Queue
	lease    *Lease // nil: always valid
	takeover *takeover
}

// NewNode returns a node that does nothing before [Node.Run]. It fails where the options
// of the queue are wrong.
func NewNode(o NodeOptions) (*Node, error) {
	o.Times = o.Times.withDefaults()
	n := &Node{options: o, log: o.Queue.Log, leftovers: newLeftovers()}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	trial := o.Queue
	trial.Registerer = nil
	if _, err := New(trial); err != nil {
		return nil, err
	}
	return n, nil
}

// Run sends until the context ends.
func (n *Node) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := n.live(ctx); err != nil {
			n.log.Error("relay does not run", "err", err)
			return
		}
		if ctx.Err() == nil {
			n.log.Warn("lease lapsed: going on under another lane")
		}
	}
}

// live is one life: it ends with the context, or with the lease.
func (n *Node) live(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	metrics := &lifeRegisterer{to: n.options.Queue.Registerer}
	defer metrics.unregister()
	l, err := n.born(metrics)
	if err != nil {
		return err
	}
	n.enter(l)
	defer n.enter(nil)
	var all sync.WaitGroup
	if l.lease != nil {
		all.Go(func() {
			defer end()
			l.lease.Run(ctx)
		})
	}
	all.Go(func() { l.takeover.run(ctx) })
	l.queue.Run(ctx)
	all.Wait()
	return nil
}

// born is the next life.
func (n *Node) born(metrics prometheus.Registerer) (*life, error) {
	l, o := new(life), n.options.Queue
	o.Lane = o.IDs.Next()
	if o.Registerer != nil {
		o.Registerer = metrics
	}
	var valid interface{ Valid() bool } = always{}
	if n.options.Lanes != nil {
		l.lease = newLease(n.options.Lanes, o.Lane, n.options.Name, n.options.Times, n.options.Say, n.log)
		valid = l.lease
	}
	o.Lease = valid
	var err error
	if l.queue, err = New(o); err != nil {
		return nil, err
	}
	l.queue.rules, l.queue.leftovers = n.rules, n.leftovers
	l.takeover = newTakeover(o.Journal, n.options.Lanes, l.queue, o.Lane, valid, n.options.Times, n.log)
	return l, nil
}

func (n *Node) enter(l *life) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.life = l
}

// current is the life that is led, or an error that wraps mailbox.ErrUnavailable.
func (n *Node) current() (*life, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life == nil {
		return nil, fmt.Errorf("relay: not running: %w", mailbox.ErrUnavailable)
	}
	return n.life, nil
}

// Submit is [Queue.Submit].
func (n *Node) Submit(ctx context.Context, s Submission, content io.Reader) (mailbox.MessageID, error) {
	l, err := n.current()
	if err != nil {
		return mailbox.MessageID{}, err
	}
	return l.queue.Submit(ctx, s, content)
}

// Queue is the queue of the life that is led now, to see and to steer it. It fails with
// mailbox.ErrUnavailable where the node does not run.
func (n *Node) Queue() (*Queue, error) {
	l, err := n.current()
	if err != nil {
		return nil, err
	}
	return l.queue, nil
}

// Living is how many nodes of this data centre live, as far as this one has heard: itself
// and those whose beats are fresh.
func (n *Node) Living() int {
	l, err := n.current()
	if err != nil {
		return 1
	}
	return l.takeover.living()
}

// AdoptDatacenter has the nodes of this data centre adopt what the lanes that another has
// by now have left to do, and returns how many lanes there are. The order outlasts this
// node. Nobody can tell from here whether that data centre is dead or only out of reach;
// where it is at work, its mail is sent twice.
func (n *Node) AdoptDatacenter(ctx context.Context, name string) (lanes int, err error) {
	l, err := n.current()
	if err != nil {
		return 0, err
	}
	if name == "" {
		return 0, errors.New("relay: adopt: which data centre?")
	}
	return l.takeover.declareDead(ctx, name)
}

// A lifeRegisterer remembers what a life has registered, to take it back.
type lifeRegisterer struct {
	to         prometheus.Registerer // may be nil
	registered []prometheus.Collector
}

func (r *lifeRegisterer) Register(c prometheus.Collector) error {
	if err := r.to.Register(c); err != nil {
		return err
	}
	r.registered = append(r.registered, c)
	return nil
}

func (r *lifeRegisterer) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

func (r *lifeRegisterer) Unregister(c prometheus.Collector) bool { return r.to.Unregister(c) }

func (r *lifeRegisterer) unregister() {
	for _, c := range r.registered {
		r.to.Unregister(c)
	}
}
