package cassandra

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"sync"
	"time"

	"github.com/gocql/gocql"

	"restante/mailbox"
)

// An address is one row with one cell, so that of two routes written at the same
// time one wins as a whole. The rows of a domain are spread over partitions, of
// which a domain of millions fills each with some tens of thousands.
//
// A route that was written is looked up in every data centre before an address is
// said to lead nowhere: mail for an address that was made a moment ago in another
// one must not be refused.
var (
	selectAddress = &statement{
		name: "address select",
		cql:  "SELECT route FROM address WHERE domain = ? AND shard = ? AND local = ?",
	}
	selectAddressTime = &statement{
		name: "address select time",
		cql:  "SELECT WRITETIME(route), TTL(route) FROM address WHERE domain = ? AND shard = ? AND local = ?",
	}
	insertAddress = &statement{
		name: "address insert",
		cql:  "INSERT INTO address (domain, shard, local, route) VALUES (?, ?, ?, ?) USING TTL ?",
	}
	selectShard = &statement{
		name: "address select shard",
		cql:  "SELECT local, route FROM address WHERE domain = ? AND shard = ?",
		rows: addressPage,
	}
)

const (
	// addressShards is how many partitions a domain has. It can never change.
	addressShards = 64
	// addressPage is how many rows List reads at a time, from addressReaders
	// partitions at once.
	addressPage    = 256
	addressReaders = 8
	// routeMemory is how much longer than its life the row of a temporary address
	// stays. The row remembers the life number; when it is forgotten, what was in
	// the maildrop must be gone.
	routeMemory = 30 * 24 * time.Hour
)

// shardOf is the partition of an address within its domain.
func shardOf(a mailbox.Address) int16 {
	h := fnv.New32a()
	h.Write([]byte(a.Local))
	return int16(h.Sum32() % addressShards)
}

// addresses are mailbox.Addresses.
type addresses struct {
	*session
	puts succession
}

func (a *addresses) Lookup(ctx context.Context, address mailbox.Address) (mailbox.Route, error) {
	route, err := a.lookup(ctx, address)
	if err != nil {
		return mailbox.Route{}, fmt.Errorf("cassandra: look up %s: %w", address, err)
	}
	return route, nil
}

func (a *addresses) lookup(ctx context.Context, address mailbox.Address) (mailbox.Route, error) {
	var found bool
	var r route
	for _, level := range []Consistency{LocalQuorum, EachQuorum} {
		var err error
		found, err = a.read(ctx, selectAddress, level, address.Domain, shardOf(address), address.Local).one(&r)
		if err != nil {
			return mailbox.Route{}, err
		}
		if found && mailbox.Route(r).Live(a.options.Now()) {
			break
		}
	}
	if !found {
		return mailbox.Route{}, mailbox.ErrNotFound
	}
	return mailbox.Route(r), nil
}

func (a *addresses) Put(ctx context.Context, address mailbox.Address, r mailbox.Route) error {
	if err := a.put(ctx, address, r); err != nil {
		return fmt.Errorf("cassandra: put %s: %w", address, err)
	}
	return nil
}

