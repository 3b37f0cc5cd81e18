package smtp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	netsmtp "net/smtp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/smtp"
)

// The attack of CVE-2011-0411: commands that somebody put behind STARTTLS in
// clear text must not be carried out as if they had come under TLS.
func TestClearTextBehindStartTLSIsThrownAway(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.send("STARTTLS\r\nEHLO evil.example.com\r\nMAIL FROM:<evil@example.com>\r\n")
		c.want("220")
		c.startTLS()
		c.do("RCPT TO:<fred@example.org>", "503")
		c.do("EHLO client.example.net", "250")
		c.do("RCPT TO:<fred@example.org>", "503")
		c.envelope("fred@example.org")
		c.do(hello+".", "250")
		d := r.post.only(t)
		if d.env.ReversePath.Local != "sender" {
			t.Errorf("envelope %+v", d.env)
		}
		received := d.field("Received")
		if !strings.HasPrefix(received, "from client.example.net by mx.example.org (Restante) with ESMTPS id ") || !strings.Contains(received, " (TLS 1.3, TLS_") {
			t.Errorf("Received: %s", received)
		}
		if !strings.Contains(r.log.String(), "clear text behind STARTTLS thrown away") {
			t.Errorf("the log says nothing:\n%s", r.log)
		}
	})
}

func TestAFailedHandshakeEndsTheSession(t *testing.T) {
	t.Run("after STARTTLS", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, r *rig) {
			c := r.hello(t)
			c.do("STARTTLS", "220")
			c.trySend("MAIL FROM:<evil@example.com>\r\nRCPT TO:<fred@example.org>\r\n")
			rest, _ := io.ReadAll(c.r) // a TLS alert, and the end
			if bytes.Contains(rest, []byte("250")) || bytes.Contains(rest, []byte("550 ")) {
				t.Errorf("got %q", rest)
			}
		})
	})
	t.Run("that never begins", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, r *rig) {
			c := r.hello(t)
			c.do("STARTTLS", "220")
			begun := time.Now()
			c.closed()
			if took := time.Since(begun); took > 2*time.Minute {
				t.Errorf("closed after %v", took)
			}
		})
	})
}

func TestImplicitTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *smtp.Options) { o.Kind = smtp.Submission })
		r.listener = newPipeListener()
		r.serve(r.listener, true)
		defer r.stop(t)
		c := &client{t: t, conn: r.listener.dial()}
		c.startTLS()
		c.want("220 mx.example.org")
		if reply := c.do("EHLO client.example.net", "250"); strings.Contains(reply, "STARTTLS") || !strings.Contains(reply, "AUTH PLAIN LOGIN") {
			t.Errorf("keywords %q", reply)
		}
		c.do("AUTH PLAIN AGZyZWRAZXhhbXBsZS5vcmcAc2VjcmV0", "235")
		c.do("MAIL FROM:<fred@example.org>", "250")
		c.do("RCPT TO:<wilma@example.org>", "250")
		c.do("DATA", "354")
		c.do(hello+".", "250")
		if received := r.post.only(t).field("Received"); !strings.Contains(received, " with ESMTPSA id ") {
			t.Errorf("Received: %s", received)
		}
		c.do("QUIT", "221")
		c.closed()
	})
}

func TestShutdownWakesAClientThatHasNotBegunTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.listener = newPipeListener()
		r.serve(r.listener, true)
		c := newClient(t, r.listener.dial())
		synctest.Wait()
		begun := time.Now()
		r.stop(t)
		c.closed()
		if took := time.Since(begun); took != 0 {
			t.Errorf("Shutdown took %v", took)
		}
	})
}

// The client of the standard library, over TCP, does what users' clients do.
func TestTheStandardLibrarySubmitsAMessage(t *testing.T) {
	r := newRig(t, func(o *smtp.Options) { o.Kind = smtp.Submission })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.serve(l, false)
	defer r.stop(t)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	submit := func() error {
		c, err := netsmtp.NewClient(conn, "mx.example.org")
		if err != nil {
			return err
		}
		if err := c.StartTLS(clientTLS()); err != nil {
			return err
		}
		if err := c.Auth(netsmtp.PlainAuth("", "fred@example.org", "secret", "mx.example.org")); err != nil {
			return err
		}
		if err := c.Mail("fred@example.org"); err != nil {
			return err
		}
		if err := c.Rcpt("wilma@example.org"); err != nil {
			return err
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, hello+".dot\r\n"); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		return c.Quit()
	}
	if err := submit(); err != nil {
		t.Fatal(err)
	}
	d := r.post.only(t)
	if d.body() != hello+".dot\r\n" || !strings.Contains(d.field("Received"), " ([127.0.0.1]) by mx.example.org (Restante) with UTF8SMTPSA id ") {
		t.Errorf("delivered %q", d.content)
	}
}

