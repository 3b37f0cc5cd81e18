package rest

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// Services are the services that mail leaves through, as the server sees them.
func (c *Client) Services(ctx context.Context) ([]Service, error) {
	var answer struct{ Services []Service }
	err := c.call(ctx, http.MethodGet, servicesPath, nil, &answer)
	return answer.Services, err
}

// Service is one of them.
func (c *Client) Service(ctx context.Context, name string) (found Service, err error) {
	err = c.call(ctx, http.MethodGet, serviceURL(name), nil, &found)
	return found, err
}

// Steer drains, resumes, resets, probes or trips a service: the verb is one of "drain",
// "resume", "reset", "probe" and "trip".
func (c *Client) Steer(ctx context.Context, name, verb string) (after Service, err error) {
	err = c.call(ctx, http.MethodPost, serviceURL(name)+"/"+url.PathEscape(verb), nil, &after)
	return after, err
}

// RemoveService takes a service out that has registered.
func (c *Client) RemoveService(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, serviceURL(name), nil, nil)
}

// Enrol makes a token by which services may register.
func (c *Client) Enrol(ctx context.Context, scope NewEnrolment) (made Enrolment, err error) {
	err = c.call(ctx, http.MethodPost, enrolmentsPath, scope, &made)
	return made, err
}

// A QueueFilter chooses entries of the queue. What is empty chooses all.
type QueueFilter struct {
	State  string // ready, sending, deferred or held
	Domain string // of the recipient
	Sender string // domain of the sender
	Age    string // since it was accepted, at least, such as 4h
	Page   int    // entries that are asked for at a time, at most 200; 0: 200
}

func (f QueueFilter) link() string {
	query := url.Values{"limit": {"200"}}
	if f.Page > 0 {
		query.Set("limit", strconv.Itoa(f.Page))
	}
	for name, value := range map[string]string{"state": f.State, "domain": f.Domain, "sender": f.Sender, "age": f.Age} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return queuePath + "?" + query.Encode()
}

// Queue goes through what the server has to send. After an error the sequence ends.
func (c *Client) Queue(ctx context.Context, f QueueFilter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for next := f.link(); next != ""; {
			var page Queue
			if err := c.call(ctx, http.MethodGet, next, nil, &page); err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page.Data {
				if !yield(e, nil) {
					return
				}
			}
			next = page.Links.Next
		}
	}
}

// QueueStats counts what the server has to send.
func (c *Client) QueueStats(ctx context.Context) (stats QueueStats, err error) {
	err = c.call(ctx, http.MethodGet, queuePath+"/stats", nil, &stats)
	return stats, err
}

// Retry has an entry of the queue tried at once.
func (c *Client) Retry(ctx context.Context, message string, recipient int) error {
	return c.call(ctx, http.MethodPost, entryURL(message, recipient, "retry"), nil, nil)
}

// Cancel gives an entry up; the sender is not told.
func (c *Client) Cancel(ctx context.Context, message string, recipient int) error {
	return c.call(ctx, http.MethodPost, entryURL(message, recipient, "cancel"), nil, nil)
}

// Reroute has an entry tried at once, by a service if that can take it.
func (c *Client) Reroute(ctx context.Context, message string, recipient int, service string) error {
	return c.call(ctx, http.MethodPost, entryURL(message, recipient, "reroute"), map[string]string{"service": service}, nil)
}

func entryURL(message string, recipient int, verb string) string {
	return fmt.Sprintf("%s/%s/%d/%s", queuePath, url.PathEscape(message), recipient, verb)
}

// Adopt has the server go on with the mail of a data centre that is dead, and returns how
// many lives of processes there may have left something. Where that data centre is at
// work, its mail is sent twice.
func (c *Client) Adopt(ctx context.Context, datacenter string) (lanes int, err error) {
	var answer Adopted
	err = c.call(ctx, http.MethodPost, "/v1/adoptions", map[string]string{"datacenter": datacenter}, &answer)
	return answer.Lanes, err
}
