package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// onlyTemporary is what --only calls the trial of a temporary mailbox.
const onlyTemporary = "temporary"

// temporary makes a mailbox by REST and has swaks write to it and Thunderbird read it,
// which is told address and password and finds the rest by itself. Meanwhile, and until
// a while after its end, each protocol is asked again and again whether it is there.
func (t *trial) temporary(ctx context.Context, b *bird, life time.Duration) error {
	m, err := t.server.makeMailbox(ctx, life)
	if err != nil {
		t.result(ctx, onlyTemporary, "REST", lived, err)
		return ctx.Err()
	}
	asks := t.server.asks(m)
	seen := make([]sighting, len(asks))
	var watchers sync.WaitGroup
	for i, a := range asks {
		watchers.Go(func() { seen[i] = watch(ctx, m.Expires, a.there) })
	}
	t.result(ctx, "thunderbird", autoconfig.name, octets, t.reads(ctx, b, m))
	watchers.Wait()
	for i, a := range asks {
		t.result(ctx, onlyTemporary, a.protocol, lived, seen[i].early)
		t.result(ctx, onlyTemporary, a.protocol, ended, seen[i].late)
		t.table.note(a.protocol + ": " + seen[i].String())
	}
	return ctx.Err()
}

// reads sends every letter to the mailbox and has Thunderbird fetch them.
func (t *trial) reads(ctx context.Context, b *bird, m tempMailbox) error {
	if err := find("thunderbird", birdPackages); err != nil {
		return err
	}
	for _, l := range t.letters {
		if err := send(ctx, t.server, routes[0], l, []string{m.Email}, t.dir, ""); err != nil {
			return fmt.Errorf("the %s letter: %w", l.name, err)
		}
	}
	drop, err := t.server.read(ctx, m.Email, m.Password)
	if err != nil {
		return err
	}
	web, err := startSignpost(tempDomain, t.server.ports["http"])
	if err != nil {
		return err
	}
	defer web.stop()
	host, port := t.server.pop3(autoconfig)
	e := errand{
		way: autoconfig, host: host, port: port, address: m.Email, password: m.Password,
		trusted: t.server.certificate(), keep: true, home: filepath.Join(t.dir, onlyTemporary), web: web.addr,
	}
	if err := os.MkdirAll(e.home, 0o700); err != nil {
		return err
	}
	return t.takes(ctx, client{fetch: b.fetch}, e, drop)
}