func TestPasswordsInClearTextNeedPermission(t *testing.T) {
	bubble(t, func(o *smtp.Options) { o.Kind, o.InsecureAuth, o.TLS = smtp.Submission, true, nil }, func(t *testing.T, r *rig) {
		c := r.dial(t)
		if reply := c.do("EHLO client.example.net", "250"); !strings.Contains(reply, "AUTH PLAIN LOGIN") || strings.Contains(reply, "STARTTLS") {
			t.Errorf("keywords %q", reply)
		}
		c.do("STARTTLS", "502 5.5.1")
		c.do("AUTH PLAIN AGZyZWRAZXhhbXBsZS5vcmcAc2VjcmV0", "235")
		if got := r.post.logins[0]; got.User != "fred@example.org" || got.Password != "secret" {
			t.Errorf("attempt %+v", got)
		}
	})
}

// Replies to pipelined commands leave together: one write, and so one packet.
func TestRepliesToAGroupOfCommandsAreOneWrite(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.send("MAIL FROM:<sender@example.net>\r\nRCPT TO:<fred@example.org>\r\nRCPT TO:<wilma@example.org>\r\nDATA\r\n")
		p := make([]byte, 4096)
		n, err := c.conn.Read(p) // a pipe gives one write at a time
		if got := strings.Count(string(p[:n]), "\r\n"); got != 4 || err != nil {
			t.Errorf("%d replies in the first write, %v: %q", got, err, p[:n])
		}
		c.do(hello+".", "250")
	})
}

func TestACommandMayComeOneOctetAtATime(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.dial(t)
		for _, command := range []string{"EHLO client.example.net", "MAIL FROM:<sender@example.net>", "RCPT TO:<fred@example.org>"} {
			command += "\r\n"
			for i := range len(command) {
				c.send(command[i : i+1])
			}
			c.want("250")
		}
	})
}

func TestAClientThatDoesNotReadIsHungUpOn(t *testing.T) {
	bubble(t, func(o *smtp.Options) { o.WriteTimeout = 30 * time.Second }, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.send("NOOP\r\n")
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if n := r.counter(t, "restante_smtp_sessions"); n != 0 {
			t.Errorf("%v sessions left", n)
		}
	})
}

// A store that hangs must not hold the client for ever, who would try again
// while the message is still on its way.
func TestAStoreThatHangsIsGivenUp(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.post.set(func(p *post) {
			p.during = func(ctx context.Context, content io.Reader) error {
				if _, err := io.Copy(io.Discard, content); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			}
		})
		c := r.hello(t)
		c.envelope("fred@example.org")
		// A slow client is not a slow store.
		for range 10 {
			c.send("slow\r\n")
			time.Sleep(2 * time.Minute)
		}
		begun := time.Now()
		c.do(".", "451 4.3.0")
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("given up after %v", took)
		}
		c.do("NOOP", "250")
	})
}

