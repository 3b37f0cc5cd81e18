package rest

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"restante/mailbox"
	"restante/relay/pool"
)

// agentsMay are the operations for which services have tokens of their own: the pool
// looks at them.
var agentsMay = map[string]bool{
	"POST " + servicesPath: true, "PUT " + servicePath: true, "PUT " + heartbeatPath: true, "DELETE " + servicePath: true,
}

// wrongTokens is how many wrong tokens of services a network may show a minute.
const wrongTokens = 60

// A NewService describes a service that registers.
type NewService struct {
	Name         string      `json:"name,omitempty" example:"mailgun-1" doc:"unique: 1 to 64 small letters, digits, and within them . - _; that of the path, if absent"`
	Kind         string      `json:"kind" example:"smtp" doc:"what speaks to it"`
	Endpoint     string      `json:"endpoint" format:"uri" example:"smtp://127.0.0.1:2526"`
	TLS          string      `json:"tls,omitempty" enum:"none,starttls,implicit" doc:"as the kind has it, if absent"`
	Weight       float64     `json:"weight,omitempty" minimum:"0" maximum:"10000" doc:"of its share; 100, if absent"`
	Priority     int         `json:"priority,omitempty" minimum:"0" maximum:"63" doc:"the lowest first, for schedulers that heed it"`
	Senders      []string    `json:"senders,omitempty" nullable:"false" maxItems:"1000" doc:"domains that it may carry; all, if absent"`
	Tags         []string    `json:"tags,omitempty" nullable:"false" maxItems:"32" doc:"for people"`
	Limits       pool.Limits `json:"limits,omitzero"`
	Destinations bool        `json:"destinations,omitempty" doc:"it speaks to the hosts of each recipient's domain: what fails there says nothing about other mail"`
	Reassembles  bool        `json:"reassembles,omitempty" doc:"its next hop takes mail apart and puts it together anew: it is given none that is signed or encrypted"`
	Beat         *Heartbeat  `json:"beat,omitempty" doc:"PUT only: what it says about itself now"`
}

func (s *NewService) document(name string) (pool.Document, error) {
	if s.Name != "" && name != "" && s.Name != name {
		return pool.Document{}, problem(http.StatusUnprocessableEntity, "invalid-service", "the name in the path is another")
	}
	if name == "" {
		name = s.Name
	}
	return pool.Document{
		Name: name, Kind: s.Kind, Endpoint: s.Endpoint, TLS: s.TLS, Weight: s.Weight, Priority: s.Priority,
		Senders: s.Senders, Tags: s.Tags, Limits: s.Limits, Destinations: s.Destinations, Reassembles: s.Reassembles,
	}, nil
}

// A Heartbeat is what a service says about itself, again and again. Members that are not
// known are left alone, so that a service may be newer than the server.
type Heartbeat struct {
	_        struct{} `json:"-" additionalProperties:"true"`
	Epoch    string   `json:"epoch,omitempty" doc:"as it was told when it registered"`
	Seq      uint64   `json:"seq,omitempty" doc:"higher with every beat; not counted, if absent"`
	Status   string   `json:"status,omitempty" enum:"up,degraded,drain,down" doc:"up, if absent"`
	Percent  int      `json:"weight_pct,omitempty" minimum:"0" maximum:"100" doc:"of its weight; all of it, if 0 or absent"`
	Capacity int      `json:"capacity,omitempty" minimum:"0" doc:"mails at a time"`
	Left     *int64   `json:"quota_left,omitempty" doc:"recipients; at 0 it rests"`
	Note     string   `json:"note,omitempty" maxLength:"512" doc:"for people"`
}

func (h *Heartbeat) beat() (b pool.Beat, err error) {
	if h == nil {
		return b, nil
	}
	b = pool.Beat{Seq: h.Seq, Status: h.Status, Percent: h.Percent, Capacity: h.Capacity, Left: h.Left, Note: h.Note}
	return b, b.Epoch.UnmarshalText([]byte(h.Epoch))
}

// Registered is what a service is told when it has registered.
type Registered struct {
	Name      string `json:"name"`
	Token     string `json:"token,omitempty" doc:"with which it beats; shown once. Absent: it has one already"`
	Epoch     string `json:"epoch" format:"uuid" doc:"of this registration; later ones are higher"`
	State     string `json:"state"`
	Heartbeat struct {
		URL      string `json:"url" format:"uri-reference" doc:"where to PUT beats"`
		Interval int64  `json:"interval_ms" doc:"between beats"`
		TTL      int64  `json:"ttl_ms" doc:"after which a service that does not beat is down"`
	} `json:"heartbeat"`
}

func registered(r pool.Registered) Registered {
	out := Registered{Name: r.Name, Token: r.Token, Epoch: r.Epoch.String(), State: r.State.String()}
	out.Heartbeat.URL = serviceURL(r.Name) + "/heartbeat"
	out.Heartbeat.Interval, out.Heartbeat.TTL = r.Interval.Milliseconds(), r.TTL.Milliseconds()
	return out
}

// A Beaten is what a service is told when it beats.
type Beaten struct {
	State string `json:"state"`
	Epoch string `json:"epoch" format:"uuid"`
	Next  int64  `json:"next_ms" doc:"until the next beat"`
	Drain bool   `json:"drain" doc:"it is given no more mail, and may end when it has sent what it has"`
}

