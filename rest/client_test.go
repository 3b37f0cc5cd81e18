package rest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"restante/auth"
	"restante/mailbox"
)

func TestTheClientDoesWhatAnOperatorNeeds(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	made, err := s.Add(ctx, "fred@example.org", "secret")
	if err != nil || made.Address != "fred@example.org" || made.Kind != "account" {
		t.Fatalf("%+v, %v", made, err)
	}
	if err := s.SetPassword(ctx, "fred@example.org", "changed"); err != nil {
		t.Error(err)
	}
	if !auth.Check(s.route(t, "fred@example.org").Secret, "changed") {
		t.Error("the password is not changed")
	}
	if set, err := s.SetAlias(ctx, "@example.org", "fred@example.org"); err != nil || set.Kind != "alias" {
		t.Errorf("%+v, %v", set, err)
	}
	var listed []string
	for account, err := range s.List(ctx, "example.org") {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, account.Kind)
	}
	if len(listed) != 2 {
		t.Errorf("listed: %v", listed)
	}
	for range s.List(ctx, "") {
		break // early
	}
	if err := s.RemoveAlias(ctx, "@example.org"); err != nil {
		t.Error(err)
	}
	if err := s.Remove(ctx, "fred@example.org"); err != nil {
		t.Error(err)
	}
	if s.route(t, "fred@example.org").Kind != mailbox.Vacant {
		t.Error("the account is still there")
	}
}

func TestTheClientSaysWhatIsWrong(t *testing.T) {
	s := newSite(t)
	s.account(t, "fred@example.org")
	ctx := t.Context()
	add := func(c *Client) error { _, err := c.Add(ctx, "fred@example.org", "x"); return err }

	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)

	_, notFound := s.Get(ctx, "wilma@example.org")
	for name, c := range map[string]struct {
		err  error
		is   error
		text string
	}{
		"exists":         {add(s.Client), mailbox.ErrExists, "the address exists"},
		"not found":      {notFound, mailbox.ErrNotFound, "there is no such address"},
		"wrong token":    {add(&Client{Base: s.Base, Token: "x"}), nil, "the admin token is missing or wrong"},
		"no server":      {add(&Client{Base: gone.Addr().String(), Token: "x"}), nil, "no answer from the admin interface at http://" + gone.Addr().String() + ": dial tcp"},
		"another server": {add(&Client{Base: other.URL}), nil, "does not answer as an admin interface does: 404 Not Found"},
		"no URL":         {add(&Client{Base: "http://[", Token: "x"}), nil, "address of the admin interface"},
		"malformed":      {s.SetPassword(ctx, "x", "y"), nil, "malformed address"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.text) || c.is != nil && !errors.Is(c.err, c.is) {
			t.Errorf("%s: error is %v", name, c.err)
		}
	}
	t.Run("and each of several things", func(t *testing.T) {
		_, err := s.SetAlias(ctx, "x@example.org")
		if err == nil || !strings.Contains(err.Error(), "validation failed; body.targets: expected array") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("and when it was not answered in time", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := s.Get(ctx, "fred@example.org"); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
}
