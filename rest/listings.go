package rest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"

	"restante/mailbox"
	"restante/temporary"
)

// A Summary is a message as a listing shows it.
type Summary struct {
	ID       string     `json:"id" format:"uuid"`
	Sender   string     `json:"sender" example:"Alice <alice@example.org>"`
	Subject  string     `json:"subject"`
	Received time.Time  `json:"received"`
	Sent     *time.Time `json:"sent,omitempty" doc:"as the message says; absent, if it does not"`
	Size     int64      `json:"size" doc:"octets of the whole message"`
	Body     *string    `json:"body,omitempty" doc:"the text, or the beginning of a long one; absent in a summary"`
	Cut      bool       `json:"truncated,omitempty" doc:"there is more in the message than this"`
}

// A Listing is one page of a mailbox.
type Listing struct {
	Data  []Summary `json:"data" nullable:"false" doc:"the newest first"`
	Links Links     `json:"links"`
}

// Links lead to other pages.
type Links struct {
	Next string `json:"next,omitempty" format:"uri-reference" doc:"older messages; absent on the last page"`
	Prev string `json:"prev,omitempty" format:"uri-reference" doc:"newer messages; absent on the first page"`
}

type (
	listingInput struct {
		Email  string `path:"email" example:"fred@temp.example.org"`
		From   string `query:"from" doc:"where the page begins: what a link had, or the id of its first message"`
		Limit  int    `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"messages of a page"`
		Fields string `query:"fields" enum:"full,summary" default:"full" doc:"full: with the text of each message"`
		Wait   string `query:"wait" example:"30s" doc:"if there is no message, wait so long for one; at most 60s"`
		After  string `query:"after" format:"uuid" doc:"only messages newer than that of this id"`
	}
	listingOutput struct{ Body Listing }
)

// maxWait is how long a listing waits for a message at most.
const maxWait = time.Minute

func (p *public) listings() {
	register(p.api, huma.Operation{
		OperationID: "list-messages", Method: http.MethodGet, Path: messagesPath, Tags: []string{"messages"},
		Summary: "List messages, or wait for one",
		Description: "A page goes on from where its link says, also if the message that stood there has been removed. " +
			"With wait and the id of the newest message known as after, the answer comes as soon as there is a newer one, or empty when the time is over.",
		Errors: []int{http.StatusNotFound, http.StatusTooManyRequests},
	}, maxWait+shortTimeout, p.list)
}

// A query is what a listing is asked for.
type query struct {
	listingInput
	cursor cursor
	after  mailbox.MessageID
	wait   time.Duration
}

func (in *listingInput) query() (query, error) {
	q := query{listingInput: *in}
	var err error
	if in.From != "" {
		if q.cursor, err = parseCursor(in.From); err != nil {
			return q, err
		}
	}
	if in.After != "" {
		if q.after, err = mailbox.ParseMessageID(in.After); err != nil {
			return q, problem(http.StatusUnprocessableEntity, "invalid-request", "after is not the id of a message")
		}
	}
	if in.Wait != "" {
		q.wait, err = time.ParseDuration(in.Wait)
		if err != nil || q.wait < 0 || q.wait > maxWait {
			return q, problem(http.StatusUnprocessableEntity, "invalid-request", fmt.Sprintf("wait is not a time such as 30s, of at most %s", maxWait))
		}
	}
	return q, nil
}

func (p *public) list(ctx context.Context, in *listingInput) (*listingOutput, error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	m, err := p.mailbox(ctx, in.Email)
	if err != nil {
		return nil, err
	}
	var page page
	if q.wait > 0 {
		page, err = p.awaitPage(ctx, m, q)
	} else {
		page, err = p.page(ctx, m, q)
	}
	if err != nil {
		return nil, err
	}
	out := &listingOutput{}
	if out.Body.Data, err = p.summaryOf(ctx, page.messages, in.Fields == "full"); err != nil {
		return nil, err
	}
	out.Body.Links = q.links(ctx, m, page)
	return out, nil
}

// awaitPage is page as soon as there is something on it, or when the time is over.
func (p *public) awaitPage(ctx context.Context, m temporary.Mailbox, q query) (page, error) {
	changed, end, err := p.await(ctx, m)
	if err != nil {
		return page{}, err
	}
	defer end()
	over := time.NewTimer(q.wait)
	defer over.Stop()
	ended := time.NewTimer(time.Until(m.Expires))
	defer ended.Stop()
	for {
		found, err := p.page(ctx, m, q)
		if err != nil || len(found.messages) > 0 {
			return found, err
		}
		began := time.Now()
		done := false
		select {
		case <-changed:
		case <-over.C:
			done = true
		case <-p.Stopping:
			done = true
		case <-ended.C:
			return page{}, errNoMailbox
		case <-ctx.Done():
			return page{}, nil // nobody is left to tell
		}
		visitOf(ctx).waited += time.Since(began)
		if now, err := p.mailbox(ctx, q.Email); err != nil || now.Maildrop != m.Maildrop {
			return page{}, cmp.Or(err, error(errNoMailbox))
		}
		if done {
			return found, nil
		}
	}
}

