package smtp_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"regexp"
	"testing"
	"time"

	"restante/smtp"
)

var (
	replyLine = regexp.MustCompile(`^[2345][0-9][0-9][ -][^\r\n]*$`)
	keptReply = regexp.MustCompile(`^250 2\.0\.0 [0-9a-f-]{36} kept$`)
)

// Whatever a client sends, the server answers in lines that are replies, says
// that a message is kept for each that is and for no other, and is gone when the
// client is.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"EHLO a\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<fred@example.org>\r\nDATA\r\n" + hello + ".\r\nQUIT\r\n",
		"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT 3\r\nabcBDAT 3 LAST\r\nabcRSET\r\n",
		"EHLO a\r\nAUTH PLAIN\r\nAGEAYg==\r\nAUTH LOGIN YQ==\r\n*\r\nNOOP\r\nBDAT 1\r\n",
		"EHLO a\r\nMAIL FROM:<a@example.net> SIZE=10 RET=FULL\r\nRCPT TO:<\"a b\"@example.org> NOTIFY=NEVER\r\nDATA\r\n..\r\n.\n.\r\n\r\n.\r\n",
		"LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<fred@example.org>\r\nBDAT 5\r\nabcdeQUIT\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"STARTTLS\r\n\x16\x03\x01",
	} {
		for kind := range byte(3) {
			f.Add([]byte(s), kind)
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, kind byte) {
		r := newRig(t, func(o *smtp.Options) {
			o.Kind = smtp.Kind(kind % 3)
			o.InsecureAuth = true
			o.MaxOctets = 1000
			o.Log = slog.New(slog.DiscardHandler)
		})
		r.listener = newPipeListener()
		r.serve(r.listener, false)
		near, far := newDuplex()
		r.listener.conns <- far
		watchdog := time.AfterFunc(10*time.Second, func() { _ = near.Close() })
		defer watchdog.Stop()
		go func() {
			_, _ = near.Write(input) // the server may hang up
			_ = near.out.Close()
		}()
		replies, _ := io.ReadAll(near) // what came is what counts
		r.stop(t)
		if kind%3 == byte(smtp.LMTP) {
			return // as many replies as recipients
		}
		if kept := checkReplies(t, replies); kept != len(r.post.deliveries) {
			t.Fatalf("%d messages acknowledged, %d delivered: %q", kept, len(r.post.deliveries), replies)
		}
		for _, d := range r.post.deliveries {
			checkDelivery(t, d)
		}
	})
}

// checkReplies counts the messages that replies acknowledge.
func checkReplies(t *testing.T, replies []byte) (kept int) {
	t.Helper()
	for line := range bytes.Lines(replies) {
		line, ok := bytes.CutSuffix(line, []byte("\r\n"))
		switch {
		case !ok || !replyLine.Match(line):
			t.Fatalf("%q is no reply", line)
		case keptReply.Match(line):
			kept++
		case bytes.HasPrefix(line, []byte("220 2.0.0 ")):
			return kept // what follows is TLS
		}
	}
	return kept
}

func checkDelivery(t *testing.T, d delivery) {
	t.Helper()
	if len(d.env.Recipients) == 0 || !bytes.HasPrefix(d.content, []byte("Return-Path: <")) {
		t.Fatalf("delivered %+v: %q", d.env, d.content)
	}
	if text := bytes.ReplaceAll(d.content, []byte("\r\n"), nil); bytes.ContainsAny(text, "\r\n") {
		t.Fatalf("line ends are not settled: %q", d.content)
	}
}

// A duplex is one end of a connection in memory that can be closed for writing
// alone, as TCP can.
type duplex struct {
	net.Conn // never used: a method that is missing panics
	in       *io.PipeReader
	out      *io.PipeWriter
}

func newDuplex() (near, far *duplex) {
	there, back := &duplex{}, &duplex{}
	there.in, back.out = io.Pipe()
	back.in, there.out = io.Pipe()
	return there, back
}

func (d *duplex) Read(p []byte) (int, error)       { return d.in.Read(p) }
func (d *duplex) Write(p []byte) (int, error)      { return d.out.Write(p) }
func (d *duplex) Close() error                     { _ = d.in.Close(); return d.out.Close() }
func (d *duplex) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "duplex", Net: "unix"} }
func (d *duplex) SetDeadline(time.Time) error      { return nil }
func (d *duplex) SetReadDeadline(time.Time) error  { return nil }
func (d *duplex) SetWriteDeadline(time.Time) error { return nil }
