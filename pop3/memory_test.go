package pop3

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"

	"restante/auth"
	"restante/mailbox"
)

// warehouse has one message of any size, in lines made as they are
// read.
type warehouse struct{ octets int64 }

func (w warehouse) Login(context.Context, auth.Attempt) (Maildrop, error) { return w, nil }
func (w warehouse) ID() mailbox.MaildropID                                { return mailbox.MaildropID{} }
func (w warehouse) Close() error                                          { return nil }
func (w warehouse) Update(context.Context, []mailbox.Message) error       { return nil }

func (w warehouse) List() []mailbox.Message {
	return []mailbox.Message{{ID: shelved[0].ID, Octets: w.octets}}
}

func (w warehouse) Open(context.Context, mailbox.Message) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(&textLines{}, w.octets)), nil
}

// textLines are without end.
type textLines struct{ at int }

const textLine = "The quick brown fox jumps over the lazy dog, again and again and again, and so.\r\n"

func (l *textLines) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		copied := copy(p[n:], textLine[l.at:])
		n += copied
		l.at = (l.at + copied) % len(textLine)
	}
	return len(p), nil
}

// memoryOf is how much memory each of many sessions takes, our own end of their
// connections included, once all of them wait for their clients.
func memoryOf(t *testing.T, lines ...string) (octets uint64) {
	const sessions = 500
	options := Options{Backend: warehouse{25 << 20}}
	inBubble(t, options, func(t *testing.T, s *Server, dial func() (net.Conn, error)) {
		before := inUse()
		for range sessions {
			c := call(t, dial)
			c.say(loggedIn...)
			c.say(lines...)
		}
		synctest.Wait()
		octets = (inUse() - before) / sessions
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ended)
	})
	return octets
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC() // what was in pools goes in the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func TestAnIdleSessionTakesLittleMemory(t *testing.T) {
	got := memoryOf(t)
	t.Logf("%d octets", got)
	if got > 32<<10 {
		t.Errorf("an idle session takes %d octets, want at most 32 KiB", got)
	}
}

func TestASessionThatRetrievesTakesLittleMemory(t *testing.T) {
	got := memoryOf(t, "RETR 1")
	t.Logf("%d octets", got)
	if got > 80<<10 {
		t.Errorf("a session in the middle of 25 MiB takes %d octets, want at most 80 KiB", got)
	}
}
