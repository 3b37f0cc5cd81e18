package rest

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"restante/mailbox"
)

type aliasTargets struct {
	Targets []string `json:"targets" minItems:"1" maxItems:"100" nullable:"false" example:"[\"fred@example.org\"]"`
}

type (
	aliasInput struct {
		Address string `path:"address" example:"sales@example.org" doc:"@domain for a catch-all"`
	}
	setAliasInput struct {
		Address string `path:"address" example:"sales@example.org" doc:"@domain for a catch-all"`
		Body    aliasTargets
	}
)

func (a *admin) aliases(api *api) {
	tags := []string{"aliases"}
	register(api, huma.Operation{
		OperationID: "set-alias", Method: http.MethodPut, Path: "/aliases/{address}", Tags: tags,
		Summary:     "Make an alias or a catch-all, or change where it leads",
		Description: "Targets are addresses of domains served here. One that nobody has yet gets its mail as soon as somebody has it.",
		Errors:      []int{http.StatusConflict},
	}, shortTimeout, a.setAlias)
	register(api, huma.Operation{
		OperationID: "remove-alias", Method: http.MethodDelete, Path: "/aliases/{address}", Tags: tags,
		Summary: "Remove an alias", Errors: []int{http.StatusNotFound},
	}, shortTimeout, a.removeAlias)
}

func (a *admin) setAlias(ctx context.Context, in *setAliasInput) (*accountOutput, error) {
	address, err := mailbox.ParseRoute(in.Address)
	if err != nil {
		return nil, err
	}
	targets, err := a.targets(address, in.Body.Targets)
	if err != nil {
		return nil, err
	}
	route, err := a.putAlias(ctx, address, targets)
	if err != nil {
		return nil, err
	}
	a.changed(ctx, "alias set", address)
	return &accountOutput{accountOf(address, route)}, nil
}

// targets reads where an alias leads. Mail does not leave for another server that
// way, and an alias of itself leads nowhere.
func (a *admin) targets(alias mailbox.Address, list []string) ([]mailbox.Address, error) {
	targets := make([]mailbox.Address, 0, len(list))
	for _, s := range list {
		t, err := mailbox.ParseAddress(s)
		switch {
		case err != nil:
			return nil, err
		case !a.Directory.IsLocal(t.Domain):
			return nil, problem(http.StatusUnprocessableEntity, "domain-not-local", "the domain of a target is not served here")
		case t == alias:
			return nil, problem(http.StatusUnprocessableEntity, "alias-loop", "the alias leads to itself")
		case !slices.Contains(targets, t):
			targets = append(targets, t)
		}
	}
	return targets, nil
}

// putAlias makes the alias, or changes it.
func (a *admin) putAlias(ctx context.Context, address mailbox.Address, targets []mailbox.Address) (mailbox.Route, error) {
	made, err := a.Directory.Create(ctx, address, mailbox.Route{Kind: mailbox.Alias, Targets: targets})
	if !errors.Is(err, mailbox.ErrExists) {
		return made, err
	}
	changed, err := a.Directory.SetTargets(ctx, address, targets)
	if errors.Is(err, mailbox.ErrExists) {
		err = problem(http.StatusConflict, "address-exists", "the address exists and is not an alias")
	}
	return changed, err
}

func (a *admin) removeAlias(ctx context.Context, in *aliasInput) (*struct{}, error) {
	address, err := mailbox.ParseRoute(in.Address)
	if err != nil {
		return nil, err
	}
	route, err := a.Directory.Lookup(ctx, address)
	if err != nil {
		return nil, err
	}
	if route.Kind != mailbox.Alias {
		return nil, problem(http.StatusNotFound, "address-not-found", "the address is not an alias, see /accounts")
	}
	if err := a.Directory.Remove(ctx, address); err != nil {
		return nil, err
	}
	a.changed(ctx, "alias removed", address)
	return nil, nil
}
