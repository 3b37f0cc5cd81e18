package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"restante/perf/peer"
)

// A fake is a process that plays the host which a service hands mail to.
type fake struct {
	name    string
	smtp    string // host:port
	control string
	process *peer.Server
}

// An accepted mail stands in the log of a fake.
type accepted struct {
	To        []string  `json:"to"`
	MessageID string    `json:"message_id"`
	Received  time.Time `json:"received"`
	Octets    int64     `json:"octets"`
}

// A setting is what a fake is told to do.
type setting struct {
	Mode      string  `json:"mode"`
	Rate      float64 `json:"rate,omitempty"`
	At        string  `json:"at,omitempty"`
	Recipient string  `json:"recipient,omitempty"`
}

// works is the setting of a fake that takes all mail.
var works = setting{Mode: "ok"}

type fakeStats struct {
	Accepted  int64 `json:"accepted"`
	Throttled int64 `json:"throttled"`
	Forgotten int64 `json:"forgotten"`
}

// do changes what the fake does.
func (f *fake) do(ctx context.Context, s setting) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = exchange(ctx, http.MethodPut, "http://"+f.control+"/_ctl", "", body)
	return err
}

// log is what the fake has taken.
func (f *fake) log(ctx context.Context) ([]accepted, error) {
	text, err := exchange(ctx, http.MethodGet, "http://"+f.control+"/_log", "", nil)
	if err != nil {
		return nil, err
	}
	var all []accepted
	for in := json.NewDecoder(bytes.NewReader(text)); ; {
		var one accepted
		if err := in.Decode(&one); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("log of fake %s: %w", f.name, err)
		}
		all = append(all, one)
	}
}

func (f *fake) stats(ctx context.Context) (s fakeStats, err error) {
	text, err := exchange(ctx, http.MethodGet, "http://"+f.control+"/_stats", "", nil)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

// client asks what is near.
var client = &http.Client{Timeout: 10 * time.Second}

// exchange is a request that has to succeed.
func exchange(ctx context.Context, method, url, token string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPatch {
		r.Header.Set("If-Match", "*")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	if answer.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s: %.300s", method, url, answer.Status, text)
	}
	return text, nil
}
