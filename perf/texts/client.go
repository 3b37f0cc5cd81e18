package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"restante/perf/wire"
)

// A client has one request at a time.
type client struct{ wire.HTTP }

func newClient(addr string, keep bool) *client {
	return &client{wire.HTTP{Addr: addr, Once: !keep, Timeout: patience}}
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
	status, body, err := c.Exchange(ctx, "POST", "/chat", "application/x-www-form-urlencoded", []byte(form.Encode()))
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
	status, body, err := c.Exchange(ctx, "GET", "/chat?username="+url.QueryEscape(user), "", nil)
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
	status, body, err := c.Exchange(ctx, "DELETE", "/chat", "", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("DELETE: %w: %d %.200s", errAnswer, status, body)
	}
	return err
}
