package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"restante/mailbox"
)

// A Client administers a running server through its [Admin] interface. Its errors
// are for people to read.
type Client struct {
	Base  string       // "http://HOST:PORT", or HOST:PORT for the same
	Token string       // the admin token
	HTTP  *http.Client // nil means http.DefaultClient
}

// A Problem is a refusal by the server (RFC 9457). It is mailbox.ErrNotFound,
// mailbox.ErrExists or mailbox.ErrUnavailable, as the status says.
type Problem struct {
	Type   string          `json:"type"`
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail"`
	Errors []ProblemDetail `json:"errors"`
}

// A ProblemDetail is one of several things that are wrong with a request.
type ProblemDetail struct {
	Message  string `json:"message"`
	Location string `json:"location"`
}

func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	for _, e := range p.Errors {
		text += "; " + strings.TrimPrefix(e.Location+": ", ": ") + e.Message
	}
	return text
}

// Is tells errors.Is which kind of failure of package mailbox it was.
func (p *Problem) Is(target error) bool {
	switch p.Status {
	case http.StatusNotFound:
		return target == mailbox.ErrNotFound
	case http.StatusConflict:
		return target == mailbox.ErrExists
	case http.StatusServiceUnavailable:
		return target == mailbox.ErrUnavailable
	}
	return false
}

// Add makes an account with a password.
func (c *Client) Add(ctx context.Context, address, password string) (Account, error) {
	return c.add(ctx, address, credential{Password: password})
}

// AddHash makes an account with the hash of a password.
func (c *Client) AddHash(ctx context.Context, address, hash string) (Account, error) {
	return c.add(ctx, address, credential{Hash: hash})
}

func (c *Client) add(ctx context.Context, address string, secret credential) (made Account, err error) {
	body := newAccount{address, secret.Password, secret.Hash}
	err = c.call(ctx, http.MethodPost, "/accounts", body, &made)
	return made, err
}

// Get looks at an account.
func (c *Client) Get(ctx context.Context, address string) (found Account, err error) {
	err = c.call(ctx, http.MethodGet, "/accounts/"+url.PathEscape(address), nil, &found)
	return found, err
}

// SetPassword changes the password of an account.
func (c *Client) SetPassword(ctx context.Context, address, password string) error {
	return c.call(ctx, http.MethodPut, "/accounts/"+url.PathEscape(address)+"/password", credential{Password: password}, nil)
}

// Remove removes an account and its mail.
func (c *Client) Remove(ctx context.Context, address string) error {
	return c.call(ctx, http.MethodDelete, "/accounts/"+url.PathEscape(address), nil, nil)
}

// SetAlias makes an alias, or changes where it leads. "@domain" is the catch-all
// of a domain.
func (c *Client) SetAlias(ctx context.Context, address string, targets ...string) (set Account, err error) {
	body := map[string][]string{"targets": targets}
	err = c.call(ctx, http.MethodPut, "/aliases/"+url.PathEscape(address), body, &set)
	return set, err
}

// RemoveAlias removes an alias.
func (c *Client) RemoveAlias(ctx context.Context, address string) error {
	return c.call(ctx, http.MethodDelete, "/aliases/"+url.PathEscape(address), nil, nil)
}

// List goes through the addresses of a domain, or of all where it is empty, that
// are of one of the kinds ("account", "alias", "temporary"); of the first two where
// none is given. After an error the sequence ends.
func (c *Client) List(ctx context.Context, domain string, kinds ...string) iter.Seq2[Account, error] {
	query := make(url.Values)
	if domain != "" {
		query.Set("domain", domain)
	}
	if len(kinds) > 0 {
		query.Set("kind", strings.Join(kinds, ","))
	}
	return func(yield func(Account, error) bool) {
		answer, err := c.send(ctx, http.MethodGet, "/accounts?"+query.Encode(), "", nil)
		if err != nil {
			yield(Account{}, err)
			return
		}
		defer answer.Body.Close()
		if err := eachAccount(answer.Body, func(a Account) bool { return yield(a, nil) }); err != nil {
			yield(Account{}, fmt.Errorf("the listing is not whole: %w", err))
		}
	}
}

// eachAccount reads a listing one account after the other, until yield has enough.
func eachAccount(r io.Reader, yield func(Account) bool) error {
	d := json.NewDecoder(r)
	for range 3 { // {"accounts":[
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	for d.More() {
		var a Account
		if err := d.Decode(&a); err != nil {
			return err
		}
		if !yield(a) {
			return nil
		}
	}
	for range 2 { // ]}
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	return nil
}

// call sends in as JSON, if it is not nil, and reads the answer into out, if that
// is not nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	answer, err := c.send(ctx, method, path, "application/json", body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.base(), err)
	}
	return nil
}

// send sends a request and returns an answer that is no problem. The caller closes
// its body.
func (c *Client) send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base()+path, body)
	if err != nil {
		return nil, fmt.Errorf("address of the admin interface: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+c.Token)
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without method and path, which say nothing to an operator
		}
		return nil, fmt.Errorf("no answer from the admin interface at %s: %w", c.base(), err)
	}
	if answer.StatusCode >= 300 {
		defer answer.Body.Close()
		return nil, c.problem(answer)
	}
	return answer, nil
}

func (c *Client) base() string {
	base := strings.TrimSuffix(c.Base, "/")
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	return base
}

// The longest problem document that is read.
const maxProblem = 64 << 10

func (c *Client) problem(answer *http.Response) error {
	mediaType, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	p := Problem{Status: answer.StatusCode, Title: http.StatusText(answer.StatusCode)}
	if mediaType == problemType {
		if err := json.NewDecoder(io.LimitReader(answer.Body, maxProblem)).Decode(&p); err == nil {
			return &p
		}
	}
	return fmt.Errorf("%s does not answer as an admin interface does: %w", c.base(), &p)
}