// put writes a route in every data centre. One that cannot be reached hears of it
// later: until then it asks the others before it says that there is no such address. It is
// waited for as long as a statement may take, which is enough to ask a second node here:
// that the first does not answer may be its own fault.
func (a *addresses) put(ctx context.Context, address mailbox.Address, r mailbox.Route) error {
	level := EachQuorum
	widely := func(do func() error) error {
		err := do()
		if level == LocalQuorum || !errors.Is(err, mailbox.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		a.options.Log.Warn("address written in this data centre only", "address", address, "err", err)
		level = LocalQuorum
		return do()
	}
	key := []any{address.Domain, shardOf(address), address.Local}
	var old addressCell
	if err := widely(func() (err error) {
		old, err = a.cell(ctx, level, key)
		return err
	}); err != nil {
		return err
	}
	at := a.puts.after(a.options.Now(), old.at)
	args := append(key, route(r), old.ttlFor(r, a.options.Now()))
	return widely(func() error { return a.write(ctx, insertAddress, level, at, args...) })
}

// An addressCell is what Cassandra knows of a route that is there already.
type addressCell struct {
	at  writeTime // 0: there is none
	ttl int       // in seconds; 0: for ever
}

func (a *addresses) cell(ctx context.Context, level Consistency, key []any) (c addressCell, err error) {
	var at *int64
	var ttl *int
	_, err = a.read(ctx, selectAddressTime, level, key...).one(&at, &ttl)
	if at != nil {
		c.at = writeTime(*at)
	}
	if ttl != nil {
		c.ttl = *ttl
	}
	return c, err
}

// ttlFor is the time to live of a route that replaces this one. A temporary address
// is forgotten some time after its end, also if it was removed before. Where an
// account or an alias was, the address is remembered for ever, since mail of a life
// that was forgotten would come back with the next of the same number.
func (c addressCell) ttlFor(r mailbox.Route, now time.Time) int {
	switch {
	case c.at != 0 && c.ttl == 0:
		return 0
	case r.Kind == mailbox.Temporary && temporary(now, r.Expires):
		return max(c.ttl, ttl(max(r.Expires.Sub(now), 0)+routeMemory))
	case r.Kind == mailbox.Vacant:
		return c.ttl
	}
	return 0
}

// List reads some partitions at once: one by one, a domain with a few accounts
// would take as many round trips as there are partitions.
func (a *addresses) List(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
	return func(yield func(mailbox.Row, error) bool) {
		l := addressListing{addresses: a, domain: domain, pages: make(chan addressRows), left: make(chan struct{})}
		l.ctx, l.cancel = context.WithCancel(ctx)
		defer l.end()
		l.begin()
		for partitions := addressShards; partitions > 0; {
			page := <-l.pages
			for _, row := range page.rows {
				if !yield(row, nil) {
					return
				}
			}
			if page.err != nil {
				yield(mailbox.Row{}, fmt.Errorf("cassandra: list domain %s: %w", domain, page.err))
				return
			}
			if page.last {
				partitions--
			}
		}
	}
}

// An addressListing is one List.
type addressListing struct {
	*addresses
	domain  string
	ctx     context.Context
	cancel  context.CancelFunc
	readers sync.WaitGroup
	pages   chan addressRows
	left    chan struct{} // closed when nobody receives pages any more
}

// addressRows are some rows of a partition.
type addressRows struct {
	rows []mailbox.Row
	last bool // of the partition
	err  error
}

func (l *addressListing) begin() {
	shards := make(chan int16, addressShards)
	for shard := range int16(addressShards) {
		shards <- shard
	}
	close(shards)
	for range addressReaders {
		l.readers.Go(func() {
			for shard := range shards {
				if !l.shard(shard) {
					return
				}
			}
		})
	}
}

func (l *addressListing) end() {
	l.cancel()
	close(l.left)
	l.readers.Wait()
}

// shard hands over the rows of a partition, and reports whether the next one is
// wanted.
func (l *addressListing) shard(shard int16) bool {
	var page addressRows
	rows := l.read(l.ctx, selectShard, LocalQuorum, l.domain, shard)
	for {
		var local string
		var r route
		if !rows.scan(&local, &r) {
			break
		}
		page.rows = append(page.rows, mailbox.Row{
			Address: mailbox.Address{Local: local, Domain: l.domain},
			Route:   mailbox.Route(r),
		})
		if len(page.rows) == addressPage {
			if !l.hand(page) {
				return false
			}
			page.rows = nil
		}
	}
	page.last, page.err = true, rows.err()
	return l.hand(page) && page.err == nil
}

// hand reports whether somebody took the page.
func (l *addressListing) hand(page addressRows) bool {
	select {
	case l.pages <- page:
		return true
	case <-l.left:
		return false
	}
}

// A route is the user-defined type of the same name. Targets are written as they
// are, without the quotes that SMTP asks for.
type route mailbox.Route

// MarshalUDT is what the driver calls for each field of the type.
func (r route) MarshalUDT(field string, info gocql.TypeInfo) ([]byte, error) {
	switch field {
	case "kind":
		return gocql.Marshal(info, int8(r.Kind))
	case "life":
		return gocql.Marshal(info, int64(r.Life))
	case "maildrop":
		return gocql.Marshal(info, gocql.UUID(r.Maildrop))
	case "targets":
		targets := make([]string, len(r.Targets))
		for i, t := range r.Targets {
			targets[i] = plain(t)
		}
		return gocql.Marshal(info, targets)
	case "secret":
		return gocql.Marshal(info, r.Secret)
	case "created":
		return marshalTime(info, r.Created)
	case "expires":
		return marshalTime(info, r.Expires)
	}
	return nil, nil // of a later version
}

func marshalTime(info gocql.TypeInfo, t time.Time) ([]byte, error) {
	if t.IsZero() {
		return nil, nil
	}
	return gocql.Marshal(info, t)
}

// UnmarshalUDT is what the driver calls for each field of the type.
func (r *route) UnmarshalUDT(field string, info gocql.TypeInfo, value []byte) (err error) {
	switch field {
	case "kind":
		var kind int8
		err = gocql.Unmarshal(info, value, &kind)
		r.Kind = mailbox.Kind(kind)
	case "life":
		var life int64
		err = gocql.Unmarshal(info, value, &life)
		r.Life = uint32(life)
	case "maildrop":
		err = gocql.Unmarshal(info, value, (*gocql.UUID)(&r.Maildrop))
	case "targets":
		var targets []string
		err = gocql.Unmarshal(info, value, &targets)
		r.Targets = make([]mailbox.Address, len(targets))
		for i, t := range targets {
			r.Targets[i] = parsePlain(t)
		}
	case "secret":
		err = gocql.Unmarshal(info, value, &r.Secret)
	case "created":
		r.Created, err = unmarshalTime(info, value)
	case "expires":
		r.Expires, err = unmarshalTime(info, value)
	}
	return err
}

func unmarshalTime(info gocql.TypeInfo, value []byte) (t time.Time, err error) {
	if value == nil {
		return time.Time{}, nil
	}
	err = gocql.Unmarshal(info, value, &t)
	return t, err
}
