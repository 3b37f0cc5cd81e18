package pop3

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// A tape is a connection whose client has said everything beforehand and then
// closes.
type tape struct {
	io.Reader
	bytes.Buffer
	writes int
}

func (t *tape) Write(p []byte) (int, error) {
	t.writes++
	return t.Buffer.Write(p)
}

func (t *tape) Read(p []byte) (int, error)       { return t.Reader.Read(p) }
func (t *tape) Close() error                     { return nil }
func (t *tape) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (t *tape) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (t *tape) SetDeadline(time.Time) error      { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }

// playTape is what the server says to a client that says all of in.
func playTape(in io.Reader) (out string, d *shelf) {
	d = &shelf{messages: shelved}
	// The third mistake would wait.
	s := New(Options{Backend: d, InsecureAuth: true, Log: quiet, MaxMistakes: 3})
	connection := &tape{Reader: in}
	c := newConn(s, connection, false)
	c.serve()
	return connection.String(), d
}

func TestHowOctetsAreSplitDoesNotMatter(t *testing.T) {
	const in = "USER fred\r\nPASS secret\r\nUIDL\r\nRETR 2\r\nTOP 1 0\nNONSENSE\r\nDELE 1\r\nSTAT\r\nQUIT\r\nSTAT\r\n"
	whole, _ := playTape(strings.NewReader(in))
	single, d := playTape(iotest.OneByteReader(strings.NewReader(in)))
	if whole != single {
		t.Errorf("at once:\n%s\noctet by octet:\n%s", whole, single)
	}
	if !strings.HasSuffix(whole, "+OK 2 69\r\n+OK bye\r\n") || len(d.updates) != 1 {
		t.Errorf("the session ends with\n%s\nand %d updates", whole, len(d.updates))
	}
}

func TestAReplyIsOneWrite(t *testing.T) {
	lines := append(loggedIn[:2:2], "STAT", "UIDL", "RETR 1", "RETR 1", "TOP 2 1", "DELE 1", "QUIT")
	in := strings.Join(lines, "\r\n") + "\r\n"
	s := New(Options{Backend: newLibrary(100), InsecureAuth: true, Log: quiet})

	single := &tape{Reader: &byLine{lines}}
	newConn(s, single, false).serve()
	if want := 1 + len(lines); single.writes != want {
		t.Errorf("%d commands one by one are answered in %d writes, want %d", len(lines), single.writes, want)
	}
	// All at once there is the greeting, and then as few writes as 8 KiB allow.
	together := &tape{Reader: strings.NewReader(in)}
	newConn(s, together, false).serve()
	if together.writes > 4 {
		t.Errorf("%d commands at once are answered in %d writes, want at most 4", len(lines), together.writes)
	}
	if single.String() != together.String() {
		t.Error("the answers differ")
	}
}

// byLine gives a line at each Read.
type byLine struct{ lines []string }

func (r *byLine) Read(p []byte) (int, error) {
	if len(r.lines) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.lines[0]+"\r\n")
	r.lines = r.lines[1:]
	return n, nil
}

// FuzzConn sends any octets: the connection ends, nothing panics, the output is
// lines, and nothing is removed without QUIT.
func FuzzConn(f *testing.F) {
	for _, in := range []string{
		"USER fred\r\nPASS secret\r\nDELE 1\r\nQUIT\r\n",
		"AUTH PLAIN\r\nAGZyZWQAc2VjcmV0\r\nRETR 1\nTOP 2 1\nLIST\nDELE 2\n",
		"AUTH PLAIN " + strings.Repeat("A", 300) + "\r\nCAPA\r\n" + strings.Repeat("x", 3000) + "\r\nUSER",
		"\x16\x03\x01", "GET / HTTP/1.0\r\n\r\n", "ST\x00AT\r\n\xff\r\n\r\r\n",
	} {
		f.Add([]byte(in), true)
		f.Add([]byte(in), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, single bool) {
		var r io.Reader = bytes.NewReader(in)
		if single {
			r = iotest.OneByteReader(r)
		}
		out, d := playTape(r)
		rest, greeted := strings.CutPrefix(out, "+OK POP3 server ready\r\n")
		if !greeted || rest != "" && !strings.HasSuffix(rest, "\r\n") {
			t.Fatalf("%q: %q", in, out)
		}
		if strings.Count(out, "\n") != strings.Count(out, "\r\n") || strings.Count(out, "\r") != strings.Count(out, "\r\n") {
			t.Fatalf("%q: a bare CR or LF in %q", in, out)
		}
		if strings.Contains(out, "SYS/") {
			t.Fatalf("%q: a fault of ours in %q", in, out)
		}
		if len(d.updates) > 0 && !bytes.Contains(bytes.ToUpper(in), []byte("QUIT")) {
			t.Fatalf("%q removes without QUIT", in)
		}
	})
}

func TestLongLinesAreReadInBoundedMemory(t *testing.T) {
	l := newLines(io.LimitReader(endless{}, 1<<30))
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := l.next(true); err != errNoEnd {
			t.Errorf("got %v, want %v", err, errNoEnd)
		}
	})
	if cap(l.long) > 2*maxAuthLine || allocated > 20 {
		t.Errorf("%d octets are held after %v allocations", cap(l.long), allocated)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
