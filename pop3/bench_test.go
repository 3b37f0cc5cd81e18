package pop3

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"restante/auth"
	"restante/internal/network"
	"restante/mailbox"
)

// A library is a maildrop of many messages with the same 4 KiB.
type library struct {
	shelf
	content []byte
}

func newLibrary(messages int) *library {
	content := []byte(strings.Repeat(textLine, 50))
	l := &library{content: content}
	var ids mailbox.MessageIDs
	for range messages {
		l.messages = append(l.messages, mailbox.Message{ID: ids.Next(), Octets: int64(len(content))})
	}
	return l
}

func (l *library) Login(context.Context, auth.Attempt) (Maildrop, error) { return l, nil }

func (l *library) Open(context.Context, mailbox.Message) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.content)), nil
}

// BenchmarkSession is login, STAT, UIDL, 20 × RETR of 4 KB and QUIT over
// loopback, one command after the other, from a server in a process of its own.
// server-cpu-µs is what a session costs that process, its start included.
func BenchmarkSession(b *testing.B) {
	dial, stop := startProcess(b)
	for b.Loop() {
		c := visit(b, dial)
		c.ask("USER fred")
		c.ask("PASS secret")
		c.ask("STAT")
		c.ask("UIDL")
		c.skip(".\r\n")
		for n := range 20 {
			c.ask(fmt.Sprintf("RETR %d", n+1))
			c.skip(".\r\n")
		}
		c.ask("QUIT")
		_ = c.nc.Close()
	}
	b.ReportMetric(float64(stop().Microseconds())/float64(b.N), "server-cpu-µs/op")
}

// The environment variable that makes this test binary a server.
const asServer = "RESTANTE_POP3_BENCHMARK_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		serveProcess()
		return
	}
	m.Run()
}

// serveProcess says where it listens and serves until its input ends.
func serveProcess() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := New(Options{Backend: newLibrary(20), InsecureAuth: true, Log: quiet})
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = s.Shutdown(context.Background())
	}()
	if err := s.Serve(l); err != nil {
		panic(err)
	}
}

// startProcess runs a server in a process; stop ends it and tells the processor
// time that it took.
func startProcess(b *testing.B) (dial func() (net.Conn, error), stop func() time.Duration) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asServer+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	dial = func() (net.Conn, error) { return net.Dial("tcp", strings.TrimSpace(addr)) }
	return dial, func() time.Duration {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
}

// BenchmarkSessionWithoutSockets is what of that is ours: everything but the
// kernel, and all commands at once.
func BenchmarkSessionWithoutSockets(b *testing.B) {
	var in strings.Builder
	in.WriteString("USER fred\r\nPASS secret\r\nSTAT\r\nUIDL\r\n")
	for n := range 20 {
		fmt.Fprintf(&in, "RETR %d\r\n", n+1)
	}
	in.WriteString("QUIT\r\n")
	s := New(Options{Backend: newLibrary(20), InsecureAuth: true, Log: quiet})
	b.ReportAllocs()
	for b.Loop() {
		newConn(s, &silentTape{tape{Reader: strings.NewReader(in.String())}}, false).serve()
	}
}

// BenchmarkListings is UIDL and LIST of a maildrop of 10,000 messages.
func BenchmarkListings(b *testing.B) {
	l := newLibrary(10_000)
	for _, verb := range []string{"UIDL", "LIST"} {
		b.Run(verb, func(b *testing.B) {
			s := newSession(&policy{backend: l, insecureAuth: true}, "ID", network.Remote(&tape{}), false)
			for _, line := range loggedIn {
				s.do(context.Background(), line)
			}
			w := bufio.NewWriterSize(io.Discard, outputSize)
			b.ReportAllocs()
			for b.Loop() {
				r := s.do(context.Background(), verb)
				r.writeLine(w)
				r.writeList(w)
			}
		})
	}
}

// BenchmarkLogin is login and STAT of a maildrop of 10,000 messages over
// loopback, the listing itself excluded.
func BenchmarkLogin(b *testing.B) {
	_, dial := onLoopback(b, Options{Backend: newLibrary(10_000), InsecureAuth: true})
	for b.Loop() {
		c := visit(b, dial)
		c.ask("USER fred")
		c.ask("PASS secret")
		c.ask("STAT")
		c.ask("QUIT")
		_ = c.nc.Close()
	}
}

// BenchmarkRetr is RETR of 25 MiB over loopback, and the same octets copied over
// loopback without a protocol.
func BenchmarkRetr(b *testing.B) {
	content := bytes.Repeat([]byte(textLine), 25<<20/len(textLine))
	octets := int64(len(content))
	b.Run("RETR", func(b *testing.B) {
		l := newLibrary(1)
		l.content = content
		l.messages[0].Octets = octets
		_, dial := onLoopback(b, Options{Backend: &hidden{l}, InsecureAuth: true})
		c := visit(b, dial)
		c.ask("USER fred")
		c.ask("PASS secret")
		b.SetBytes(octets)
		for b.Loop() {
			c.ask("RETR 1")
			if _, err := io.CopyN(io.Discard, c.in, octets+3); err != nil {
				b.Fatal(err)
			}
		}
		c.ask("QUIT")
		_ = c.nc.Close()
	})
	b.Run("copy", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		b.SetBytes(octets)
		for b.Loop() {
			go func() {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.CopyBuffer(struct{ io.Writer }{nc}, struct{ io.Reader }{bytes.NewReader(content)}, make([]byte, copySize))
				_ = nc.Close()
			}()
			nc, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, bufio.NewReaderSize(nc, visitorBuffer)); err != nil {
				b.Fatal(err)
			}
			_ = nc.Close()
		}
	})
}

// hidden gives out contents that can only be read, as a store does.
type hidden struct{ *library }

func (h *hidden) Login(context.Context, auth.Attempt) (Maildrop, error) { return h, nil }

func (h *hidden) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	r, err := h.library.Open(ctx, m)
	return struct{ io.ReadCloser }{readCloser{struct{ io.Reader }{r}, r}}, err
}

// silentTape keeps nothing of what is written.
type silentTape struct{ tape }

func (t *silentTape) Write(p []byte) (int, error) { return len(p), nil }

// A visitor is a client that costs as little as can be.
type visitor struct {
	b  *testing.B
	nc net.Conn
	in *bufio.Reader
}

const visitorBuffer = 64 << 10

func visit(b *testing.B, dial func() (net.Conn, error)) *visitor {
	nc, err := dial()
	if err != nil {
		b.Fatal(err)
	}
	v := &visitor{b, nc, bufio.NewReaderSize(nc, 8<<10)}
	v.skip("")
	return v
}

func (v *visitor) ask(line string) {
	if _, err := io.WriteString(v.nc, line+"\r\n"); err != nil {
		v.b.Fatal(err)
	}
	if reply, err := v.in.ReadSlice('\n'); err != nil || reply[0] != '+' {
		v.b.Fatalf("%s: %s, %v", line, reply, err)
	}
}

// skip reads lines until one is last; any line where that is empty.
func (v *visitor) skip(last string) {
	for {
		line, err := v.in.ReadSlice('\n')
		if err != nil {
			v.b.Fatal(err)
		}
		if last == "" || string(line) == last {
			return
		}
	}
}