type (
	registerInput struct {
		Body NewService
	}
	putServiceInput struct {
		Name string `path:"name"`
		Body NewService
	}
	registeredOutput struct {
		Status   int
		Location string `header:"Location"`
		Body     Registered
	}
	beatInput struct {
		Name string `path:"name"`
		Body Heartbeat
	}
	beatOutput struct{ Body Beaten }
	leaveInput struct {
		Name  string `path:"name"`
		Epoch string `query:"epoch" doc:"of the instance that leaves, where a service does; the present one, if absent"`
	}
)

// agents adds what services do themselves.
func (d *desk) agents() {
	tags := []string{"services"}
	d.api.OpenAPI().Components.SecuritySchemes["service"] = &huma.SecurityScheme{
		Type: "http", Scheme: "bearer", Description: "The token of an enrolment, or of a service that has registered.",
	}
	agents := []map[string][]string{{"service": {}}, {"token": {}}}
	refused := []int{http.StatusForbidden, http.StatusConflict, http.StatusTooManyRequests, http.StatusInsufficientStorage}
	atDesk(d, huma.Operation{
		OperationID: "register-service", Method: http.MethodPost, Path: servicesPath, Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Register a service", Errors: refused, Security: agents,
		Description: "With the token of an enrolment. It is given mail after two beats.",
	}, d.register)
	atDesk(d, huma.Operation{
		OperationID: "put-service", Method: http.MethodPut, Path: servicePath, Tags: tags,
		Summary: "Register a service, or count a beat of it", Errors: refused, Security: agents,
		Description: "With the token of an enrolment, for services that remember nothing: one that is registered with the same document beats, any other registers.",
		Responses: map[string]*huma.Response{"201": {
			Description: "Registered", Content: map[string]*huma.MediaType{jsonType: {Schema: &huma.Schema{Ref: "#/components/schemas/Registered"}}},
		}},
	}, d.put)
	atDesk(d, huma.Operation{
		OperationID: "beat", Method: http.MethodPut, Path: heartbeatPath, Tags: tags,
		Summary: "Beat", Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests}, Security: agents[:1],
		Description: "With the token of the service. Who is told that it is unregistered registers again; who is told that it is stale ends.",
	}, d.beat)
	atDesk(d, huma.Operation{
		OperationID: "remove-service", Method: http.MethodDelete, Path: servicePath, Tags: tags,
		Summary: "Take a service out", Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests}, Security: agents,
		Description: "With its own token, or that of the operator. What it is sending it may finish.",
	}, d.remove)
}

func (d *desk) register(ctx context.Context, in *registerInput) (*registeredOutput, error) {
	document, err := in.Body.document("")
	if err != nil {
		return nil, err
	}
	r, err := d.Pool.Register(ctx, document, callerOf(ctx).token)
	if err != nil {
		return nil, full(err)
	}
	d.steered(ctx, "registered", "service", r.Name, "endpoint", document.Endpoint)
	return &registeredOutput{Status: http.StatusCreated, Location: serviceURL(r.Name), Body: registered(r)}, nil
}

func (d *desk) put(ctx context.Context, in *putServiceInput) (*registeredOutput, error) {
	document, err := in.Body.document(in.Name)
	if err != nil {
		return nil, err
	}
	beat, err := in.Body.Beat.beat()
	if err != nil {
		return nil, err
	}
	r, created, err := d.Pool.Put(ctx, document, beat, callerOf(ctx).token)
	if err != nil {
		return nil, full(err)
	}
	out := &registeredOutput{Status: http.StatusOK, Body: registered(r)}
	if created {
		out.Status, out.Location = http.StatusCreated, serviceURL(r.Name)
		d.steered(ctx, "registered", "service", r.Name, "endpoint", document.Endpoint)
	}
	return out, nil
}

// full says that it is the pool that is full, and not the store.
func full(err error) error {
	if errors.Is(err, mailbox.ErrFull) {
		return problem(http.StatusInsufficientStorage, "pool-full", "there are as many as may be")
	}
	return err
}

func (d *desk) beat(ctx context.Context, in *beatInput) (*beatOutput, error) {
	beat, err := in.Body.beat()
	if err != nil {
		return nil, err
	}
	if beat.Epoch.IsZero() {
		return nil, problem(http.StatusUnprocessableEntity, "invalid-service", "a beat says of which epoch it is")
	}
	a, err := d.Pool.Beat(ctx, in.Name, callerOf(ctx).token, beat)
	if err != nil {
		return nil, err
	}
	return &beatOutput{Beaten{State: a.State.String(), Epoch: a.Epoch.String(), Next: a.Next.Milliseconds(), Drain: a.Drain}}, nil
}

// remove takes a service out as the operator does, or as the service itself does.
func (d *desk) remove(ctx context.Context, in *leaveInput) (*struct{}, error) {
	if who := callerOf(ctx); !who.admin {
		return nil, d.leave(ctx, in, who.token)
	}
	if err := d.Pool.Remove(ctx, in.Name); err != nil {
		return nil, noService(err)
	}
	d.steered(ctx, "removed", "service", in.Name)
	return nil, nil
}

func (d *desk) leave(ctx context.Context, in *leaveInput, token string) error {
	var epoch pool.Epoch
	if err := epoch.UnmarshalText([]byte(in.Epoch)); err != nil {
		return err
	}
	if epoch.IsZero() {
		s, err := d.Pool.Service(in.Name)
		if err != nil {
			return noService(err)
		}
		epoch = s.Epoch // whose token is looked at
	}
	if err := d.Pool.Leave(ctx, in.Name, token, epoch); err != nil {
		return noService(err)
	}
	d.steered(ctx, "left", "service", in.Name)
	return nil
}
