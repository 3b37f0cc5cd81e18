package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/mailbox"
	"restante/relay"
)

// Paths of what an account sends in vain.
const (
	suppressionsPath = "/v1/suppressions/{account}"
	suppressionPath  = suppressionsPath + "/{address}"
)

// A Suppression is an address that gets no mail of an account, since it does not exist.
type Suppression struct {
	Address  string    `json:"address" example:"ann@example.com"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Code     int       `json:"code,omitempty" doc:"of the reply"`
	Enhanced string    `json:"enhanced,omitempty" example:"5.1.1" doc:"enhanced status code (RFC 3463)"`
	Text     string    `json:"text,omitempty" doc:"the reply"`
}

// Suppressed are some of them.
type Suppressed struct {
	Data []Suppression `json:"data" nullable:"false" doc:"in no order"`
	More bool          `json:"more,omitempty" doc:"there are more"`
}

type (
	suppressedInput struct {
		Account string `path:"account" example:"fred@example.org"`
		Limit   int    `query:"limit" default:"1000" minimum:"1" maximum:"10000" doc:"how many at most"`
	}
	suppressedOutput struct{ Body Suppressed }
	allowInput       struct {
		Account string `path:"account" example:"fred@example.org"`
		Address string `path:"address" example:"ann@example.com"`
	}
)

func (d *desk) suppressions() {
	tags := []string{"suppressions"}
	atDesk(d, huma.Operation{
		OperationID: "list-suppressions", Method: http.MethodGet, Path: suppressionsPath, Tags: tags,
		Summary:     "List whom an account does not reach",
		Description: "Mail of the account for an address that was said not to exist is not tried for some time; its sender is told.",
	}, d.listSuppressed)
	atDesk(d, huma.Operation{
		OperationID: "allow", Method: http.MethodDelete, Path: suppressionPath, Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Have mail for an address tried again", Description: "One that is not on the list is harmless.",
	}, d.allow)
}

func (d *desk) listSuppressed(ctx context.Context, in *suppressedInput) (*suppressedOutput, error) {
	account, err := mailbox.ParseAddress(in.Account)
	if err != nil {
		return nil, err
	}
	out := &suppressedOutput{Suppressed{Data: []Suppression{}}}
	for s, err := range d.Suppressions.List(ctx, account.Canonical(), time.Now()) {
		if err != nil {
			return nil, err
		}
		if len(out.Body.Data) == in.Limit {
			out.Body.More = true
			break
		}
		out.Body.Data = append(out.Body.Data, suppressionOf(s))
	}
	return out, nil
}

func suppressionOf(s relay.Suppression) Suppression {
	return Suppression{
		Address: s.Address.String(), Since: s.Since.UTC(), Until: s.Until.UTC(),
		Code: s.Outcome.Code, Enhanced: s.Outcome.Enhanced, Text: s.Outcome.Text,
	}
}

func (d *desk) allow(ctx context.Context, in *allowInput) (*struct{}, error) {
	account, err := mailbox.ParseAddress(in.Account)
	if err != nil {
		return nil, err
	}
	address, err := mailbox.ParsePath(in.Address)
	if err != nil {
		return nil, err
	}
	if err := d.Suppressions.Allow(ctx, account.Canonical(), address.Canonical()); err != nil {
		return nil, err
	}
	d.steered(ctx, "allowed", "account", account, "address", address)
	return nil, nil
}

// Suppressed are at most so many of the addresses that an account does not reach.
func (c *Client) Suppressed(ctx context.Context, account string, limit int) (found Suppressed, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/suppressions/"+url.PathEscape(account)+"?limit="+strconv.Itoa(limit), nil, &found)
	return found, err
}

// Allow has mail of an account for an address tried again.
func (c *Client) Allow(ctx context.Context, account, address string) error {
	return c.call(ctx, http.MethodDelete, fmt.Sprintf("/v1/suppressions/%s/%s", url.PathEscape(account), url.PathEscape(address)), nil, nil)
}
