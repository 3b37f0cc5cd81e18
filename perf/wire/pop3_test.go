package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func dialPOP3(t *testing.T, script string) *POP3 {
	t.Helper()
	p, err := DialPOP3(context.Background(), serve(t, script), quick)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestASessionListsRetrievesAndDeletes(t *testing.T) {
	p := dialPOP3(t, `
S: +OK ready
C: USER fred
S: +OK
C: PASS pass word
S: +OK
C: STAT
S: +OK 2 320
C: UIDL
S: +OK
S: 1 whqtswO00WBw418f9t5JxYwZ
S: 2 b
S: .
C: LIST
S: +OK 2 messages
S: 1 120
S: 2 200
S: .
C: RETR 2
S+ +OK
S+ a
S+ ..b
S+ ..
S+ 
S: .
C: DELE 2
S: +OK
C: DELE 2
S: -ERR already deleted
C: QUIT
S: +OK
`)
	if err := p.Login("fred", "pass word"); err != nil {
		t.Fatal(err)
	}
	if n, octets, err := p.Stat(); n != 2 || octets != 320 || err != nil {
		t.Error(n, octets, err)
	}
	var listed strings.Builder
	if err := p.UIDL(func(n int, id []byte) { fmt.Fprintf(&listed, "%d=%s ", n, id) }); err != nil {
		t.Error(err)
	}
	if err := p.List(func(n int, octets int64) { fmt.Fprintf(&listed, "%d=%d ", n, octets) }); err != nil {
		t.Error(err)
	}
	if want := "1=whqtswO00WBw418f9t5JxYwZ 2=b 1=120 2=200 "; listed.String() != want {
		t.Errorf("listed %q", listed.String())
	}
	var body bytes.Buffer
	if err := p.Retr(2, &body); err != nil || body.String() != "a\r\n.b\r\n.\r\n\r\n" {
		t.Errorf("%q, %v", body.String(), err)
	}
	var refused *ReplyError
	if err := p.Dele(2); err != nil {
		t.Error(err)
	}
	if err := p.Dele(2); !errors.As(err, &refused) {
		t.Errorf("-ERR became %v", err)
	}
	if err := p.Quit(); err != nil {
		t.Error(err)
	}
}

func TestABodyIsTheSameHoweverItArrives(t *testing.T) {
	message := "\r\n.\r\n..\r\na\r\n.b\r\r\n.\n\r\n" + strings.Repeat(".", 100) + "\r\n" + strings.Repeat("x\r", 40) + "\r\n"
	stuffed := "+OK\r\n" + strings.ReplaceAll(message, "\r\n.", "\r\n..") + ".\r\n-ERR next\r\n"
	for size := 16; size < 300; size += 7 {
		for name, r := range map[string]io.Reader{
			"at once": strings.NewReader(stuffed),
			"by one":  iotest.OneByteReader(strings.NewReader(stuffed)),
			"by half": iotest.HalfReader(strings.NewReader(stuffed)),
		} {
			p := &POP3{conn{read: bufio.NewReaderSize(r, size)}}
			var got bytes.Buffer
			if _, err := p.status("RETR"); err != nil {
				t.Fatal(err)
			}
			if err := p.body(&got); err != nil || got.String() != message {
				t.Fatalf("%s, buffer of %d: %q, %v", name, size, got.String(), err)
			}
			if line, err := p.line(); err != nil || string(line) != "-ERR next" {
				t.Fatalf("%s, buffer of %d: then %q, %v", name, size, line, err)
			}
		}
	}
}

func TestADiscardedBodyEndsWhereItEnds(t *testing.T) {
	for _, message := range []string{"", "\r\n", ".\r\n", "a\r\n.\r\n..\r\na\r\n", "a.\r\n\r.\r\n\r\n", strings.Repeat("x\r\n", 100)} {
		stuffed := strings.TrimPrefix(strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n.."), "\r\n") + ".\r\n"
		for size := 16; size < 300; size += 7 {
			for name, in := range map[string]io.Reader{
				"at once": strings.NewReader("+OK\r\n" + stuffed),
				"by one":  iotest.OneByteReader(strings.NewReader("+OK\r\n" + stuffed)),
				"by half": iotest.HalfReader(strings.NewReader("+OK\r\n" + stuffed)),
			} {
				p := &POP3{conn{net: mute{}, read: bufio.NewReaderSize(in, size)}}
				if n, err := p.Discard(1); err != nil || n != int64(len(stuffed)) {
					t.Fatalf("%q, %s, buffer of %d: %d octets, %v; want %d", message, name, size, n, err, len(stuffed))
				}
			}
		}
	}
	for _, cut := range []string{"-ERR no such message\r\n", "+OK\r\n", "+OK\r\na\r\n.\r", "+OK\r\na\n.\r\n"} {
		p := &POP3{conn{net: mute{}, read: bufio.NewReader(strings.NewReader(cut))}}
		if n, err := p.Discard(1); err == nil {
			t.Errorf("%q is taken for %d octets", cut, n)
		}
	}
}

// mute takes whatever is written.
type mute struct{ net.Conn }

func (mute) Write(p []byte) (int, error) { return len(p), nil }

func TestABodyCutShortIsAnError(t *testing.T) {
	whole := "a\r\n..b\r\n.\r\n"
	for n := range len(whole) {
		p := &POP3{conn{read: bufio.NewReader(strings.NewReader(whole[:n]))}}
		if err := p.body(io.Discard); err == nil {
			t.Errorf("%q is taken for a whole message", whole[:n])
		}
	}
}

func TestDELEsAreSentManyAtATime(t *testing.T) {
	var script strings.Builder
	script.WriteString("S: +OK\n")
	for done := 0; done < 250; done += 100 {
		n := min(100, 250-done)
		for i := range n {
			fmt.Fprintf(&script, "C: DELE %d\n", done+i+1)
		}
		script.WriteString(strings.Repeat("S: +OK\n", n))
	}
	if err := dialPOP3(t, script.String()).DeleAll(250); err != nil {
		t.Error(err)
	}
}

func TestQuitReportsThatTheServerCouldNotRemove(t *testing.T) {
	p := dialPOP3(t, "S: +OK\nC: QUIT\nS: -ERR [SYS/TEMP] some messages not removed")
	if err := p.Quit(); err == nil {
		t.Error("QUIT's -ERR is lost")
	}
}

func TestEveryWaitEnds(t *testing.T) {
	t.Run("with its deadline", func(t *testing.T) {
		p, err := DialPOP3(context.Background(), serve(t, "S: +OK\nC: STAT\nC: never"), Options{Timeout: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Stat(); err == nil {
			t.Error("a silent server is waited for")
		}
		p.put("never")
		if err := p.flush(); err != nil {
			t.Error(err)
		}
		_ = p.Close()
	})
	t.Run("with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		p, err := DialPOP3(ctx, serve(t, "S: +OK\nC: STAT\nE:"), quick)
		if err != nil {
			t.Fatal(err)
		}
		p.put("STAT")
		if err := p.flush(); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := p.line(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a cancelled client reads until %v", err)
		}
		_ = p.Close()
	})
}

func TestWhatIsNotPOP3IsRefused(t *testing.T) {
	for _, greeting := range []string{"220 smtp", "-ERR go away", ""} {
		p, err := DialPOP3(context.Background(), serve(t, "S: "+greeting), quick)
		if err == nil {
			t.Errorf("%q is taken for a greeting", greeting)
			_ = p.Close()
		}
	}
	for _, listing := range []string{"1", "x y", "1 y"} {
		p := dialPOP3(t, "S: +OK\nC: LIST\nS: +OK\nS: "+listing+"\nS: .")
		if err := p.List(func(int, int64) {}); err == nil {
			t.Errorf("%q is taken for a line of LIST", listing)
		}
	}
}
