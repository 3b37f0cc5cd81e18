package pop3

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/textproto"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"restante/auth"
	"restante/mailbox"
)

// A caller is a client for tests that need more than a dialogue.
type caller struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

// call connects and reads the greeting.
func call(t testing.TB, dial func() (net.Conn, error)) *caller {
	t.Helper()
	nc, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{t: t, Conn: nc, in: bufio.NewReaderSize(nc, 512)}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c.want("+OK POP3 server ready")
	return c
}

// say sends lines and wants +OK to each.
func (c *caller) say(lines ...string) {
	c.t.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(c, line+"\r\n"); err != nil {
			c.t.Fatalf("%s: %v", line, err)
		}
		if got := c.line(); !strings.HasPrefix(got, "+OK") {
			c.t.Fatalf("%s: %s", line, got)
		}
	}
}

func (c *caller) line() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatalf("read: %q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

func (c *caller) want(line string) {
	c.t.Helper()
	if got := c.line(); got != line {
		c.t.Fatalf("got %q, want %q", got, line)
	}
}

func (c *caller) wantEnd() {
	c.t.Helper()
	if b, err := c.in.ReadByte(); err == nil {
		c.t.Fatalf("got %q, want the end", b)
	}
}

// inBubble runs a server on a pipe in a bubble.
func inBubble(t *testing.T, options Options, test func(t *testing.T, s *Server, dial func() (net.Conn, error))) {
	synctest.Test(t, func(t *testing.T) {
		options.Log, options.InsecureAuth = quiet, true
		s := New(options)
		l := newPipe()
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		test(t, s, l.Dial)
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("a second Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

const goodbye = "-ERR [SYS/TEMP] the server is going down"

func TestShutdownWakesIdleClientsAtOnce(t *testing.T) {
	inBubble(t, Options{Backend: &shelf{messages: shelved}}, func(t *testing.T, s *Server, dial func() (net.Conn, error)) {
		stranger, known := call(t, dial), call(t, dial)
		known.say(loggedIn...)
		known.say("DELE 1")
		synctest.Wait()
		began := time.Now()
		stopped := make(chan error, 1)
		go func() { stopped <- s.Shutdown(context.Background()) }()
		for _, c := range []*caller{stranger, known} {
			c.want(goodbye)
			c.wantEnd()
		}
		if err := <-stopped; err != nil || time.Since(began) != 0 {
			t.Errorf("Shutdown took %v: %v", time.Since(began), err)
		}
		if _, err := dial(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("connecting after Shutdown: %v", err)
		}
		if d := s.opts.Backend.(*shelf); len(d.updates) != 0 || d.closed != 1 {
			t.Errorf("%d updates and %d closed maildrops, want 0 and 1", len(d.updates), d.closed)
		}
	})
}

func TestShutdownWakesIdleClientsUnderTLS(t *testing.T) {
	serverTLS, clientTLS := certificate()
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Backend: &shelf{messages: shelved}, TLS: serverTLS, Log: quiet})
		l := newPipe()
		served := make(chan error, 1)
		go func() { served <- s.ServeTLS(l) }()
		c := call(t, func() (net.Conn, error) {
			nc, err := l.Dial()
			if err != nil {
				return nil, err
			}
			return tls.Client(nc, clientTLS), nil
		})
		c.say(loggedIn...)
		handshaking, err := l.Dial() // and never begins
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		stopped := make(chan error, 1)
		go func() { stopped <- s.Shutdown(context.Background()) }()
		c.want(goodbye)
		c.wantEnd()
		if err := <-stopped; err != nil || time.Since(began) != 0 {
			t.Errorf("Shutdown took %v: %v", time.Since(began), err)
		}
		if err := <-served; err != nil {
			t.Errorf("ServeTLS: %v", err)
		}
		_ = handshaking.Close()
	})
}

func TestShutdownLetsARunningRetrFinish(t *testing.T) {
	inBubble(t, Options{Backend: &shelf{messages: shelved}}, func(t *testing.T, s *Server, dial func() (net.Conn, error)) {
		c := call(t, dial)
		c.say(loggedIn...)
		c.say("RETR 1") // a pipe holds nothing, so the server waits for us to read on
		stopped := make(chan error, 1)
		go func() { stopped <- s.Shutdown(context.Background()) }()
		time.Sleep(30 * time.Second)
		for line := range strings.SplitSeq(strings.TrimSuffix(letters[0], "\r\n"), "\r\n") {
			c.want(line)
		}
		c.want(".")
		c.want(goodbye)
		c.wantEnd()
		if err := <-stopped; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestShutdownClosesWhatDoesNotEndInTime(t *testing.T) {
	d := &shelf{messages: shelved}
	inBubble(t, Options{Backend: d}, func(t *testing.T, s *Server, dial func() (net.Conn, error)) {
		c := call(t, dial)
		c.say(loggedIn...)
		c.say("DELE 2")
		if _, err := io.WriteString(c, "RETR 1\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the server waits for us to read
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v, want %v", err, context.DeadlineExceeded)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("Shutdown took %v, want 5s", took)
		}
		if len(d.updates) != 0 {
			t.Errorf("%d updates of a session without QUIT", len(d.updates))
		}
	})
}

func TestShutdownEndsACommandThatWaitsForTheStore(t *testing.T) {
	house := newHouse(t)
	inBubble(t, Options{Backend: house}, func(t *testing.T, s *Server, dial func() (net.Conn, error)) {
		c := call(t, dial)
		c.say("USER slow")
		if _, err := io.WriteString(c, "PASS secret\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestShutdownEndsAPenalty(t *testing.T) {
	inBubble(t, Options{Backend: &shelf{}}, func(t *testing.T, s *Server, dial func() (net.Conn, error)) {
		c := call(t, dial)
		for range 7 {
			if _, err := io.WriteString(c, "WHAT\r\n"); err != nil {
				t.Fatal(err)
			}
			c.want("-ERR unknown command")
		}
		synctest.Wait() // the server waits two seconds
		began := time.Now()
		stopped := make(chan error, 1)
		go func() { stopped <- s.Shutdown(context.Background()) }()
		c.want(goodbye)
		c.wantEnd()
		if err := <-stopped; err != nil || time.Since(began) != 0 {
			t.Errorf("Shutdown took %v: %v", time.Since(began), err)
		}
	})
}

// The limit of commands is for the store: it does not run while the client reads.
func TestASlowClientDoesNotUseUpTheTimeOfTheStore(t *testing.T) {
	store := &strict{warehouse{1 << 20}}
	options := Options{Backend: store, CommandTimeout: time.Second}
	inBubble(t, options, func(t *testing.T, s *Server, dial func() (net.Conn, error)) {
		c := call(t, dial)
		c.say(loggedIn...)
		c.say("RETR 1")
		time.Sleep(30 * time.Second)
		got, err := textproto.NewReader(c.in).ReadDotBytes()
		if err != nil || len(got) < 1<<20*9/10 {
			t.Errorf("%d octets, %v", len(got), err)
		}
		c.say("QUIT")
	})
}

// strict ends a content with its context.
type strict struct{ warehouse }

func (d *strict) Login(context.Context, auth.Attempt) (Maildrop, error) { return d, nil }

func (d *strict) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	r, err := d.warehouse.Open(ctx, m)
	return readCloser{obedient{ctx, r}, r}, err
}

type obedient struct {
	ctx context.Context
	io.Reader
}

func (o obedient) Read(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.Reader.Read(p)
}

func TestPenaltiesGrow(t *testing.T) {
	inBubble(t, Options{Backend: &shelf{}}, func(t *testing.T, s *Server, dial func() (net.Conn, error)) {
		c := call(t, dial)
		var waits []time.Duration
		for range 10 {
			began := time.Now()
			if _, err := io.WriteString(c, "WHAT\r\n"); err != nil {
				t.Fatal(err)
			}
			c.want("-ERR unknown command")
			waits = append(waits, time.Since(began))
		}
		c.want("-ERR too many mistakes")
		c.wantEnd()
		const ms = time.Millisecond
		want := []time.Duration{0, 0, 0, 250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 2000 * ms, 2000 * ms, 2000 * ms}
		for i := range want {
			if waits[i] != want[i] {
				t.Errorf("mistake %d is answered after %v, want %v", i+1, waits[i], want[i])
			}
		}
	})
}

func TestServingAfterShutdownReturnsAtOnce(t *testing.T) {
	s := New(Options{Backend: &shelf{}, Log: quiet})
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	l := newPipe()
	if err := s.Serve(l); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := l.Dial(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener was left open: %v", err)
	}
}

// starved is a listener that fails a few times, as when the process has too many
// files open.
type starved struct {
	*pipe
	failures []error
}

func (l *starved) Accept() (net.Conn, error) {
	if len(l.failures) == 0 {
		return l.pipe.Accept()
	}
	err := l.failures[0]
	l.failures = l.failures[1:]
	return nil, &net.OpError{Op: "accept", Err: err}
}

func TestAcceptingGoesOnAfterAFailureThatPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Backend: &shelf{}, Log: quiet})
		l := &starved{newPipe(), []error{syscall.EMFILE, syscall.EMFILE, syscall.ECONNABORTED}}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		began := time.Now()
		call(t, l.Dial).say("QUIT")
		if waited := time.Since(began); waited != 35*time.Millisecond {
			t.Errorf("waited %v, want 5+10+20 ms", waited)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestServeReportsAListenerThatIsBroken(t *testing.T) {
	s := New(Options{Backend: &shelf{}, Log: quiet})
	broken := errors.New("broken")
	if err := s.Serve(&starved{newPipe(), []error{broken}}); !errors.Is(err, broken) {
		t.Errorf("Serve: %v, want %v", err, broken)
	}
}

func TestTLSNeedsAConfiguration(t *testing.T) {
	s := New(Options{Backend: &shelf{}, Log: quiet})
	if err := s.ServeTLS(newPipe()); err == nil {
		t.Error("ServeTLS without a configuration serves")
	}
}
