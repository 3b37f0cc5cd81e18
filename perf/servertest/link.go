package servertest

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// A Link is one connection of a server, in SMTP or POP3.
type Link struct {
	*bufio.Reader
	net.Conn
}

// Listen serves each connection to an address until the test ends, and waits for all.
func Listen(t *testing.T, serve func(*Link)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = c.Close() }()
				serve(&Link{bufio.NewReader(c), c})
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

// Read reads what the client sends.
func (l *Link) Read(p []byte) (int, error) { return l.Reader.Read(p) }

// Say sends a line.
func (l *Link) Say(format string, args ...any) { _, _ = fmt.Fprintf(l.Conn, format+"\r\n", args...) }

// Hear is the next command and its argument.
func (l *Link) Hear() (verb, arg string, ok bool) {
	line, err := l.ReadString('\n')
	verb, arg, _ = strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	return verb, arg, err == nil
}

// Content is what follows DATA, behind a trace field as a server adds one.
func (l *Link) Content() (octets []byte, ok bool) {
	octets = []byte("Received: by fake\r\n")
	for {
		line, err := l.ReadBytes('\n')
		if err != nil {
			return nil, false
		}
		if string(line) == ".\r\n" {
			return octets, true
		}
		octets = append(octets, bytes.TrimPrefix(line, []byte("."))...)
	}
}

// Retrieved sends a message as the answer to RETR.
func (l *Link) Retrieved(message []byte) {
	l.Say("+OK\r\n%s.", strings.ReplaceAll(string(message), "\r\n.", "\r\n.."))
}
