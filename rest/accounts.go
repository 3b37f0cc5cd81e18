package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/auth"
	"restante/mailbox"
)

// An Account is what an operator may see of an address: never its password.
type Account struct {
	Address string     `json:"address" example:"fred@example.org" doc:"@domain for a catch-all"`
	Kind    string     `json:"kind" enum:"account,alias,temporary"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty" doc:"when it ends; never, if absent"`
	Targets []string   `json:"targets,omitempty" nullable:"false" doc:"where an alias leads"`
	Login   bool       `json:"login" doc:"whether there is a password to log in with"`
}

func accountOf(a mailbox.Address, r mailbox.Route) Account {
	account := Account{
		Address: a.String(),
		Kind:    r.Kind.String(),
		Created: r.Created,
		Login:   r.Kind != mailbox.Alias && r.Secret != "",
	}
	if !r.Expires.IsZero() {
		account.Expires = &r.Expires
	}
	for _, t := range r.Targets {
		account.Targets = append(account.Targets, t.String())
	}
	return account
}

// A credential is a new password, or a hash that another system made of it.
type credential struct {
	Password string `json:"password,omitempty" maxLength:"512" format:"password" writeOnly:"true" doc:"either this or hash"`
	Hash     string `json:"hash,omitempty" maxLength:"512" writeOnly:"true" doc:"argon2id in PHC form, or bcrypt" example:"$2y$10$…"`
}

// A newAccount is a credential with the address it is for. It repeats the fields,
// for the description leaves out what an embedded type adds.
type newAccount struct {
	Address  string `json:"address" example:"fred@example.org"`
	Password string `json:"password,omitempty" maxLength:"512" format:"password" writeOnly:"true" doc:"either this or hash"`
	Hash     string `json:"hash,omitempty" maxLength:"512" writeOnly:"true" doc:"argon2id in PHC form, or bcrypt" example:"$2y$10$…"`
}

type (
	addInput struct {
		Body newAccount
	}
	addressInput struct {
		Address string `path:"address" example:"fred@example.org"`
	}
	passwordInput struct {
		Address string `path:"address" example:"fred@example.org"`
		Body    credential
	}
	accountOutput struct{ Body Account }
	createdOutput struct {
		Location string `header:"Location"`
		Body     Account
	}
)

func (a *admin) accounts(api *api) {
	tags := []string{"accounts"}
	register(api, huma.Operation{
		OperationID: "add-account", Method: http.MethodPost, Path: "/accounts", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Make an account", Errors: []int{http.StatusConflict},
	}, shortTimeout, a.addAccount)
	register(api, huma.Operation{
		OperationID: "get-account", Method: http.MethodGet, Path: "/accounts/{address}", Tags: tags,
		Summary: "Look at an account or temporary address", Errors: []int{http.StatusNotFound},
	}, shortTimeout, a.getAccount)
	register(api, huma.Operation{
		OperationID: "set-password", Method: http.MethodPut, Path: "/accounts/{address}/password", Tags: tags,
		Summary: "Change a password", Errors: []int{http.StatusNotFound},
	}, shortTimeout, a.setPassword)
	register(api, huma.Operation{
		OperationID: "remove-account", Method: http.MethodDelete, Path: "/accounts/{address}", Tags: tags,
		Summary: "Remove an account and its mail", Errors: []int{http.StatusNotFound},
		Description: "If it fails, the account may have lost some of its mail, and the request can be repeated.",
	}, longTimeout, a.removeAccount)
}

func (a *admin) addAccount(ctx context.Context, in *addInput) (*createdOutput, error) {
	address, err := mailbox.ParseAddress(in.Body.Address)
	if err != nil {
		return nil, err
	}
	secret, err := a.secret(ctx, credential{in.Body.Password, in.Body.Hash})
	if err != nil {
		return nil, err
	}
	route, err := a.Directory.Create(ctx, address, mailbox.Route{Kind: mailbox.Account, Secret: secret})
	if err != nil {
		return nil, err
	}
	a.changed(ctx, "account made", address)
	return &createdOutput{Location: "/accounts/" + url.PathEscape(address.String()), Body: accountOf(address, route)}, nil
}

// secret is the hash to store for a credential.
func (a *admin) secret(ctx context.Context, c credential) (string, error) {
	switch {
	case (c.Password == "") == (c.Hash == ""):
		return "", problem(http.StatusUnprocessableEntity, "unusable-password", "give either a password or a hash")
	case c.Hash != "":
		return c.Hash, auth.ValidHash(c.Hash)
	}
	return a.Hasher.Hash(ctx, c.Password)
}

func (a *admin) getAccount(ctx context.Context, in *addressInput) (*accountOutput, error) {
	address, route, err := a.account(ctx, in.Address)
	if err != nil {
		return nil, err
	}
	return &accountOutput{accountOf(address, route)}, nil
}

// account finds an address that has a maildrop.
func (a *admin) account(ctx context.Context, s string) (mailbox.Address, mailbox.Route, error) {
	address, err := mailbox.ParseAddress(s)
	if err != nil {
		return mailbox.Address{}, mailbox.Route{}, err
	}
	route, err := a.Directory.Lookup(ctx, address)
	if err == nil && route.Kind == mailbox.Alias {
		err = problem(http.StatusNotFound, "address-not-found", "the address is an alias, see /aliases")
	}
	return address, route, err
}

func (a *admin) setPassword(ctx context.Context, in *passwordInput) (*struct{}, error) {
	address, _, err := a.account(ctx, in.Address)
	if err != nil {
		return nil, err
	}
	secret, err := a.secret(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if err := a.Directory.SetSecret(ctx, address, secret); err != nil {
		return nil, err
	}
	a.changed(ctx, "password changed", address)
	return nil, nil
}

// removeAccount expunges the mail before the address goes, so that whoever finds
// the address gone finds the mail gone, and whoever does not can repeat the
// request. Mail that arrives between the two is expunged afterwards.
func (a *admin) removeAccount(ctx context.Context, in *addressInput) (*struct{}, error) {
	address, route, err := a.account(ctx, in.Address)
	if err != nil {
		return nil, err
	}
	if err := a.empty(ctx, route.Maildrop); err != nil {
		return nil, fmt.Errorf("expunge the mail of %s: %w", address, err)
	}
	if err := a.Directory.Remove(ctx, address); err != nil {
		return nil, err
	}
	a.changed(ctx, "account removed", address)
	if err := a.empty(ctx, route.Maildrop); err != nil {
		// Nobody can reach it any more, so this is a matter of room only.
		a.Log.Warn("mail left in a maildrop that has no address", "session", requestID(ctx), "maildrop", route.Maildrop, "err", err)
	}
	return nil, nil
}

// How many messages are expunged at once.
const expungeChunk = 1000

func (a *admin) empty(ctx context.Context, drop mailbox.MaildropID) error {
	messages, err := a.Maildrops.List(ctx, drop)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(messages, expungeChunk) {
		if err := a.Deliveries.Expunge(ctx, drop, chunk...); err != nil {
			return err
		}
	}
	return nil
}
