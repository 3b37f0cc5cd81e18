package rest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox/mailboxtest"
)

// A pipe is a listener for one connection that has no network under it, so that
// its deadlines are of virtual time.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { close(p.closed); return nil }
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// dial serves the site and returns the client's end of a connection, and a
// function that ends both.
func (s *site) dial(t *testing.T) (net.Conn, func()) {
	l := &pipe{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: s.handler}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	client, conn := net.Pipe()
	l.conns <- conn
	return client, func() {
		client.Close()
		server.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
	}
}

// ask writes a request and reads the status of the answer.
func ask(t *testing.T, conn net.Conn, request string) (status int, took time.Duration) {
	t.Helper()
	began := time.Now()
	go io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n"))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, time.Since(began)
}

const head = "Host: x\nAuthorization: Bearer " + testToken + "\n\n"

func TestAnOperationMayTakeLongerThanItsRequestMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHandler()
		s.account(t, "fred@example.org")
		conn, end := s.dial(t)
		defer end()
		s.breakCalls("Maildrops.List", mailboxtest.Delay(2*time.Minute))
		status, took := ask(t, conn, "DELETE /accounts/fred@example.org HTTP/1.1\n"+head)
		if status != http.StatusNoContent || took != 4*time.Minute {
			t.Errorf("%d after %s", status, took)
		}
		s.breakCalls("", nil)
		time.Sleep(2 * writeTimeout) // the deadline of that answer is past
		if status, _ := ask(t, conn, "PUT /aliases/fred@example.org HTTP/1.1\nContent-Length: 2\n"+head+"{}"); status != http.StatusUnprocessableEntity {
			t.Errorf("the next request: %d", status)
		}
		if status, _ := ask(t, conn, "GET /accounts HTTP/1.1\n"+head); status != http.StatusOK {
			t.Errorf("the one after: %d", status)
		}
	})
}

func TestAStoreThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHandler()
		conn, end := s.dial(t)
		defer end()
		s.breakCalls("Addresses.Lookup", mailboxtest.Hang)
		status, took := ask(t, conn, "GET /accounts/fred@example.org HTTP/1.1\n"+head)
		if status != http.StatusServiceUnavailable || took != shortTimeout {
			t.Errorf("%d after %s", status, took)
		}
	})
}

func TestARequestThatDoesNotComeIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, end := newHandler().dial(t)
		defer end()
		status, took := ask(t, conn, "POST /accounts HTTP/1.1\nContent-Length: 9\n"+head+"{")
		if status != http.StatusRequestTimeout || took != bodyTimeout {
			t.Errorf("%d after %s", status, took)
		}
	})
}

func TestAClientThatDoesNotReadIsGivenUp(t *testing.T) {
	for name, request := range map[string]string{
		"in the middle of a long answer": "GET /accounts HTTP/1.1\n",
		"before an answer without body":  "DELETE /accounts/user1@example.org HTTP/1.1\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newHandler()
				for i := range 1000 {
					s.account(t, fmt.Sprintf("user%d@example.org", i))
				}
				conn, end := s.dial(t)
				defer end()
				if _, err := io.WriteString(conn, strings.ReplaceAll(request+head, "\n", "\r\n")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(writeTimeout + time.Second)
				if text, err := io.ReadAll(conn); err != nil || len(text) > 0 {
					t.Errorf("%d octets came after all, %v", len(text), err)
				}
			})
		})
	}
}
