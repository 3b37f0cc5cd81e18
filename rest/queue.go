package rest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/mailbox"
	"restante/relay"
)

// Paths of the queue.
const (
	queuePath = "/v1/queue"
	entryPath = queuePath + "/{message}/{recipient}"
)

// An Entry is a message on its way to one recipient.
type Entry struct {
	Message   string     `json:"message" format:"uuid"`
	Number    int        `json:"number" doc:"of the recipient in the message, from 0"`
	Account   string     `json:"account" example:"fred@example.org" doc:"who submitted it"`
	Sender    string     `json:"sender" doc:"reverse-path; empty: the null one"`
	Recipient string     `json:"recipient" example:"ann@example.com"`
	Octets    int64      `json:"octets" doc:"of the whole message"`
	Class     string     `json:"class" enum:"normal,high,bulk"`
	State     string     `json:"state" enum:"ready,sending,deferred,held" doc:"held: nobody knows whether the last attempt succeeded"`
	Accepted  time.Time  `json:"accepted"`
	Expires   time.Time  `json:"expires"`
	Next      *time.Time `json:"next,omitempty" doc:"when the next attempt is due; absent, if it is ready or under way"`
	Attempts  int        `json:"attempts"`
	Service   string     `json:"service,omitempty" doc:"that was asked last"`
	Result    string     `json:"result,omitempty" doc:"what came of it"`
	Code      int        `json:"code,omitempty" doc:"of the reply"`
	Enhanced  string     `json:"enhanced,omitempty" example:"4.2.2" doc:"enhanced status code (RFC 3463)"`
	Text      string     `json:"text,omitempty" doc:"the reply"`
}

func entryOf(q relay.Queued) Entry {
	e := Entry{
		Message: q.Entry.Message.String(), Number: q.Entry.Recipient, Account: q.Account.String(), Recipient: q.Recipient.String(),
		Octets: q.Octets, Class: classes[q.Class], State: q.State.String(), Accepted: q.Accepted.UTC(), Expires: q.Expires.UTC(),
		Next: timeOrNil(q.Next), Attempts: q.Attempts,
	}
	if !q.From.IsZero() {
		e.Sender = q.From.String()
	}
	if q.Service != "" {
		e.Service, e.Result = q.Service, q.Outcome.Result.String()
		e.Code, e.Enhanced, e.Text = q.Outcome.Code, q.Outcome.Enhanced, q.Outcome.Text
	}
	return e
}

var classes = map[relay.Class]string{relay.Normal: "normal", relay.High: "high", relay.Bulk: "bulk"}

// A Queue is one page of the queue.
type Queue struct {
	Data  []Entry    `json:"data" nullable:"false"`
	Links QueueLinks `json:"links"`
}

// QueueLinks lead to other pages.
type QueueLinks struct {
	Next string `json:"next,omitempty" format:"uri-reference" doc:"absent on the last page"`
}

// QueueStats are how many entries wait.
type QueueStats struct {
	Total   int          `json:"total"`
	Oldest  *time.Time   `json:"oldest,omitempty" doc:"when the oldest was accepted; absent, if there is none"`
	Age     float64      `json:"oldest_age_s" doc:"seconds; 0, if there is none"`
	Classes []ClassStats `json:"classes" nullable:"false"`
}

// ClassStats are how many of a class wait for what.
type ClassStats struct {
	Class    string `json:"class" enum:"normal,high,bulk"`
	Ready    int    `json:"ready"`
	Sending  int    `json:"sending"`
	Deferred int    `json:"deferred"`
	Held     int    `json:"held"`
}

