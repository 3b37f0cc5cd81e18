package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"restante/mailbox"
)

// A listing is the answer of GET /accounts.
type listing struct {
	Accounts []Account `json:"accounts" nullable:"false"`
}

type listInput struct {
	Domain string   `query:"domain" doc:"one of the domains served here; all of them, if absent"`
	Kind   []string `query:"kind" enum:"account,alias,temporary" doc:"separated by commas; account and alias, if absent"`
}

func (a *admin) listing(api *api) {
	stream(api, huma.Operation{
		OperationID: "list-accounts", Method: http.MethodGet, Path: "/accounts", Tags: []string{"accounts"},
		Summary:     "List accounts and aliases",
		Description: "The order is the store's own. If the store fails midway, the connection is cut.",
	}, longTimeout, "application/json", listing{}, a.listAccounts)
}

// listAccounts asks for the first row before it answers, so that a store that is
// down is a 503.
func (a *admin) listAccounts(ctx context.Context, in *listInput) (func(io.Writer) error, error) {
	kinds := in.Kind
	if len(kinds) == 0 {
		kinds = []string{mailbox.Account.String(), mailbox.Alias.String()}
	}
	domains := slices.Clone(a.Directory.Domains)
	if slices.Contains(kinds, mailbox.Temporary.String()) {
		for _, d := range a.Directory.TempDomains {
			if !slices.Contains(domains, d) {
				domains = append(domains, d)
			}
		}
	}
	if in.Domain != "" {
		wanted, err := mailbox.ParseRoute("@" + in.Domain)
		if err != nil {
			return nil, err
		}
		if !a.Directory.IsLocal(wanted.Domain) {
			return nil, mailbox.ErrNotLocal
		}
		domains = []string{wanted.Domain}
	}
	next, stop := iter.Pull2(a.rows(ctx, domains, kinds))
	first, err, ok := next()
	if err != nil {
		stop()
		return nil, err
	}
	return func(w io.Writer) error {
		defer stop()
		return writeListing(w, first, ok, next)
	}, nil
}

// rows goes through the addresses of the domains that are of one of the kinds. An
// error ends it.
func (a *admin) rows(ctx context.Context, domains, kinds []string) iter.Seq2[mailbox.Row, error] {
	return func(yield func(mailbox.Row, error) bool) {
		for _, domain := range domains {
			for row, err := range a.Directory.List(ctx, domain) {
				if err == nil && !slices.Contains(kinds, row.Route.Kind.String()) {
					continue
				}
				if !yield(row, err) || err != nil {
					return
				}
			}
		}
	}
}

// How much of a listing is in memory.
const listingChunk = 16 << 10

func writeListing(w io.Writer, row mailbox.Row, ok bool, next func() (mailbox.Row, error, bool)) error {
	var chunk bytes.Buffer
	chunk.WriteString(`{"accounts":[`)
	for separator := "\n"; ok; separator = ",\n" {
		line, err := json.Marshal(accountOf(row.Address, row.Route))
		if err != nil {
			return err
		}
		chunk.WriteString(separator)
		chunk.Write(line)
		if chunk.Len() > listingChunk {
			if _, err := chunk.WriteTo(w); err != nil {
				return err
			}
		}
		if row, err, ok = next(); err != nil {
			return err
		}
	}
	chunk.WriteString("\n]}\n")
	_, err := chunk.WriteTo(w)
	return err
}
