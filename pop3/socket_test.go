package pop3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/textproto"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/auth"
	"restante/mailbox"
)

// onLoopback runs a server on a real socket and returns how to reach it. At the
// end of the test the server is shut down and has left no goroutine.
func onLoopback(t testing.TB, options Options) (s *Server, dial func() (net.Conn, error)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if options.Log == nil {
		options.Log = quiet
	}
	s = New(options)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if left := serverGoroutines(); left != "" {
			t.Errorf("goroutines are left:\n%s", left)
		}
	})
	return s, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
}

// serverGoroutines are the stacks of connections.
func serverGoroutines() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var left []string
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(stack, []byte("pop3.(*conn).serve")) {
			left = append(left, string(stack))
		}
	}
	return strings.Join(left, "\n\n")
}

// records is a log that a test can wait on.
type records chan string

func (r records) Enabled(context.Context, slog.Level) bool { return true }
func (r records) WithGroup(string) slog.Handler            { return r }

func (r records) WithAttrs(attrs []slog.Attr) slog.Handler { return with{r, fmt.Sprint(attrs)} }

func (r records) Handle(_ context.Context, rec slog.Record) error {
	line := rec.Level.String() + " " + rec.Message
	rec.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	r <- line
	return nil
}

type with struct {
	records
	attrs string
}

func (w with) Handle(ctx context.Context, rec slog.Record) error {
	rec.Message += " " + w.attrs
	return w.records.Handle(ctx, rec)
}

// next waits for a record that begins as it should.
func (r records) next(t *testing.T, begin string) string {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line := <-r:
			if strings.HasPrefix(line, begin) {
				return line
			}
		case <-timeout:
			t.Fatalf("no record %q", begin)
		}
	}
}

func TestAClientThatStopsReadingIsDropped(t *testing.T) {
	log := make(records, 100)
	d := &shelf{messages: shelved}
	store := &bigMessage{shelf: d, octets: 256 << 20} // more than sockets hold
	_, dial := onLoopback(t, Options{
		Backend: store, InsecureAuth: true, Log: slog.New(log), WriteTimeout: 100 * time.Millisecond,
	})
	c := call(t, dial)
	c.say(loggedIn...)
	c.say("DELE 2", "RETR 1")
	if line := log.next(t, "WARN message not sent whole"); !strings.Contains(line, "timeout") {
		t.Errorf("got %s, want a timeout", line)
	}
	if line := log.next(t, "INFO session ended"); !strings.Contains(line, "ended=lost") || !strings.Contains(line, "messages=0") {
		t.Errorf("got %s", line)
	}
	if len(d.updates) != 0 || d.closed != 1 {
		t.Errorf("%d updates, %d closed maildrops; want 0 and 1", len(d.updates), d.closed)
	}
}

func TestMegabytesArriveWhole(t *testing.T) {
	const octets = 25 << 20
	_, dial := onLoopback(t, Options{Backend: warehouse{octets}, InsecureAuth: true})
	c := call(t, dial)
	c.say(loggedIn...)
	c.say("RETR 1")
	want, err := io.ReadAll(io.LimitReader(&textLines{}, octets))
	if err != nil {
		t.Fatal(err)
	}
	// The warehouse cuts its message in the middle of a line; RETR ends it.
	want = append(want, "\r\n.\r\n"...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c.in, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the message is not what is stored")
	}
	c.say("QUIT")
}

// An anthology is a maildrop of different messages.
type anthology struct {
	warehouse
	messages []mailbox.Message
	contents [][]byte
}

func (a *anthology) Login(context.Context, auth.Attempt) (Maildrop, error) { return a, nil }
func (a *anthology) List() []mailbox.Message                               { return a.messages }

func (a *anthology) Open(_ context.Context, m mailbox.Message) (io.ReadCloser, error) {
	i := slices.IndexFunc(a.messages, func(l mailbox.Message) bool { return l.ID == m.ID })
	return io.NopCloser(bytes.NewReader(a.contents[i])), nil
}

// Short messages go through a buffer, long ones past it, and under TLS all do.
func TestDotsAreStuffedHoweverAMessageIsSent(t *testing.T) {
	var a anthology
	var ids mailbox.MessageIDs
	for _, octets := range []int{1, outputSize - 30, outputSize, outputSize + 1, 3 * outputSize, 64 << 10, 64<<10 + 1, 300 << 10} {
		for _, lines := range []int{0, 1, 10, 100} { // to each that begins with a dot
			verse := "." + strings.Repeat(textLine, lines) + ".\r\n"
			content := bytes.Repeat([]byte(verse), octets/len(verse)+1)
			a.messages = append(a.messages, mailbox.Message{ID: ids.Next(), Octets: int64(len(content))})
			a.contents = append(a.contents, content)
		}
	}
	serverTLS, clientTLS := certificate()
	_, dial := onLoopback(t, Options{Backend: &a, InsecureAuth: true, TLS: serverTLS})
	for _, secure := range []bool{false, true} {
		c := call(t, dial)
		if secure {
			c.say("STLS")
			c.Conn = tls.Client(c.Conn, clientTLS)
			c.in = bufio.NewReader(c)
		}
		c.say(loggedIn...)
		for i, content := range a.contents {
			want := bytes.ReplaceAll(append([]byte("\n"), content...), []byte("\n."), []byte("\n.."))[1:]
			want = append(want, ".\r\n"...)
			c.say(fmt.Sprintf("RETR %d", i+1))
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c.in, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("TLS %v, message %d of %d octets: not what is stored, %v", secure, i+1, len(content), err)
			}
		}
		c.say("QUIT")
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	const clients = 500
	house := newHouse(t)
	_, dial := onLoopback(t, Options{Backend: house, InsecureAuth: true})
	var greeted, done sync.WaitGroup
	greeted.Add(clients)
	failures := make(chan error, clients)
	for range clients {
		done.Go(func() {
			nc, err := dial()
			greeted.Done()
			if err != nil {
				failures <- err
				return
			}
			defer func() { _ = nc.Close() }()
			greeted.Wait() // all are connected before any goes on
			if err := readAll(nc); err != nil {
				failures <- err
			}
		})
	}
	done.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
}

