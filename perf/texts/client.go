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

// A client speaks HTTP/1.1 with as little code as it takes, so that the processor
// measures the server. It has one request at a time.
type client struct {
	addr    string // host:port
	keep    bool   // whether the connection is used again
	timeout time.Duration

	conn net.Conn // nil: the next request dials
	read *bufio.Reader
	stop func() bool // ends the watch over the context that the connection was dialled with
	out  []byte
}

// A gotten text is one that the server returned.
type gotten struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
}

// errAnswer tells of an answer that there should not be.
var errAnswer = errors.New("unexpected answer")

// post posts a text as the published clients do, in a form. Without a timeout it has
// that of the server.
func (c *client) post(ctx context.Context, user, text string, timeout time.Duration) (id int64, err error) {
	form := url.Values{"username": {user}, "text": {text}}
	if timeout > 0 {
		form.Set("timeout", strconv.Itoa(int(timeout.Seconds())))
	}
	status, body, err := c.ask(ctx, "POST", "/chat", form.Encode())
	if err != nil {
		return 0, err
	}
	var answer struct {
		ID *int64 `json:"id"`
	}
	if status != http.StatusCreated || json.Unmarshal(body, &answer) != nil || answer.ID == nil {
		return 0, fmt.Errorf("POST: %w: %d %.200s", errAnswer, status, body)
	}
	return *answer.ID, nil
}

// take takes the texts of a user.
func (c *client) take(ctx context.Context, user string) (texts []gotten, err error) {
	status, body, err := c.ask(ctx, "GET", "/chat?username="+url.QueryEscape(user), "")
	if err != nil {
		return nil, err
	}
	switch status {
	case http.StatusOK:
		if json.Unmarshal(body, &texts) == nil && len(texts) > 0 {
			return texts, nil
		}
	case http.StatusNotFound:
		var said string
		if json.Unmarshal(body, &said) == nil && said == "Username not found" {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("GET: %w: %d %.200s", errAnswer, status, body)
}

// flush removes all texts.
func (c *client) flush(ctx context.Context) error {
	status, body, err := c.ask(ctx, "DELETE", "/chat", "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("DELETE: %w: %d %.200s", errAnswer, status, body)
	}
	return err
}

// ask sends a request and reads the answer.
func (c *client) ask(ctx context.Context, method, target, body string) (status int, answer []byte, err error) {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return 0, nil, err
		}
	}
	defer func() {
		if err != nil || !c.keep {
			c.close()
		}
	}()
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, nil, err
	}
	c.out = append(c.out[:0], method+" "+target+" HTTP/1.1\r\nHost: "+c.addr+"\r\nUser-Agent: restante-perf\r\n"...)
	if body != "" {
		c.out = append(c.out, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n"...)
	}
	if !c.keep {
		c.out = append(c.out, "Connection: close\r\n"...)
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
	if err == nil && c.keep && r.Close {
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