// A page is a part of a listing, the newest first.
type page struct {
	messages     []mailbox.Message
	older, newer bool // there may be more
}

// page is what the query asks for, as it is now.
func (p *public) page(ctx context.Context, m temporary.Mailbox, q query) (page, error) {
	if q.cursor.back {
		return p.pageBefore(ctx, m, q)
	}
	found, err := p.Mailboxes.Newest(ctx, m, q.cursor.bound(), q.Limit+1)
	if err != nil {
		return page{}, fmt.Errorf("list: %w", err)
	}
	out := page{messages: found, newer: q.From != ""}
	if len(found) > q.Limit {
		out.messages, out.older = found[:q.Limit], true
	}
	return out.after(q.after), nil
}

// pageBefore goes through the listing from its newest end, since that is the only way
// to go, to the page just above the cursor. A mailbox shows few messages.
func (p *public) pageBefore(ctx context.Context, m temporary.Mailbox, q query) (page, error) {
	found, err := p.Mailboxes.Newest(ctx, m, mailbox.MessageID{}, p.MaxShown)
	if err != nil {
		return page{}, fmt.Errorf("list: %w", err)
	}
	end := len(found)
	if i := slices.IndexFunc(found, func(m mailbox.Message) bool { return m.ID.Compare(q.cursor.id) <= 0 }); i >= 0 {
		end = i
	}
	begin := max(0, end-q.Limit)
	out := page{messages: found[begin:end], older: end < len(found), newer: begin > 0}
	return out.after(q.after), nil
}

// after is the page without what is not newer than a message.
func (p page) after(id mailbox.MessageID) page {
	if id.IsZero() {
		return p
	}
	if i := slices.IndexFunc(p.messages, func(m mailbox.Message) bool { return m.ID.Compare(id) <= 0 }); i >= 0 {
		p.messages, p.older = p.messages[:i], false
	}
	return p
}

// links lead from a page to those beside it. They keep what else was asked for, but
// not the wish to wait.
func (q query) links(ctx context.Context, m temporary.Mailbox, p page) (links Links) {
	to := func(c cursor) string {
		v := url.Values{"from": {c.String()}}
		if q.Limit != 10 {
			v.Set("limit", strconv.Itoa(q.Limit))
		}
		if q.Fields != "full" {
			v.Set("fields", q.Fields)
		}
		if q.After != "" {
			v.Set("after", q.After)
		}
		return prefixOf(ctx) + pathOf(m.Address) + "/messages?" + v.Encode()
	}
	if n := len(p.messages); n > 0 {
		if p.older {
			links.Next = to(cursor{id: p.messages[n-1].ID})
		}
		if p.newer {
			links.Prev = to(cursor{back: true, id: p.messages[0].ID})
		}
		return links
	}
	// An empty page has a way back to where its cursor came from.
	switch {
	case p.newer && !q.cursor.back:
		links.Prev = to(cursor{back: true, id: q.cursor.id})
	case p.older:
		links.Next = to(cursor{id: next(q.cursor.id)})
	}
	return links
}

// How many messages are opened at once for a listing: on a cluster each takes its time.
const glancesAtOnce = 8

// summaryOf looks into messages. One that was removed meanwhile is left out.
func (p *public) summaryOf(ctx context.Context, messages []mailbox.Message, full bool) ([]Summary, error) {
	found := make([]*Summary, len(messages))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(glancesAtOnce)
	for i, m := range messages {
		if g, ok := p.summaries.get(m.ID, full); ok {
			found[i] = summary(m, g, full)
			continue
		}
		group.Go(func() error {
			g, err := p.glance(ctx, m, full)
			if err == nil {
				found[i] = summary(m, g, full)
			}
			if errors.Is(err, mailbox.ErrNotFound) {
				err = nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := make([]Summary, 0, len(found))
	for _, s := range found {
		if s != nil {
			all = append(all, *s)
		}
	}
	return all, nil
}

func summary(m mailbox.Message, g glance, full bool) *Summary {
	s := &Summary{ID: m.ID.String(), Sender: g.sender, Subject: g.subject, Received: m.ID.Time(), Sent: timeOrNil(g.sent), Size: m.Octets}
	if full {
		s.Body, s.Cut = &g.text, g.cut
	}
	return s
}

// timeOrNil leaves out a time that is not known.
func timeOrNil(t time.Time) *time.Time {
	// What no year of four digits can say is no date that JSON can (RFC 3339).
	if t = t.UTC(); t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return nil
	}
	return &t
}
