package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
)

// RelayOptions is what [Admin] steers the relay by.
type RelayOptions struct {
	Pool         *pool.Pool // of which the admin token becomes an enrolment
	Node         *relay.Node
	Suppressions relay.Suppressions

	// Stopping is closed when the server is about to stop, and ends streams of events;
	// nil: only the clients and the pool do.
	Stopping <-chan struct{}
}

// Paths of the services.
const (
	servicesPath  = "/v1/services"
	servicePath   = servicesPath + "/{name}"
	heartbeatPath = servicePath + "/heartbeat"
)

func serviceURL(name string) string { return servicesPath + "/" + url.PathEscape(name) }

// A desk is where the relay is steered.
type desk struct {
	*admin
	RelayOptions
	api *api
}

// relay adds the operations by which it is steered.
func (a *admin) relay(api *api) {
	d := &desk{a, *a.Relay, api}
	d.Pool.Trust(d.Token, "the admin token")
	d.agents()
	d.services()
	d.events()
	d.enrolments()
	d.queue()
	d.suppressions()
}

// atDesk is register with the errors of the relay as problems.
func atDesk[I, O any](d *desk, op huma.Operation, run func(context.Context, *I) (*O, error)) {
	register(d.api, op, shortTimeout, func(ctx context.Context, in *I) (*O, error) {
		out, err := run(ctx, in)
		return out, d.problem(ctx, err)
	})
}

// problem makes a problem of what the relay says is wrong with a request.
func (d *desk) problem(ctx context.Context, err error) error {
	for _, p := range []struct {
		is           error
		status       int
		kind, detail string
	}{
		{pool.ErrScope, http.StatusForbidden, "not-in-scope", "the enrolment is not for services of that name or kind"},
		{pool.ErrEndpoint, http.StatusForbidden, "endpoint-forbidden", "the endpoint is not in a network where services may be"},
		{pool.ErrConflict, http.StatusConflict, "name-in-use", "a service of that name is there, at another endpoint"},
		{pool.ErrStale, http.StatusConflict, "stale-epoch", "a newer instance has registered under that name"},
		{pool.ErrStatic, http.StatusConflict, "configured", "it stands in the configuration"},
		{pool.ErrUnregistered, http.StatusNotFound, "unregistered", "no such service has registered: POST " + servicesPath + " does"},
		{pool.ErrRevision, http.StatusPreconditionFailed, "changed-meanwhile", "somebody has changed it in between"},
		{relay.ErrNotQueued, http.StatusNotFound, "not-queued", "nothing is left to do for it, or another node does it"},
		{relay.ErrAlone, http.StatusConflict, "no-other-datacenter", "one process has this store, and there is no other data centre"},
		{relay.ErrSending, http.StatusConflict, "attempt-under-way", "it is being sent just now"},
	} {
		if errors.Is(err, p.is) {
			return problem(p.status, p.kind, p.detail)
		}
	}
	switch {
	case errors.Is(err, pool.ErrInvalid):
		return problem(http.StatusUnprocessableEntity, "invalid-service", err.Error())
	case errors.Is(err, pool.ErrToken):
		d.wrong.take(callerOf(ctx).from)
		return huma.ErrorWithHeaders(problem(http.StatusUnauthorized, "token-required", "the token is wrong or over"), http.Header{"WWW-Authenticate": {adminRealm}})
	case errors.Is(err, pool.ErrRate):
		return tooMany("too-many-at-once", "too many at a time, try again later", time.Second)
	}
	return err
}

type (
	serviceInput struct {
		Name string `path:"name"`
	}
	serviceOutput struct {
		Tag  string `header:"ETag" doc:"its revision"`
		Body Service
	}
	servicesOutput struct {
		Body struct {
			Services []Service `json:"services" nullable:"false" doc:"by name"`
		}
	}
	patchInput struct {
		Name    string `path:"name"`
		IfMatch string `header:"If-Match" required:"true" doc:"the ETag that the change is about, or *"`
		Body    pool.Patch
	}
)

