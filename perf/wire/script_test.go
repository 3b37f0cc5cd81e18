package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// serve plays one connection's script on loopback and is done with it before
// the test ends: lines "S: x" are sent, lines "C: x" must come, and at "E:" the
// client must hang up. With "+" instead of ":" a line is sent without being
// flushed, so that it shares a write with the next one.
func serve(t *testing.T, script string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	played := make(chan error, 1)
	go func() { played <- play(l, script) }()
	t.Cleanup(func() {
		if err := <-played; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func play(l net.Listener, script string) error {
	defer func() { _ = l.Close() }()
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	in, out := bufio.NewReader(c), bufio.NewWriter(c)
	for step := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
		text := step[min(3, len(step)):]
		if step[0] == 'S' {
			_, _ = out.WriteString(text + "\r\n")
			if step[1] == ':' {
				_ = out.Flush()
			}
			continue
		}
		got, err := in.ReadString('\n')
		if step[0] == 'E' && errors.Is(err, io.EOF) && got == "" {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting for %q: %w", text, err)
		}
		if got != text+"\r\n" {
			return fmt.Errorf("the client says %q, not %q", got, text)
		}
	}
	return nil
}

// quick is how the tests dial: a mistake must not hold them for long.
var quick = Options{Timeout: 5 * time.Second}
