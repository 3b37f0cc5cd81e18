package cassandra

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/gocql/gocql"

	"restante/schema"
)

// ApplySchema brings the keyspace of the options to the state that package schema
// describes, as [schema.Apply] says. It works through the first of the hosts that
// answers, alone: what one node is told it does in order.
func ApplySchema(ctx context.Context, o Options, r schema.Replication, done func(c schema.Change, now bool)) error {
	d, err := openDefiner(ctx, o)
	if err != nil {
		return fmt.Errorf("cassandra: %w", err)
	}
	defer d.db.Close()
	return schema.Apply(ctx, d, d.options.Keyspace, r, done)
}

// CheckSchema fails with a [*schema.MissingError] where the keyspace or changes to it
// are missing, with a [*schema.ChangedError] where the program does not fit them, and
// with mailbox.ErrUnavailable where that cannot be found out now. What it finds is what
// the data centre of the host sees.
func CheckSchema(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	d, err := openDefiner(ctx, o)
	if err != nil {
		return fmt.Errorf("cassandra: %w", err)
	}
	defer d.db.Close()
	keyspace := d.options.Keyspace
	options, err := d.Keyspace(ctx, keyspace)
	if err == nil && options == nil {
		return &schema.MissingError{Keyspace: keyspace}
	}
	var applied map[string]string
	if err == nil {
		d.level = LocalQuorum
		applied, err = d.Applied(ctx, keyspace)
	}
	if err != nil {
		return fmt.Errorf("cassandra: check the schema of keyspace %s: %w", keyspace, err)
	}
	err = schema.Check(keyspace, applied)
	var missing *schema.MissingError
	if errors.As(err, &missing) {
		d.level = EachQuorum
		if applied, err := d.Applied(ctx, keyspace); err == nil && schema.Check(keyspace, applied) == nil {
			missing.Datacenter = o.Datacenter
		}
	}
	return err
}

// defineTimeout is how long a node may take that creates a table.
const defineTimeout = 30 * time.Second

// A definer changes the schema, through one node: a [schema.Cluster].
type definer struct {
	options Options
	host    string
	db      *gocql.Session
	level   Consistency // of the rows about changes
}

// openDefiner connects to the first host that answers.
func openDefiner(ctx context.Context, o Options) (*definer, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := schema.CheckKeyspace(o.Keyspace); err != nil {
		return nil, err
	}
	var errs several
	for _, host := range o.Hosts {
		config := o.cluster(dialer{ctx})
		config.RetryPolicy = nil
		config.Timeout, config.WriteTimeout = defineTimeout, defineTimeout
		// The driver would wait a minute for the nodes to agree, and then say
		// nothing when they did not.
		config.MaxWaitSchemaAgreement = 0
		db, err := openAlone(config, host)
		if err == nil {
			return &definer{options: o, host: host, db: db, level: EachQuorum}, nil
		}
		errs = append(errs, unreached(host, err))
	}
	return nil, errs
}

// unreached is why a host cannot be used.
func unreached(host string, err error) error {
	if errors.Is(err, errHopeless) {
		return fmt.Errorf("%s: %w", host, err)
	}
	return &failure{statement: "connect", host: host, outcome: outcomeOf(err), err: err}
}

// failure is why a statement failed. What Cassandra refuses is no matter of waiting
// here: it is a name that is wrong, or a right that is missing.
func (d *definer) failure(what string, err error) error {
	f := &failure{statement: what, host: d.host, outcome: outcomeOf(err), err: err}
	if f.outcome == refused {
		return fmt.Errorf("%s at %s: %w", what, d.host, err)
	}
	return f
}

// Keyspace is the replication of a keyspace.
func (d *definer) Keyspace(ctx context.Context, name string) (map[string]string, error) {
	var options map[string]string
	err := d.db.Query(replicationRead.cql, name).WithContext(ctx).Consistency(gocql.One).Scan(&options)
	if err != nil && !errors.Is(err, gocql.ErrNotFound) {
		return nil, d.failure("read the keyspace", err)
	}
	return options, nil
}

