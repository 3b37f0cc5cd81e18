package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A marionette steers a Mozilla program by its remote protocol: each message is
// its length in octets, a colon and JSON. It has one command under way at most.
type marionette struct {
	conn net.Conn
	read *bufio.Reader
	last int // number of the last command
	stop func() bool
}

// maxReply bounds what the program may say at once.
const maxReply = 16 << 20

// dialMarionette connects and begins a session with the program's own
// privileges, as its windows are not web pages. It ends when ctx does.
func dialMarionette(ctx context.Context, addr string) (*marionette, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	m := &marionette{conn: conn, read: bufio.NewReader(conn), stop: context.AfterFunc(ctx, func() { conn.Close() })}
	if err := m.begin(); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *marionette) begin() error {
	if _, err := m.receive(); err != nil { // it introduces itself
		return err
	}
	if err := m.command("WebDriver:NewSession", map[string]any{}, nil); err != nil {
		return err
	}
	return m.command("Marionette:SetContext", map[string]any{"value": "chrome"}, nil)
}

func (m *marionette) close() {
	m.stop()
	m.conn.Close()
}

// run has the program run a script until the script calls its last argument; what
// it calls it with goes to result. The script may take so long.
func (m *marionette) run(script string, limit time.Duration, result any, args ...any) error {
	reply := struct {
		Value any `json:"value"`
	}{result}
	// It is a setting of the session: without it a script may take half a minute.
	if err := m.command("WebDriver:SetTimeouts", map[string]any{"script": limit.Milliseconds()}, nil); err != nil {
		return err
	}
	return m.command("WebDriver:ExecuteAsyncScript", map[string]any{
		"script": script, "args": append([]any{}, args...), "newSandbox": true,
	}, &reply)
}

// A remoteError is what the program found wrong with a command.
type remoteError struct {
	Kind    string `json:"error"`
	Message string `json:"message"`
}

func (e *remoteError) Error() string { return e.Kind + ": " + e.Message }

// command sends [0, number, name, parameters] and takes [1, number, error,
// result].
func (m *marionette) command(name string, parameters, result any) error {
	m.last++
	raw, err := json.Marshal([]any{0, m.last, name, parameters})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(raw), raw); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if raw, err = m.receive(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var kind, number int
	var failure *remoteError
	var value json.RawMessage
	if err := json.Unmarshal(raw, &[]any{&kind, &number, &failure, &value}); err != nil {
		return fmt.Errorf("%s: not a reply: %.200s: %w", name, raw, err)
	}
	switch {
	case kind != 1 || number != m.last:
		return fmt.Errorf("%s: not its reply: %.200s", name, raw)
	case failure != nil:
		return fmt.Errorf("%s: %w", name, failure)
	case result == nil:
		return nil
	}
	return json.Unmarshal(value, result)
}

// receive reads one message.
func (m *marionette) receive() ([]byte, error) {
	length, err := m.read.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil || n < 0 || n > maxReply {
		return nil, fmt.Errorf("not the length of a message: %.20q", length)
	}
	raw := make([]byte, n)
	_, err = io.ReadFull(m.read, raw)
	return raw, err
}
