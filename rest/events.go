package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/mailbox"
	"restante/temporary"
)

type eventsInput struct {
	Email  string `path:"email" example:"fred@temp.example.org"`
	LastID string `header:"Last-Event-ID" doc:"id of the last message that was seen: what came after it is told first"`
}

// Waiting for mail.
const (
	heartbeat  = 15 * time.Second
	streamLife = time.Hour       // the client comes back by itself
	eventRetry = 2 * time.Second // until then
	// How many octets a silent stream keeps.
	eventsBuffer = 1 << 10
)

func (p *public) events() {
	send(p.api, huma.Operation{
		OperationID: "watch-mailbox", Method: http.MethodGet, Path: mailboxPath + "/events", Tags: []string{"messages"},
		Summary: "Watch a mailbox",
		Description: "Server-sent events (WHATWG HTML, section 9.2). message: a message came, with its summary as data and its id as the id of the event; " +
			"removed: the message of the id in the data is gone; ended: the mailbox is gone. Comments show that the connection lives.",
		Errors: []int{http.StatusNotFound, http.StatusTooManyRequests},
		Responses: map[string]*huma.Response{"200": {
			Description: "Events", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, streamLife+shortTimeout, p.watch)
}

// watch tells what happens to a mailbox until one of the two ends.
func (p *public) watch(ctx context.Context, in *eventsInput) (answer, error) {
	m, err := p.mailbox(ctx, in.Email)
	if err != nil {
		return answer{}, err
	}
	out := answer{header: http.Header{
		"Content-Type":      {"text/event-stream"},
		"X-Accel-Buffering": {"no"}, // what a proxy in front is told
	}}
	if visitOf(ctx).method == http.MethodHead {
		return out, nil
	}
	s := &events{public: p, mailbox: m}
	if in.LastID != "" {
		if s.floor, err = mailbox.ParseMessageID(in.LastID); err != nil {
			return answer{}, problem(http.StatusBadRequest, "invalid-cursor", "Last-Event-ID is not the id of a message")
		}
	}
	if s.changed, out.end, err = p.await(ctx, m); err != nil {
		return answer{}, err
	}
	if err := s.begin(ctx, in.LastID != ""); err != nil {
		out.end()
		return answer{}, err
	}
	out.write = func(w io.Writer) error {
		began := time.Now()
		defer func() { visitOf(ctx).waited += time.Since(began) }()
		return s.run(ctx, w)
	}
	return out, nil
}

// await takes a slot and a watcher, until the caller calls end.
func (p *public) await(ctx context.Context, m temporary.Mailbox) (changed <-chan struct{}, end func(), err error) {
	leave, err := p.streams.enter(clientOf(ctx))
	if err != nil {
		return nil, nil, err
	}
	changed, stop, err := p.Mailboxes.Watch(m.Maildrop)
	if err != nil {
		leave()
		if errors.Is(err, temporary.ErrWatchers) {
			err = errManyStreams
		}
		return nil, nil, err
	}
	return changed, func() { stop(); leave() }, nil
}

// events is one stream of them.
type events struct {
	*public
	mailbox temporary.Mailbox
	changed <-chan struct{}

	// What the client knows of: the newest messages down to the floor, below which
	// nothing is told.
	known []mailbox.MessageID
	floor mailbox.MessageID
	first []mailbox.Message // to tell at once, the newest first
}

// begin finds out what the client knows: all that is there, or what is not newer than
// the message it saw last.
func (s *events) begin(ctx context.Context, resumed bool) error {
	listed, err := s.Mailboxes.Newest(ctx, s.mailbox, mailbox.MessageID{}, s.MaxShown)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if resumed {
		n := slices.IndexFunc(listed, func(m mailbox.Message) bool { return m.ID.Compare(s.floor) <= 0 })
		if n < 0 {
			n = len(listed)
		}
		s.first = listed[:n]
	}
	s.know(listed)
	return nil
}

// know takes down what is listed.
func (s *events) know(listed []mailbox.Message) {
	s.known = s.known[:0]
	for _, m := range listed {
		s.known = append(s.known, m.ID)
	}
	s.floor = mailbox.MessageID{}
	if len(listed) == s.MaxShown {
		s.floor = listed[s.MaxShown-1].ID
	}
}

// run writes events until the client, the mailbox, the server or the stream ends. An
// error is not worth an answer that is cut: the client comes back.
func (s *events) run(ctx context.Context, w io.Writer) error {
	flusher, _ := w.(http.Flusher)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	ended := time.NewTimer(time.Until(s.mailbox.Expires))
	defer ended.Stop()
	over := time.NewTimer(streamLife)
	defer over.Stop()

	var b bytes.Buffer
	fmt.Fprintf(&b, "retry: %d\n: watching\n\n", eventRetry.Milliseconds())
	if err := s.tell(ctx, &b, s.first, nil); err != nil {
		return nil
	}
	s.first = nil
	for {
		if _, err := b.WriteTo(w); err != nil {
			return nil
		}
		if flusher != nil {
			flusher.Flush()
		}
		if b.Cap() > eventsBuffer {
			b = bytes.Buffer{} // a stream is silent most of its time
		}
		var err error
		last := false
		select {
		case <-ctx.Done():
			return nil
		case <-s.Stopping:
			return nil
		case <-over.C:
			return nil
		case <-ended.C:
			last = true
		case <-beat.C:
			b.WriteString(": \n\n")
			last, err = s.gone(ctx)
		case <-s.changed:
			if last, err = s.gone(ctx); err == nil && !last {
				err = s.look(ctx, &b)
			}
		}
		if err != nil {
			s.Log.Warn("stream of events given up", "session", requestID(ctx), "maildrop", s.mailbox.Maildrop, "err", err)
			return nil
		}
		if last {
			b.WriteString("event: ended\ndata: {}\n\n")
			b.WriteTo(w) //nolint:errcheck // the end in any case
			return nil
		}
	}
}

// gone reports whether the mailbox is no longer there.
func (s *events) gone(ctx context.Context) (bool, error) {
	m, err := s.Mailboxes.Get(ctx, s.mailbox.Address)
	if errors.Is(err, mailbox.ErrNotFound) {
		return true, nil
	}
	return err == nil && m.Maildrop != s.mailbox.Maildrop, err
}

// look compares the mailbox with what the client knows.
func (s *events) look(ctx context.Context, b *bytes.Buffer) error {
	listed, err := s.Mailboxes.Newest(ctx, s.mailbox, mailbox.MessageID{}, s.MaxShown)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	var came []mailbox.Message
	for _, m := range listed {
		if m.ID.Compare(s.floor) > 0 && !slices.Contains(s.known, m.ID) {
			came = append(came, m)
		}
	}
	var left []mailbox.MessageID
	for _, id := range s.known {
		above := len(listed) < s.MaxShown || id.Compare(listed[len(listed)-1].ID) > 0
		if above && !slices.ContainsFunc(listed, func(m mailbox.Message) bool { return m.ID == id }) {
			left = append(left, id)
		}
	}
	s.know(listed)
	return s.tell(ctx, b, came, left)
}

// tell writes events: what came, the oldest first, and what left.
func (s *events) tell(ctx context.Context, b *bytes.Buffer, came []mailbox.Message, left []mailbox.MessageID) error {
	for _, id := range left {
		fmt.Fprintf(b, "event: removed\ndata: {\"id\":\"%s\"}\n\n", id)
	}
	for _, m := range slices.Backward(came) {
		g, err := s.glance(ctx, m, false)
		if errors.Is(err, mailbox.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		data, err := json.Marshal(summary(m, g, false))
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "event: message\nid: %s\ndata: %s\n\n", m.ID, data)
	}
	return nil
}
