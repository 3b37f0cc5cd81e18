package agent

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/relay"
	"restante/relay/pool"
	"restante/relay/provider"
)

// A pipe is a listener without sockets, so that time in a bubble can stand still.
type pipe struct {
	conns chan net.Conn
	close func()
	done  chan struct{}
}

func newPipe() *pipe {
	p := &pipe{conns: make(chan net.Conn), done: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.done) })
	return p
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { p.close(); return nil }
func (p *pipe) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2526} }

func (p *pipe) Dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}

func TestAnAgentWaitsAsLongAsAHostMayTakeAndAnswersInTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		thinks, after time.Duration
		want          relay.Result
	}{{10 * time.Minute, 10 * time.Minute, relay.Success}, {time.Hour, answerTimeout, relay.Ambiguous}} {
		synctest.Test(t, func(t *testing.T) {
			p := &stub{hold: make(chan struct{}), outcome: relay.Outcome{Result: c.want}}
			l := newPipe()
			a, err := New(Options{
				Document: pool.Document{Name: "agent-1", Kind: "smtp", Endpoint: "smtp://127.0.0.1:2526"},
				Servers:  []string{"http://127.0.0.1:1"}, Provider: p, Spool: t.TempDir(),
			})
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			serving.Go(func() { _ = a.server.Serve(l) })
			server, err := provider.NewSMTP(provider.SMTPOptions{Addr: "127.0.0.1:2526", Hello: "node.example.org", Security: provider.NoTLS, Dial: l.Dial})
			if err != nil {
				t.Fatal(err)
			}
			answered := time.AfterFunc(c.thinks, func() { close(p.hold) })
			begun := time.Now()
			o := server.Send(t.Context(), mailTo(t, letter, "ann@example.net"))[0]
			if spent := time.Since(begun); o.Result != c.want || spent != c.after {
				t.Errorf("%v, %s after %v; want %v after %v", o.Result, o.Text, spent, c.want, c.after)
			}
			answered.Stop()
			_ = server.Close()
			_ = a.server.Shutdown(t.Context())
			serving.Wait()
		})
	}
}