type (
	queueInput struct {
		State  string `query:"state" enum:"any,ready,sending,deferred,held" default:"any"`
		Domain string `query:"domain" doc:"of the recipient"`
		Sender string `query:"sender" doc:"domain of the sender"`
		Age    string `query:"age" example:"4h" doc:"since it was accepted, at least"`
		Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"entries of a page"`
		From   string `query:"from" doc:"where the page begins: what a link had"`
	}
	queueOutput struct{ Body Queue }
	statsOutput struct{ Body QueueStats }
	entryInput  struct {
		Message   string `path:"message" format:"uuid"`
		Recipient int    `path:"recipient" minimum:"0" doc:"its number"`
	}
	rerouteInput struct {
		Message   string `path:"message" format:"uuid"`
		Recipient int    `path:"recipient" minimum:"0" doc:"its number"`
		Body      struct {
			Service string `json:"service" minLength:"1" doc:"that is to be asked first"`
		}
	}
	adoptInput struct {
		Body struct {
			Datacenter string `json:"datacenter" minLength:"1" maxLength:"256" example:"dc2"`
		}
	}
	// Adopted is what an adoption began.
	Adopted struct {
		Lanes int `json:"lanes" doc:"lives of processes there that may have left something to do"`
	}
	adoptOutput struct{ Body Adopted }
)

func (d *desk) queue() {
	tags := []string{"queue"}
	atDesk(d, huma.Operation{
		OperationID: "list-queue", Method: http.MethodGet, Path: queuePath, Tags: tags, Errors: []int{http.StatusBadRequest},
		Summary: "List what waits", Description: "What this node has to send; others have their own. What comes or ends meanwhile may be in it or not.",
	}, d.listQueue)
	atDesk(d, huma.Operation{
		OperationID: "count-queue", Method: http.MethodGet, Path: queuePath + "/stats", Tags: tags,
		Summary: "Count what waits", Description: "On this node.",
	}, d.countQueue)
	atDesk(d, huma.Operation{
		OperationID: "retry", Method: http.MethodPost, Path: entryPath + "/retry", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Try an entry at once", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *entryInput) (*struct{}, error) {
		return nil, d.steerEntry(ctx, "retried", in.Message, in.Recipient, func(q *relay.Queue, id relay.EntryID) error { return q.Retry(id) })
	})
	atDesk(d, huma.Operation{
		OperationID: "cancel", Method: http.MethodPost, Path: entryPath + "/cancel", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Give an entry up", Errors: []int{http.StatusNotFound, http.StatusConflict},
		Description: "The sender is not told.",
	}, func(ctx context.Context, in *entryInput) (*struct{}, error) {
		return nil, d.steerEntry(ctx, "cancelled", in.Message, in.Recipient, func(q *relay.Queue, id relay.EntryID) error {
			return q.Cancel(ctx, id, "operator")
		})
	})
	atDesk(d, huma.Operation{
		OperationID: "reroute", Method: http.MethodPost, Path: entryPath + "/reroute", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Try an entry at once, by a service if that can take it", Errors: []int{http.StatusNotFound},
		Description: "A wish for the next attempt of the whole message.",
	}, d.reroute)
	atDesk(d, huma.Operation{
		OperationID: "adopt", Method: http.MethodPost, Path: "/v1/adoptions", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Take on what another data centre has left to do", Errors: []int{http.StatusConflict},
		Description: "This node goes on with the mail of a data centre that is dead. Nobody can tell from here whether it is: where it is only out of reach and at work, " +
			"its mail is sent twice.",
	}, d.adopt)
}

// filter is what a listing is asked for.
func (in *queueInput) filter() (f relay.Filter, after relay.Place, err error) {
	for f.State = relay.QueueAny; f.State.String() != in.State; f.State++ { // the enum has no other
	}
	if f.Domain, err = canonicalDomain(in.Domain); err != nil {
		return f, after, err
	}
	if f.Sender, err = canonicalDomain(in.Sender); err != nil {
		return f, after, err
	}
	if in.Age != "" {
		if f.Age, err = time.ParseDuration(in.Age); err != nil || f.Age < 0 {
			return f, after, problem(http.StatusUnprocessableEntity, "invalid-request", "age is not a time such as 4h")
		}
	}
	if in.From != "" {
		after, err = parsePlace(in.From)
	}
	return f, after, err
}

func canonicalDomain(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	a, err := mailbox.ParseRoute("@" + s)
	return a.Domain, err
}

func (d *desk) listQueue(_ context.Context, in *queueInput) (*queueOutput, error) {
	f, after, err := in.filter()
	if err != nil {
		return nil, err
	}
	q, err := d.running()
	if err != nil {
		return nil, err
	}
	page := q.List(f, after, in.Limit)
	out := &queueOutput{Queue{Data: make([]Entry, len(page))}}
	for i, e := range page {
		out.Body.Data[i] = entryOf(e)
	}
	if len(page) == in.Limit {
		last := page[len(page)-1]
		out.Body.Links.Next = in.next(relay.Place{Segment: last.Segment, Entry: last.Entry})
	}
	return out, nil
}

// next is the link to the page behind a place.
func (in *queueInput) next(p relay.Place) string {
	query := url.Values{"limit": {strconv.Itoa(in.Limit)}, "from": {placeText(p)}, "state": {in.State}}
	for name, value := range map[string]string{"domain": in.Domain, "sender": in.Sender, "age": in.Age} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return queuePath + "?" + query.Encode()
}

// running is the queue, or a problem where the relay does not run.
func (d *desk) running() (*relay.Queue, error) {
	q, err := d.Node.Queue()
	if errors.Is(err, mailbox.ErrUnavailable) {
		err = huma.ErrorWithHeaders(problem(http.StatusServiceUnavailable, "relay-not-running", "the relay does not run just now, try again later"), http.Header{"Retry-After": {"1"}})
	}
	return q, err
}

func (d *desk) countQueue(context.Context, *struct{}) (*statsOutput, error) {
	q, err := d.running()
	if err != nil {
		return nil, err
	}
	counts, oldest := q.Count()
	out := &statsOutput{QueueStats{Oldest: timeOrNil(oldest)}}
	if out.Body.Oldest != nil {
		out.Body.Age = max(0, time.Since(oldest).Seconds())
	}
	for _, class := range []relay.Class{relay.High, relay.Normal, relay.Bulk} {
		of := counts[class]
		out.Body.Classes = append(out.Body.Classes, ClassStats{
			Class: classes[class], Ready: of[relay.QueueReady], Sending: of[relay.QueueSending], Deferred: of[relay.QueueDeferred], Held: of[relay.QueueHeld],
		})
		for _, n := range of {
			out.Body.Total += n
		}
	}
	return out, nil
}

// steerEntry does something about an entry.
func (d *desk) steerEntry(ctx context.Context, what, message string, recipient int, do func(*relay.Queue, relay.EntryID) error) error {
	id, err := mailbox.ParseMessageID(message)
	if err != nil {
		return problem(http.StatusNotFound, "not-queued", "there is no such message")
	}
	q, err := d.running()
	if err != nil {
		return err
	}
	if err := do(q, relay.EntryID{Message: id, Recipient: recipient}); err != nil {
		return err
	}
	d.steered(ctx, what, "message", id, "recipient", recipient)
	return nil
}

func (d *desk) reroute(ctx context.Context, in *rerouteInput) (*struct{}, error) {
	if _, err := d.Pool.Service(in.Body.Service); err != nil {
		return nil, noService(err)
	}
	return nil, d.steerEntry(ctx, "rerouted", in.Message, in.Recipient, func(q *relay.Queue, id relay.EntryID) error {
		return q.Reroute(id, in.Body.Service)
	})
}

func (d *desk) adopt(ctx context.Context, in *adoptInput) (*adoptOutput, error) {
	if _, err := d.running(); err != nil {
		return nil, err
	}
	lanes, err := d.Node.AdoptDatacenter(ctx, in.Body.Datacenter)
	if err != nil {
		return nil, err
	}
	d.steered(ctx, "adopted", "datacenter", in.Body.Datacenter, "lanes", lanes)
	return &adoptOutput{Adopted{lanes}}, nil
}