func (d *desk) services() {
	tags := []string{"services"}
	atDesk(d, huma.Operation{
		OperationID: "list-services", Method: http.MethodGet, Path: servicesPath, Tags: tags,
		Summary: "List the services", Description: "Each node judges for itself; this is how this one sees them.",
	}, d.list)
	atDesk(d, huma.Operation{
		OperationID: "get-service", Method: http.MethodGet, Path: servicePath, Tags: tags,
		Summary: "Look at a service", Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *serviceInput) (*serviceOutput, error) {
		return d.found(d.Pool.Service(in.Name))
	})
	atDesk(d, huma.Operation{
		OperationID: "change-service", Method: http.MethodPatch, Path: servicePath, Tags: tags,
		Summary: "Change a service", Errors: []int{http.StatusNotFound, http.StatusPreconditionFailed},
		Description: "For all nodes. What is said here goes over what the service says of itself, also when it registers again.",
	}, d.patch)
	d.steering(tags)
}

// steering adds what an operator does to a service by its name alone.
func (d *desk) steering(tags []string) {
	local := func(do func(string) (pool.Status, error)) func(context.Context, string) (pool.Status, error) {
		return func(_ context.Context, name string) (pool.Status, error) { return do(name) }
	}
	for _, s := range []struct {
		verb, summary string
		do            func(context.Context, string) (pool.Status, error)
	}{
		{"drain", "Let a service finish what it has, and give it no more", d.Pool.Drain},
		{"resume", "Undo drain and maintenance", d.Pool.Resume},
		{"reset", "Forget what was wrong with a service", d.Pool.Reset},
		{"probe", "Find out from this node whether a service works", local(d.Pool.Probe)},
		{"trip", "Keep mail of this node away from a service, as if it had failed", local(d.Pool.Trip)},
	} {
		atDesk(d, huma.Operation{
			OperationID: s.verb + "-service", Method: http.MethodPost, Path: servicePath + "/" + s.verb, Tags: tags,
			DefaultStatus: http.StatusAccepted, Summary: s.summary, Errors: []int{http.StatusNotFound},
		}, func(ctx context.Context, in *serviceInput) (*serviceOutput, error) {
			status, err := s.do(ctx, in.Name)
			if err == nil {
				d.steered(ctx, s.verb, "service", in.Name)
			}
			return d.found(status, err)
		})
	}
}

// steered tells the log what was done at whose request.
func (d *desk) steered(ctx context.Context, what string, about ...any) {
	d.Log.Info("relay steered", append([]any{"what", what, "session", requestID(ctx)}, about...)...)
}

func (d *desk) list(context.Context, *struct{}) (*servicesOutput, error) {
	out := &servicesOutput{}
	out.Body.Services = d.all()
	return out, nil
}

// all are the services with their shares.
func (d *desk) all() []Service {
	statuses := d.Pool.Services()
	services := make([]Service, len(statuses))
	minute := int64(0)
	for i, s := range statuses {
		services[i] = serviceOf(s)
		minute += s.Minute
	}
	for i := range services {
		if minute > 0 {
			services[i].Share = float64(services[i].Minute) / float64(minute)
		}
	}
	return services
}

// found is the answer about one service.
func (d *desk) found(status pool.Status, err error) (*serviceOutput, error) {
	if err != nil {
		return nil, noService(err)
	}
	s := serviceOf(status)
	for _, one := range d.all() {
		if one.Document.Name == s.Document.Name {
			s.Share = one.Share
		}
	}
	return &serviceOutput{Tag: s.tag(), Body: s}, nil
}

func noService(err error) error {
	if errors.Is(err, mailbox.ErrNotFound) {
		return problem(http.StatusNotFound, "service-not-found", "there is no such service")
	}
	return err
}

func (d *desk) patch(ctx context.Context, in *patchInput) (*serviceOutput, error) {
	revision, err := parseRevision(in.IfMatch)
	if err != nil {
		return nil, err
	}
	status, err := d.Pool.Patch(ctx, in.Name, revision, in.Body)
	if err == nil {
		d.steered(ctx, "changed", "service", in.Name)
	}
	return d.found(status, err)
}

// parseRevision reads the tag of a service; -1 is any.
func parseRevision(tag string) (int64, error) {
	if tag == "*" {
		return -1, nil
	}
	digits, ok := strings.CutPrefix(tag, `"`)
	digits, closed := strings.CutSuffix(digits, `"`)
	revision, err := strconv.ParseInt(digits, 10, 64)
	if !ok || !closed || err != nil || revision < 0 {
		return 0, problem(http.StatusPreconditionFailed, "changed-meanwhile", "If-Match is not an ETag that the service had")
	}
	return revision, nil
}

func (s Service) tag() string { return fmt.Sprintf(`"%d"`, s.Revision) }
