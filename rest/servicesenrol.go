package rest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/mailbox"
	"restante/relay/pool"
)

const (
	enrolmentsPath = "/v1/enrolments"
	enrolmentPath  = enrolmentsPath + "/{digest}"
)

// A NewEnrolment is what an enrolment is for.
type NewEnrolment struct {
	Note    string     `json:"note,omitempty" maxLength:"512" doc:"for people"`
	Names   string     `json:"names,omitempty" maxLength:"64" example:"mailgun-*" doc:"pattern of the names of services; all, if absent"`
	Kinds   []string   `json:"kinds,omitempty" nullable:"false" maxItems:"16" doc:"of services; all that may register, if absent"`
	Expires *time.Time `json:"expires,omitempty" doc:"never, if absent"`
}

// An Enrolment is leave to register services. Its token is as good as a password: who
// has it is given mail of users.
type Enrolment struct {
	Digest  string     `json:"digest" doc:"of its token, SHA-256"`
	Token   string     `json:"token,omitempty" doc:"shown once, when it is made"`
	Note    string     `json:"note,omitempty"`
	Names   string     `json:"names,omitempty"`
	Kinds   []string   `json:"kinds,omitempty" nullable:"false"`
	Expires *time.Time `json:"expires,omitempty"`
}

func enrolmentOf(e pool.Enrolment, token string) Enrolment {
	return Enrolment{Digest: e.Digest, Token: token, Note: e.Note, Names: e.Names, Kinds: e.Kinds, Expires: timeOrNil(e.Expires)}
}

type (
	enrolInput struct {
		Body NewEnrolment
	}
	enrolOutput struct {
		Location string `header:"Location"`
		Body     Enrolment
	}
	enrolmentsOutput struct {
		Body struct {
			Enrolments []Enrolment `json:"enrolments" nullable:"false"`
		}
	}
	enrolmentInput struct {
		Digest string `path:"digest"`
	}
)

func (d *desk) enrolments() {
	tags := []string{"services"}
	atDesk(d, huma.Operation{
		OperationID: "enrol", Method: http.MethodPost, Path: enrolmentsPath, Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Let services register", Errors: []int{http.StatusInsufficientStorage},
	}, d.enrol)
	atDesk(d, huma.Operation{
		OperationID: "list-enrolments", Method: http.MethodGet, Path: enrolmentsPath, Tags: tags,
		Summary: "List who may register", Description: "Those of the configuration too.",
	}, func(context.Context, *struct{}) (*enrolmentsOutput, error) {
		out := &enrolmentsOutput{}
		out.Body.Enrolments = []Enrolment{}
		for _, e := range d.Pool.Enrolments() {
			out.Body.Enrolments = append(out.Body.Enrolments, enrolmentOf(e, ""))
		}
		return out, nil
	})
	atDesk(d, huma.Operation{
		OperationID: "withdraw-enrolment", Method: http.MethodDelete, Path: enrolmentPath, Tags: tags,
		Summary: "Let no more services register by an enrolment", Errors: []int{http.StatusNotFound, http.StatusConflict},
		Description: "Those that have registered stay.",
	}, func(ctx context.Context, in *enrolmentInput) (*struct{}, error) {
		err := d.Pool.Withdraw(ctx, in.Digest)
		if errors.Is(err, mailbox.ErrNotFound) {
			err = problem(http.StatusNotFound, "enrolment-not-found", "there is no such enrolment")
		}
		if err == nil {
			d.steered(ctx, "enrolment withdrawn", "digest", in.Digest)
		}
		return nil, err
	})
}

func (d *desk) enrol(ctx context.Context, in *enrolInput) (*enrolOutput, error) {
	scope := pool.Enrolment{Note: in.Body.Note, Names: in.Body.Names, Kinds: in.Body.Kinds}
	if in.Body.Expires != nil {
		scope.Expires = *in.Body.Expires
	}
	e, token, err := d.Pool.Enrol(ctx, scope)
	if err != nil {
		return nil, full(err)
	}
	d.steered(ctx, "enrolled", "digest", e.Digest, "note", e.Note)
	return &enrolOutput{Location: enrolmentsPath + "/" + e.Digest, Body: enrolmentOf(e, token)}, nil
}
