package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/relay/pool"
)

type transitionsInput struct {
	LastID string `header:"Last-Event-ID" doc:"id of the last transition that was seen: what came after it is told first"`
	head   bool
}

// Resolve implements huma.Resolver: no stream begins for HEAD.
func (in *transitionsInput) Resolve(ctx huma.Context) []error {
	in.head = ctx.Method() == http.MethodHead
	return nil
}

func (d *desk) events() {
	send(d.api, huma.Operation{
		OperationID: "watch-services", Method: http.MethodGet, Path: servicesPath + "/events", Tags: []string{"services"},
		Summary: "Watch the services",
		Description: "Server-sent events (WHATWG HTML, section 9.2). transition: the state of a service changed, or, where no service is named, that of the pool as a whole. " +
			"The last transitions are told first. Comments show that the connection lives.",
		Errors: []int{http.StatusBadRequest, http.StatusTooManyRequests},
		Responses: map[string]*huma.Response{"200": {
			Description: "Events", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, streamLife+shortTimeout, d.watch)
}

// watch tells of transitions until one of the two ends.
func (d *desk) watch(ctx context.Context, in *transitionsInput) (answer, error) {
	out := answer{header: http.Header{
		"Content-Type":      {"text/event-stream"},
		"X-Accel-Buffering": {"no"}, // what a proxy in front is told
	}}
	if in.head {
		return out, nil
	}
	var seen uint64
	if in.LastID != "" {
		var err error
		if seen, err = strconv.ParseUint(in.LastID, 10, 64); err != nil {
			return answer{}, problem(http.StatusBadRequest, "invalid-cursor", "Last-Event-ID is not the id of a transition")
		}
	}
	kept, next, stop, err := d.Pool.Subscribe()
	if err != nil {
		return answer{}, d.problem(ctx, err)
	}
	out.end = stop
	out.write = func(w io.Writer) error {
		s := transitions{w: w, seen: seen}
		s.run(ctx, d.Stopping, kept, next)
		return nil
	}
	return out, nil
}

// transitions is one stream of them.
type transitions struct {
	w    io.Writer
	seen uint64 // the number of the last that the client has
}

// run writes until the client, the pool, the server or the stream ends. The client comes
// back by itself.
func (s *transitions) run(ctx context.Context, stopping <-chan struct{}, kept []pool.Transition, next <-chan pool.Transition) {
	if n := len(kept); n == 0 || kept[n-1].Seq < s.seen {
		s.seen = 0 // it was of a process before this one
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	over := time.NewTimer(streamLife)
	defer over.Stop()

	var b bytes.Buffer
	fmt.Fprintf(&b, "retry: %d\n: watching\n\n", eventRetry.Milliseconds())
	for _, t := range kept {
		s.tell(&b, t)
	}
	for {
		if _, err := b.WriteTo(s.w); err != nil {
			return
		}
		if f, ok := s.w.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-ctx.Done():
			return
		case <-stopping:
			return
		case <-over.C:
			return
		case <-beat.C:
			b.WriteString(": \n\n")
		case t, open := <-next:
			if !open {
				return
			}
			s.tell(&b, t)
		}
	}
}

// tell writes a transition that the client does not have.
func (s *transitions) tell(b *bytes.Buffer, t pool.Transition) {
	if t.Seq <= s.seen {
		return
	}
	if data, err := json.Marshal(t); err == nil { // as states and texts always are
		fmt.Fprintf(b, "event: transition\nid: %d\ndata: %s\n\n", t.Seq, data)
	}
}
