package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A trial sends the letters and has the clients fetch them.
type trial struct {
	server  *server
	dir     string
	strange string // a certificate that is not the server's
	letters []letter
	table   *table
}

// What an account is for.
const (
	toKeep   = "keep"
	toDelete = "delete"
)

// prepare makes the accounts and fills their maildrops with every letter. Each
// letter also comes by every route, which is a check of its own.
func (t *trial) prepare(ctx context.Context, clients []client) error {
	var users []string
	for _, c := range clients {
		for _, w := range ways {
			users = append(users, account(c, w, toKeep, domain), account(c, w, toDelete, otherDomain))
		}
	}
	accounts := append([]string{sender}, users...)
	for _, r := range routes {
		accounts = append(accounts, r.probe())
	}
	if err := t.server.addAccounts(ctx, accounts); err != nil {
		return err
	}
	for i, r := range routes {
		if err := t.fill(ctx, r, i, users); err != nil {
			return err
		}
	}
	return nil
}

// fetchAll puts the clients to the test, each in every way.
func (t *trial) fetchAll(ctx context.Context, clients []client) error {
	if err := t.prepare(ctx, clients); err != nil {
		return err
	}
	for _, c := range clients {
		for _, way := range ways {
			if err := t.fetch(ctx, c, way); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill sends every letter by the route, one of them to the clients too.
func (t *trial) fill(ctx context.Context, r route, number int, users []string) error {
	var errs error
	for i, l := range t.letters {
		recipients := []string{r.probe()}
		if i == number {
			recipients = append(recipients, users...)
		}
		if err := send(ctx, t.server, r, l, recipients, t.dir, t.server.certificate()); err != nil {
			errs = errors.Join(errs, fmt.Errorf("the %s letter: %w", l.name, err))
		}
	}
	if errs == nil {
		drop, err := t.server.kept(ctx, r.probe())
		errs = errors.Join(err, prove(t.letters, drop.messages()))
	}
	if r.tls != "" {
		err := send(ctx, t.server, r, t.letters[0], []string{r.probe()}, t.dir, t.strange)
		t.result(ctx, "swaks", r.name, distrust, refused(err))
	}
	t.result(ctx, "swaks", r.name, octets, errs)
	return ctx.Err()
}

// fetch puts one client to the test one way. Only the end of ctx is an error;
// what else goes wrong is in the table.
func (t *trial) fetch(ctx context.Context, c client, w way) error {
	if why := c.never[w]; why != "" {
		t.table.skip(c.name, w.name, why)
		return nil
	}
	if err := find(c.program, c.debianPackage); err != nil {
		t.result(ctx, c.name, w.name, octets, err)
		return nil
	}
	t.keeps(ctx, c, w)
	t.deletes(ctx, c, w)
	return ctx.Err()
}

// keeps has the client fetch and leave the mail where it is, twice: the second
// time there is nothing new.
func (t *trial) keeps(ctx context.Context, c client, w way) {
	e, err := t.errand(c, w, account(c, w, toKeep, domain))
	if err != nil {
		t.result(ctx, c.name, w.name, octets, err)
		return
	}
	e.keep = true
	before, err := t.server.kept(ctx, e.address)
	if err != nil {
		t.result(ctx, c.name, w.name, octets, err)
		return
	}
	if w.encrypted() {
		t.result(ctx, c.name, w.name, distrust, t.distrusts(ctx, c, e))
	}
	t.result(ctx, c.name, w.name, octets, t.takes(ctx, c, e, before))
	again, err := c.fetch(ctx, e)
	if err == nil && len(again) > 0 {
		err = fmt.Errorf("the second run stored %d messages", len(again))
	}
	t.result(ctx, c.name, w.name, kept, errors.Join(err, t.holds(ctx, e.address, before)))
}

// deletes has the client fetch and delete.
func (t *trial) deletes(ctx context.Context, c client, w way) {
	e, err := t.errand(c, w, account(c, w, toDelete, otherDomain))
	if err != nil {
		t.result(ctx, c.name, w.name, deleted, err)
		return
	}
	before, err := t.server.kept(ctx, e.address)
	if err == nil {
		err = t.takes(ctx, c, e, before)
	}
	t.result(ctx, c.name, w.name, deleted, errors.Join(err, t.holds(ctx, e.address, maildrop{})))
}

// takes has the client fetch, and compares what it stored with what the server
// keeps and with what was sent.
func (t *trial) takes(ctx context.Context, c client, e errand, drop maildrop) error {
	got, err := c.fetch(ctx, e)
	if err != nil {
		return err
	}
	return errors.Join(sameMessages(got, drop.messages()), prove(t.letters, got))
}

// holds compares a maildrop with what it was.
func (t *trial) holds(ctx context.Context, address string, want maildrop) error {
	now, err := t.server.kept(ctx, address)
	if err == nil && !now.same(want) {
		err = fmt.Errorf("the server keeps %d messages, want the %d from before", len(now), len(want))
	}
	return err
}

// distrusts has the client fetch while it trusts another certificate. It has to
// fail, so that the other runs show that the certificate was looked at.
func (t *trial) distrusts(ctx context.Context, c client, e errand) error {
	e.trusted, e.home = t.strange, e.home+"-strange"
	if err := os.MkdirAll(e.home, 0o700); err != nil {
		return err
	}
	got, err := c.fetch(ctx, e)
	if len(got) > 0 {
		return fmt.Errorf("fetched %d messages from a server that it has no reason to trust", len(got))
	}
	return refused(err)
}

// refused turns the error of a run that had to fail round.
func refused(err error) error {
	var exit *exitError
	switch {
	case err == nil:
		return errors.New("spoke to a server that it has no reason to trust")
	case errors.As(err, &exit), errors.Is(err, errUntrusted):
		return nil
	}
	return err
}

// errUntrusted tells that a client saw the certificate and did not like it.
var errUntrusted = errors.New("the certificate is not trusted")

// errand is what the client is told, with a home of its own.
func (t *trial) errand(c client, w way, address string) (errand, error) {
	host, port := t.server.pop3(w)
	e := errand{
		way: w, host: host, port: port, address: address, password: t.server.password,
		trusted: t.server.certificate(), home: filepath.Join(t.dir, address),
	}
	return e, os.MkdirAll(e.home, 0o700)
}

// result puts down a check, unless the end of ctx has cut it short: then it says
// nothing about the client.
func (t *trial) result(ctx context.Context, client, way string, c check, err error) {
	if ctx.Err() == nil {
		t.table.add(client, way, c, err)
	}
}

// complaints puts what the server itself found wrong into the table.
func (t *trial) complaints() {
	lines, err := t.server.complaints()
	for _, l := range lines {
		t.table.note("the server's log: " + l)
	}
	if err != nil {
		t.table.note("the server's log: " + err.Error())
	}
}