// However little comes at a time, content has an end.
func TestContentThatDripsIsGivenUp(t *testing.T) {
	envelope := []string{"MAIL FROM:<sender@example.net>\r\n", "RCPT TO:<fred@example.org>\r\n"}
	for _, c := range []struct {
		name  string
		begin []string // the last is sent again and again
		most  time.Duration
	}{
		{"in a line", append(envelope[:2:2], "DATA\r\n", "Subject: ", "x"), mailbox.DeliverTimeout},
		{"in small chunks", append(envelope[:2:2], "BDAT 1\r\nx"), mailbox.DeliverTimeout},
		{"in empty chunks", append(envelope[:2:2], "BDAT 0\r\n"), mailbox.DeliverTimeout},
		{"between chunks", append(envelope[:2:2], "BDAT 1\r\nx", "NOOP\r\n"), mailbox.DeliverTimeout},
		{"when it was refused", append(envelope[:2:2], "DATA\r\n", strings.Repeat("x", 20_000), "x"), 10 * time.Minute},
		{"in a chunk that was refused", []string{"BDAT 1000\r\n", "x"}, 10 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, small, func(t *testing.T, r *rig) {
				s := r.hello(t)
				_ = s.conn.SetReadDeadline(time.Time{})
				go func() { _, _ = io.Copy(io.Discard, s.conn) }()
				begun := time.Now()
				for _, line := range c.begin {
					s.send(line)
				}
				for synctest.Wait(); r.counter(t, "restante_smtp_sessions") > 0; synctest.Wait() {
					if time.Since(begun) > 24*time.Hour {
						t.Fatal("a day later it has not been given up")
					}
					time.Sleep(4 * time.Minute)
					s.trySend(c.begin[len(c.begin)-1])
				}
				if took := time.Since(begun); took > c.most+5*time.Minute {
					t.Errorf("given up after %v; want %v", took, c.most)
				}
				r.post.nothing(t)
			})
		})
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	bubble(t, func(o *smtp.Options) { o.MaxConnections = 2 }, func(t *testing.T, r *rig) {
		one, two := r.hello(t), r.hello(t)
		three := newClient(t, r.listener.dial())
		three.want("421 4.7.0")
		three.closed()
		one.do("QUIT", "221")
		one.closed()
		synctest.Wait()
		r.hello(t).do("NOOP", "250")
		two.do("NOOP", "250")
	})
}

func TestOneNetworkCannotHaveAllConnections(t *testing.T) {
	bubble(t, func(o *smtp.Options) { o.MaxPerNetwork = 2 }, func(t *testing.T, r *rig) {
		dial := func(from, greeting string) *client {
			t.Helper()
			near, far := net.Pipe()
			r.listener.conns <- remoteConn{far, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
			c := newClient(t, near)
			c.want(greeting)
			return c
		}
		one := dial("[2001:db8::1]:1", "220")
		dial("[2001:db8::2]:1", "220")
		dial("[2001:db8::3]:1", "421 4.7.0").closed()
		dial("[2001:db8:0:1::3]:1", "220")
		for range 3 {
			dial("127.0.0.1:1", "220")
			dial("[::1]:1", "220")
		}
		one.do("QUIT", "221")
		one.closed()
		synctest.Wait()
		last := dial("[2001:db8::3]:1", "220")
		last.do("EHLO client.example.net", "250")
		last.envelope("fred@example.org")
		last.do(hello+".", "250")
		if received := r.post.only(t).field("Received"); !strings.Contains(received, " ([IPv6:2001:db8::3]) ") {
			t.Errorf("Received: %s", received)
		}
	})
}

// A remoteConn comes from where a test says.
type remoteConn struct {
	net.Conn
	remote net.Addr
}

func (c remoteConn) RemoteAddr() net.Addr { return c.remote }

func TestWrongRecipientsCostLittle(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.do("MAIL FROM:<sender@example.net>", "250")
		for range 50 {
			c.do("RCPT TO:<nobody@example.org>", "550 5.1.1")
		}
		c.do("RCPT TO:<fred@example.org>", "250")
		c.do("DATA", "354")
		c.do(hello+".", "250")
		// A message that is kept makes up for a few of them; a search for addresses ends.
		c.do("MAIL FROM:<sender@example.net>", "250")
		for range 60 {
			c.do("RCPT TO:<nobody@example.org>", "550 5.1.1")
		}
		c.want("421 4.7.0")
		c.closed()
	})
}

// LMTP refuses a message once for each recipient; that is one error all the same.
func TestAMessageRefusedForManyRecipientsIsOneError(t *testing.T) {
	bubble(t, func(o *smtp.Options) { o.Kind, o.MaxOctets = smtp.LMTP, 10 }, func(t *testing.T, r *rig) {
		c := r.dial(t)
		c.do("LHLO client.example.net", "250")
		c.do("MAIL FROM:<sender@example.net>", "250")
		for range 50 {
			c.do("RCPT TO:<fred@example.org>", "250")
		}
		c.do("DATA", "354")
		c.send(hello + ".\r\n")
		for range 50 {
			c.want("552 5.3.4 <fred@example.org> ")
		}
		c.do("NOOP", "250")
	})
}