// readAll is a session that reads fred's mail and compares it.
func readAll(nc net.Conn) error {
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	c := textproto.NewReader(bufio.NewReader(nc))
	if _, err := c.ReadLine(); err != nil {
		return err
	}
	for _, line := range []string{"USER fred", "PASS secret", "RETR 1", "RETR 2", "RETR 3", "QUIT"} {
		if _, err := io.WriteString(nc, line+"\r\n"); err != nil {
			return err
		}
		reply, err := c.ReadLine()
		if err != nil || !strings.HasPrefix(reply, "+OK") {
			return fmt.Errorf("%s: %s, %w", line, reply, err)
		}
		number, isRetr := strings.CutPrefix(line, "RETR ")
		if !isRetr {
			continue
		}
		got, err := c.ReadDotBytes()
		if want := letters[number[0]-'1']; err != nil || string(got) != strings.ReplaceAll(want, "\r\n", "\n") {
			return fmt.Errorf("%s: %q, %w", line, got, err)
		}
	}
	return nil
}

func TestConnectionsAreLimited(t *testing.T) {
	_, dial := onLoopback(t, Options{Backend: &shelf{}, MaxConnections: 2})
	first, second := call(t, dial), call(t, dial)
	nc, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	third := &caller{t: t, Conn: nc, in: bufio.NewReader(nc)}
	third.want("-ERR [SYS/TEMP] too many connections")
	third.wantEnd()
	first.say("QUIT")
	first.wantEnd()
	second.say("QUIT")
}

// The last reply arrives although the client has sent more than was read.
func TestTheLastReplyIsNotLostToAReset(t *testing.T) {
	_, dial := onLoopback(t, Options{Backend: &shelf{}})
	c := call(t, dial)
	if _, err := c.Write(bytes.Repeat([]byte("x"), 300<<10)); err != nil {
		t.Fatal(err)
	}
	c.want("-ERR line too long")
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		t.Errorf("after the last reply: %q, %v; want the end and no reset", rest, err)
	}
}

func TestTLSOnASocket(t *testing.T) {
	serverTLS, clientTLS := certificate()
	_, dial := onLoopback(t, Options{Backend: &shelf{messages: shelved}, TLS: serverTLS})
	c := call(t, dial)
	c.say("STLS")
	secure := tls.Client(c.Conn, clientTLS)
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	c.Conn, c.in = secure, bufio.NewReader(secure)
	c.say(loggedIn...)
	c.say("QUIT")
	c.wantEnd()
}

// One line at the end of each session, and never a password.
func TestTheLogSaysWhatHappenedAndNoPasswords(t *testing.T) {
	log := make(records, 100)
	_, dial := onLoopback(t, Options{Backend: &shelf{messages: shelved}, InsecureAuth: true, Log: slog.New(log)})
	c := call(t, dial)
	for _, line := range []string{"USER fred", "PASS hunter2", "AUTH PLAIN AGZyZWQAaHVudGVyMg=="} {
		if _, err := io.WriteString(c, line+"\r\n"); err != nil {
			t.Fatal(err)
		}
		c.line()
	}
	c.say("USER hunter2", "PASS secret", "STAT", "DELE 2", "QUIT")
	c.wantEnd()
	line := log.next(t, "")
	for _, want := range []string{
		"INFO session ended [session=", "remote=127.0.0.1:", "ended=quit", "commands=8", "messages=0", "removed=1", "tls=false", "maildrop=",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("%s is missing in %s", want, line)
		}
	}
	for _, secret := range []string{"hunter2", "secret", "AGZyZWQ"} {
		if strings.Contains(line, secret) {
			t.Errorf("%s stands in the log: %s", secret, line)
		}
	}
	if len(log) != 0 {
		t.Errorf("there is another record: %s", <-log)
	}
}

// The same where the replies are small and many.
func TestAClientThatAsksAndNeverReadsIsDropped(t *testing.T) {
	log := make(records, 100)
	_, dial := onLoopback(t, Options{
		Backend: newLibrary(10_000), InsecureAuth: true, Log: slog.New(log), WriteTimeout: 100 * time.Millisecond,
	})
	c := call(t, dial)
	c.say(loggedIn...)
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { // until the server hangs up
		for {
			if _, err := io.WriteString(c, "LIST\r\n"); err != nil {
				return
			}
		}
	})
	if line := log.next(t, "INFO session ended"); !strings.Contains(line, "ended=lost") {
		t.Errorf("got %s", line)
	}
}

// bigMessage is a shelf whose first message is large.
type bigMessage struct {
	*shelf
	octets int64
}

func (d *bigMessage) Login(ctx context.Context, a auth.Attempt) (Maildrop, error) {
	_, err := d.shelf.Login(ctx, a)
	return d, err
}

func (d *bigMessage) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	return warehouse{d.octets}.Open(ctx, m)
}
