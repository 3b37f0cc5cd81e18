package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"restante/perf/peer"
	"restante/perf/report"
)

// A node is a server that can be started again.
type node struct {
	*peer.Server
	name     string
	settings peer.Settings
	token    string // of its admin listener
}

func (n *node) start(ctx context.Context) error {
	kind, err := peer.Find(report.Ours)
	if err != nil {
		return err
	}
	if n.Server, err = kind.Start(ctx, n.settings); err != nil {
		return fmt.Errorf("start node %s: %w", n.name, err)
	}
	token, err := os.ReadFile(filepath.Join(n.Data, "admin-token"))
	n.token = strings.TrimSpace(string(token))
	return err
}

func (n *node) stop() error {
	if n.Server == nil {
		return nil
	}
	return n.Stop()
}

// signal freezes the process, or has it go on.
func (n *node) signal(s syscall.Signal) error { return syscall.Kill(n.PIDs()[0], s) }

// A service is what a node says of one.
type service struct {
	Document struct {
		Name   string `json:"name"`
		Limits struct {
			PerSecond float64 `json:"rate_per_s"`
		} `json:"limits"`
	} `json:"document"`
	State    string            `json:"state"`
	Reason   string            `json:"reason"`
	LastBeat *int64            `json:"last_beat_ms"`
	Weight   float64           `json:"weight"`
	Results  map[string]uint64 `json:"results"`
}

func (n *node) services(ctx context.Context) ([]service, error) {
	var answer struct{ Services []service }
	return answer.Services, n.get(ctx, "/v1/services", &answer)
}

// A queued entry is one of the queue of a node.
type queued struct {
	Message  string    `json:"message"`
	Number   int       `json:"number"` // of the recipient
	State    string    `json:"state"`
	Attempts int       `json:"attempts"`
	Accepted time.Time `json:"accepted"`
}

// waits reports whether an operator could have it tried earlier.
func (q queued) waits() bool { return q.State == "deferred" || q.State == "held" }

// left is how many entries the node has left to do.
func (n *node) left(ctx context.Context) (int, error) {
	var stats struct {
		Total int `json:"total"`
	}
	return stats.Total, n.get(ctx, "/v1/queue/stats", &stats)
}

// queue is what the node has left to do.
func (n *node) queue(ctx context.Context) (all []queued, err error) {
	for next := "/v1/queue?limit=200"; next != ""; {
		var page struct {
			Data  []queued `json:"data"`
			Links struct {
				Next string `json:"next"`
			} `json:"links"`
		}
		if err := n.get(ctx, next, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		next = page.Links.Next
	}
	return all, nil
}

// retry has an entry tried at once.
func (n *node) retry(ctx context.Context, q queued) error {
	return n.post(ctx, fmt.Sprintf("/v1/queue/%s/%d/retry", q.Message, q.Number))
}

// hurry has everything that waits for its time tried at once.
func (n *node) hurry(ctx context.Context) error {
	entries, err := n.queue(ctx)
	if err != nil {
		return err
	}
	for _, q := range entries {
		if q.waits() {
			_ = n.retry(ctx, q) // it may be gone by now; if not, it waits a little longer
		}
	}
	return nil
}

func (n *node) get(ctx context.Context, path string, into any) error {
	text, err := exchange(ctx, http.MethodGet, "http://"+n.Admin+path, n.token, nil)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", n.name, err)
	}
	return nil
}

// post has the node do something.
func (n *node) post(ctx context.Context, path string) error {
	_, err := exchange(ctx, http.MethodPost, "http://"+n.Admin+path, n.token, nil)
	return err
}

// patch changes something, whatever its revision.
func (n *node) patch(ctx context.Context, path string, change any) error {
	body, err := json.Marshal(change)
	if err != nil {
		return err
	}
	_, err = exchange(ctx, http.MethodPatch, "http://"+n.Admin+path, n.token, body)
	return err
}