func TestShutdownWakesIdleClients(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		clients := []*client{r.dial(t), r.hello(t), r.hello(t), r.hello(t)}
		clients[1].do("MAIL FROM:<sender@example.net>", "250")
		clients[2].send("NOO")
		clients[3].do("STARTTLS", "220")
		clients[3].startTLS()
		begun := time.Now()
		done := make(chan struct{})
		go func() { defer close(done); r.stop(t) }()
		for _, c := range clients {
			c.want("421 4.3.2 ")
			c.closed()
		}
		<-done
		if took := time.Since(begun); took != 0 {
			t.Errorf("Shutdown took %v", took)
		}
	})
}

func TestShutdownLetsContentEnd(t *testing.T) {
	for _, c := range []struct{ name, begin, rest, reply string }{
		{"of DATA", "DATA\r\nA: 1\r\n", "\r\nbody\r\n.\r\n", "250 2.0.0"},
		{"of a chunk", "BDAT 16 LAST\r\nA: 1\r\n", "\r\nbody\r\n\r\n", "250 2.0.0"},
		{"between chunks", "BDAT 6\r\nA: 1\r\n", "BDAT 10 LAST\r\n\r\nbody\r\n\r\n", "250 2.0.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, r *rig) {
				s := r.hello(t)
				s.do("MAIL FROM:<sender@example.net>", "250")
				s.do("RCPT TO:<fred@example.org>", "250")
				s.send(c.begin)
				if !strings.Contains(c.begin, "LAST") {
					s.reply() // 354, or 250 to the chunk
				}
				done := make(chan struct{})
				go func() { defer close(done); r.stop(t) }()
				time.Sleep(time.Minute)
				s.send(c.rest)
				s.want(c.reply)
				s.want("421 4.3.2")
				s.closed()
				<-done
				r.post.only(t)
			})
		})
	}
}

func TestShutdownCutsWhatTakesTooLong(t *testing.T) {
	t.Run("a client that does not end its message", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, r *rig) {
			c := r.hello(t)
			c.envelope("fred@example.org")
			r.cut(t)
			c.closed()
			r.post.nothing(t)
		})
	})
	t.Run("a store that does not answer", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, r *rig) {
			r.post.set(func(p *post) {
				p.during = func(ctx context.Context, _ io.Reader) error { <-ctx.Done(); return ctx.Err() }
			})
			c := r.hello(t)
			c.envelope("fred@example.org")
			r.cut(t)
			c.closed()
			r.post.nothing(t)
		})
	})
}

// cut shuts down with no more than ten seconds to go.
func (r *rig) cut(t *testing.T) {
	t.Helper()
	r.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	begun := time.Now()
	if err := r.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if took := time.Since(begun); took != 10*time.Second {
		t.Errorf("Shutdown took %v", took)
	}
	if err := <-r.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestAServerThatWasShutDownServesNothing(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.stop(t)
		if err := r.Shutdown(t.Context()); err != nil {
			t.Errorf("second Shutdown: %v", err)
		}
		l := newPipeListener()
		if err := r.Serve(l); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the listener is open: %v", err)
		}
	})
}

func TestServeReportsAListenerThatFails(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		l := newPipeListener()
		_ = l.Close()
		if err := r.Serve(l); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
		r.hello(t).do("NOOP", "250") // the other listener is not touched
	})
}

func TestAcceptGoesOnAfterAFailure(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		l := &shakyListener{pipeListener: newPipeListener(), failures: 3}
		r.serve(l, false)
		c := newClient(t, l.dial())
		c.want("220")
		r.stop(t)
		if err := <-r.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// A shakyListener fails a few times first, as one does when a process has no
// file descriptors left.
type shakyListener struct {
	*pipeListener
	failures int
}

func (l *shakyListener) Accept() (net.Conn, error) {
	if l.failures--; l.failures >= 0 {
		return nil, syscall.EMFILE
	}
	return l.pipeListener.Accept()
}

// The memory a message takes does not grow with it, kept or refused.
func TestMemoryIsFlatInTheSizeOfAMessage(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit int64
		want  string
	}{
		{"that is kept", 1 << 30, "250 2.0.0"},
		{"that is too large", 1 << 20, "552 5.3.4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(o *smtp.Options) { o.Deliverer, o.MaxOctets = &forgetful{}, c.limit }, func(t *testing.T, r *rig) {
				s := r.hello(t)
				s.envelope("fred@example.org")
				piece := []byte(strings.Repeat(strings.Repeat("x", 126)+"\r\n", 512))
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range (32 << 20) / len(piece) {
					if _, err := s.conn.Write(piece); err != nil {
						t.Fatal(err)
					}
				}
				s.do(".", c.want)
				runtime.ReadMemStats(&after)
				if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
					t.Errorf("%d octets allocated for a message of 32 MiB", grown)
				}
			})
		})
	}
}

