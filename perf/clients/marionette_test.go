package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// puppet answers each command with the next reply, which may hold %d for the
// command's number, and tells what it was sent.
func puppet(t *testing.T, replies ...string) (*marionette, func() []string) {
	t.Helper()
	ours, theirs := net.Pipe()
	deadline := time.Now().Add(10 * time.Second)
	if err := errors.Join(ours.SetDeadline(deadline), theirs.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	done := make(chan []string)
	go func() {
		var heard []string
		defer func() { theirs.Close(); done <- heard }()
		m := marionette{read: bufio.NewReader(theirs)}
		for i, r := range replies {
			raw, err := m.receive()
			if err != nil {
				return
			}
			heard = append(heard, string(raw))
			if strings.Contains(r, "%d") {
				r = fmt.Sprintf(r, i+1)
			}
			if _, err := fmt.Fprintf(theirs, "%d:%s", len(r), r); err != nil {
				return
			}
		}
	}()
	m := &marionette{conn: ours, read: bufio.NewReader(ours), stop: func() bool { return true }}
	return m, func() []string { m.close(); return <-done }
}

func TestACommandGetsItsReply(t *testing.T) {
	m, heard := puppet(t, `[1,%d,null,{"value":null}]`, `[1,%d,null,{"value":{"Subject":"ü"}}]`)
	var seen struct{ Subject string }
	if err := m.run("done()", time.Second, &seen); err != nil {
		t.Error(err)
	}
	if seen.Subject != "ü" {
		t.Errorf("subject %q", seen.Subject)
	}
	want := []string{
		`[0,1,"WebDriver:SetTimeouts",{"script":1000}]`,
		`[0,2,"WebDriver:ExecuteAsyncScript",{"args":[],"newSandbox":true,"script":"done()"}]`,
	}
	if got := heard(); !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func TestAFailureOfTheProgramIsAnError(t *testing.T) {
	m, heard := puppet(t, `[1,%d,{"error":"script timeout","message":"too slow","stacktrace":""},null]`)
	err := m.command("WebDriver:NewSession", nil, nil)
	var failure *remoteError
	if !errors.As(err, &failure) || failure.Kind != "script timeout" {
		t.Errorf("error %v", err)
	}
	heard()
}

func TestWhatIsNoReplyIsRefused(t *testing.T) {
	for name, reply := range map[string]string{
		"another number": `[1,7,null,{}]`,
		"a command":      `[0,%d,null,{}]`,
		"no JSON":        `hello`,
	} {
		m, heard := puppet(t, reply)
		if m.command("WebDriver:NewSession", nil, nil) == nil {
			t.Errorf("%s: taken", name)
		}
		heard()
	}
}

func TestALengthThatCannotBeIsRefused(t *testing.T) {
	for _, sent := range []string{"", "12", "x:", "-1:", "99999999999:", "5:abc"} {
		m := marionette{read: bufio.NewReader(strings.NewReader(sent))}
		if raw, err := m.receive(); err == nil {
			t.Errorf("%q: received %q", sent, raw)
		} else if sent == "" && !errors.Is(err, io.EOF) {
			t.Errorf("nothing sent: %v", err)
		}
	}
}