// Define changes the schema.
func (d *definer) Define(ctx context.Context, statement string) error {
	err := besideOthers(ctx, func() error { return d.db.Query(statement).WithContext(ctx).Exec() }, gocql.ErrCodeInvalid, gocql.ErrCodeServer)
	if err != nil {
		return d.failure("define", err)
	}
	return nil
}

// Applied is which changes were recorded.
func (d *definer) Applied(ctx context.Context, keyspace string) (map[string]string, error) {
	applied := map[string]string{}
	err := besideOthers(ctx, func() error {
		clear(applied)
		rows := d.db.Query("SELECT name, digest FROM " + keyspace + ".schema_change").WithContext(ctx).Consistency(d.level.code()).Iter()
		for name, digest := "", ""; rows.Scan(&name, &digest); {
			applied[name] = digest
		}
		return rows.Close()
	}, gocql.ErrCodeReadFailure, gocql.ErrCodeServer)
	if codeOf(err) == gocql.ErrCodeInvalid {
		return nil, nil // no such table
	}
	if err != nil {
		return nil, d.failure("read the applied changes", err)
	}
	return applied, nil
}

// Record notes that a change was applied, in every data centre.
func (d *definer) Record(ctx context.Context, keyspace string, c schema.Change) error {
	now := d.options.Now()
	err := besideOthers(ctx, func() error {
		return d.db.Query("INSERT INTO "+keyspace+".schema_change (name, digest, applied) VALUES (?, ?, ?)", c.Name, c.Digest, now).
			WithContext(ctx).WithTimestamp(now.UnixMicro()).Consistency(d.level.code()).Exec()
	}, gocql.ErrCodeServer)
	if err != nil {
		return d.failure("record", err)
	}
	return nil
}

const (
	patience         = 5 // tries
	patienceInterval = 500 * time.Millisecond
)

// besideOthers tries again what failed with one of these codes, which may be due to
// somebody who changes the schema at the same time: a node shows a keyspace in its
// tables a moment before it can be used, the others hear of a table later, and of two
// tables that were made at once one is dropped while it is read, which Cassandra
// calls an error of its own.
func besideOthers(ctx context.Context, try func() error, codes ...int) error {
	for tries := 1; ; tries++ {
		err := try()
		if err == nil || !slices.Contains(codes, codeOf(err)) || tries == patience {
			return err
		}
		select {
		case <-time.After(patienceInterval):
		case <-ctx.Done():
			return err
		}
	}
}

const (
	agreeInterval = 100 * time.Millisecond
	agreeLook     = 5 * time.Second // how long one look may take
)

// Agree waits until all nodes that the node knows of have the schema that it has.
// One that is down has the schema that it had.
func (d *definer) Agree(ctx context.Context) error {
	tick := time.NewTicker(agreeInterval)
	defer tick.Stop()
	var last error
	for {
		err := d.agreed(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // and not that the last look was cut short
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), last)
		}
	}
}

// agreed looks once.
func (d *definer) agreed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, agreeLook)
	defer cancel()
	const what = "read the versions of the schema"
	query := func(cql string) *gocql.Query { return d.db.Query(cql).WithContext(ctx).Consistency(gocql.One) }
	var own gocql.UUID
	if err := query("SELECT schema_version FROM system.local").Scan(&own); err != nil {
		return d.failure(what, err)
	}
	var behind several
	var address net.IP
	var datacenter string
	var id, version gocql.UUID
	peers := query("SELECT peer, data_center, host_id, schema_version FROM system.peers").Iter()
	for peers.Scan(&address, &datacenter, &id, &version) {
		// A row without an id is left of a node that went for good.
		if version != own && id != (gocql.UUID{}) {
			behind = append(behind, fmt.Errorf("%s of data centre %s has not taken over the schema of %s: it is down, or cannot be reached from there", address, datacenter, d.host))
		}
	}
	if err := peers.Close(); err != nil {
		return d.failure(what, err)
	}
	if behind != nil {
		return behind
	}
	return nil
}