// Over TCP, a server that closes while the client is still sending must not take
// its own reply back.
func TestTheReasonToHangUpArrivesOverTCP(t *testing.T) {
	for _, secure := range []bool{false, true} {
		r := newRig(t, nil)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r.serve(l, secure)
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, conn)
		if secure {
			c.startTLS()
		}
		c.want("220")
		c.send(strings.Repeat("x", 1<<20))
		c.want("421 4.7.0 line too long")
		c.closed()
		_ = conn.Close()
		r.stop(t)
	}
}

// So it is with the reply to a message in the middle of which the session ends.
func TestTheReplyToAMessageThatEndsTheSessionArrivesOverTCP(t *testing.T) {
	for name, send := range map[string]string{
		"a bug of ours":   "BDAT 3000000 LAST\r\n" + strings.Repeat("x", 3_000_000),
		"a chunk of lots": "BDAT 1\r\nxBDAT lots\r\n" + strings.Repeat("x", 3_000_000),
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", TLS ", secure), func(t *testing.T) {
				r := newRig(t, nil)
				want := "421 4.3.0 internal error"
				if strings.Contains(name, "lots") {
					want = "421 4.5.4 malformed BDAT"
				} else {
					r.post.during = func(context.Context, io.Reader) error { panic("boom") }
				}
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				r.serve(l, secure)
				conn, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				c := newClient(t, conn)
				if secure {
					c.startTLS()
				}
				c.want("220")
				c.do("EHLO client.example.net", "250")
				c.do("MAIL FROM:<sender@example.net>", "250")
				c.do("RCPT TO:<fred@example.org>", "250")
				c.send(send)
				if strings.Contains(name, "lots") {
					c.want("250")
				}
				c.want(want)
				c.closed()
				_ = conn.Close()
				r.stop(t)
			})
		}
	}
}

// Over real sockets: 500 clients at once, each with a message of its own.
func TestFiveHundredClientsAtOnce(t *testing.T) {
	const clients = 500
	r := newRig(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.serve(l, false)
	ready, errs := make(chan struct{}), make(chan error, clients)
	var greeted, done sync.WaitGroup
	greeted.Add(clients)
	for range clients {
		done.Go(func() { errs <- oneMessage(l.Addr().String(), &greeted, ready) })
	}
	greeted.Wait()
	if n := r.counter(t, "restante_smtp_sessions"); n != clients {
		t.Errorf("%v sessions at once, want %d", n, clients)
	}
	close(ready)
	done.Wait()
	for range clients {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	r.stop(t)
	if n := len(r.post.deliveries); n != clients {
		t.Errorf("%d messages, want %d", n, clients)
	}
	ids := make(map[mailbox.MaildropID]int)
	for _, d := range r.post.deliveries {
		if d.body() != hello {
			t.Errorf("content %q", d.content)
		}
		ids[d.env.Recipients[0].Maildrop]++
	}
	if len(ids) != 1 {
		t.Errorf("delivered to %v", ids)
	}
}

// oneMessage sends a message when everybody is connected.
func oneMessage(addr string, greeted *sync.WaitGroup, ready <-chan struct{}) error {
	conn, err := net.DialTimeout("tcp", addr, time.Minute)
	if err != nil {
		greeted.Done()
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	p := make([]byte, 4096)
	_, err = conn.Read(p)
	greeted.Done()
	if err != nil {
		return err
	}
	<-ready
	const session = "EHLO c.example.net\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<fred@example.org>\r\nDATA\r\n" + hello + ".\r\nQUIT\r\n"
	if _, err := io.WriteString(conn, session); err != nil {
		return err
	}
	replies, err := io.ReadAll(conn)
	if err == nil && !bytes.Contains(replies, []byte(" kept\r\n221 ")) {
		err = errors.New(string(replies))
	}
	return err
}
