package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"restante/perf/wire"
)

// A client has one request at a time, on a connection that it keeps.
type client struct{ wire.HTTP }

func newClient(addr string) *client { return &client{wire.HTTP{Addr: addr, Timeout: patience}} }

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
	status, got, err := c.Exchange(ctx, method, target, "application/json", body)
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
