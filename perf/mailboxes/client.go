package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A client speaks HTTP/1.1 on one connection, which it keeps, with as little code as it
// takes: thousands of them share a process and must leave the processor to the server.
// It has one request at a time.
type client struct {
	addr    string // host:port
	timeout time.Duration

	conn net.Conn // nil: the next request dials
	read *bufio.Reader
	stop func() bool // ends the watch over the context that the connection was dialled with
	out  []byte
}

// A draft is a message as it is posted.
type draft struct {
	Sender  string    `json:"sender"`
	Subject string    `json:"subject"`
	Body    string    `json:"body"`
	Sent    time.Time `json:"sent"`
}

// A shown message is one as the server answers it.
type shown struct {
	ID string `json:"id"`
	draft
	Received time.Time `json:"received"`
	Size     int64     `json:"size"`
}

// A listing is one page of a mailbox.
type listing struct {
	Data  []shown `json:"data"`
	Links struct {
		Next string `json:"next"`
	} `json:"links"`
}

var (
	// errAnswer tells of an answer that there should not be.
	errAnswer = errors.New("unexpected answer")
	// errAbsent tells that the server says there is no such mailbox or message, which
	// only the ledger can judge.
	errAbsent = errors.New("there is no such thing")
)

func mailboxPath(email string) string { return "/mailboxes/" + url.PathEscape(email) }

func messagesPath(email string) string { return mailboxPath(email) + "/messages" }

func messagePath(email, id string) string { return messagesPath(email) + "/" + url.PathEscape(id) }

// ask sends a request, with what is to be said as JSON, if anything is, and reads the
// answer, which must have the status.
func (c *client) ask(ctx context.Context, method, target string, say any, want int, answer any) error {
	var body []byte
	if say != nil {
		var err error
		if body, err = json.Marshal(say); err != nil {
			return err
		}
	}
	status, got, err := c.exchange(ctx, method, target, body)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", method, err)
	case status == want && (answer == nil || json.Unmarshal(got, answer) == nil):
		return nil
	case status == http.StatusNotFound:
		var problem struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(got, &problem) == nil && (problem.Type == "urn:problem:mailbox-not-found" || problem.Type == "urn:problem:message-not-found") {
			return errAbsent
		}
	}
	return fmt.Errorf("%s: %w: %d %.200s", method, errAnswer, status, got)
}

// exchange sends a request and reads the answer.
func (c *client) exchange(ctx context.Context, method, target string, body []byte) (status int, answer []byte, err error) {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return 0, nil, err
		}
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, nil, err
	}
	c.out = append(c.out[:0], method+" "+target+" HTTP/1.1\r\nHost: "+c.addr+"\r\nUser-Agent: restante-perf\r\n"...)
	if body != nil {
		c.out = append(c.out, "Content-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n"...)
	}
	c.out = append(append(c.out, "\r\n"...), body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, nil, err
	}
	r, err := http.ReadResponse(c.read, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err == nil && r.Close {
		c.close()
	}
	return r.StatusCode, answer, err
}

// dial connects; the connection is closed when ctx ends.
func (c *client) dial(ctx context.Context) error {
	d := net.Dialer{Timeout: c.timeout}
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	c.conn = conn
	c.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	if c.read == nil {
		c.read = bufio.NewReader(conn)
	} else {
		c.read.Reset(conn)
	}
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		c.stop()
		_ = c.conn.Close()
		c.conn = nil
	}
}
