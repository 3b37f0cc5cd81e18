package schema

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A Cluster is what [Apply] needs of Cassandra. Its methods obey the deadline of
// their context. Names of keyspaces were checked.
type Cluster interface {
	// Keyspace is the replication options of a keyspace, or nil where there is
	// no such keyspace.
	Keyspace(ctx context.Context, name string) (options map[string]string, err error)

	// Define carries out a statement that changes the schema. When it fails, the
	// statement may have been carried out.
	Define(ctx context.Context, statement string) error

	// Agree returns once every node of the cluster has the schema of the node
	// that carries out the statements.
	Agree(ctx context.Context) error

	// Applied is what Record wrote in a keyspace that exists: digests by the names
	// of changes. It is empty where there is no table for it.
	Applied(ctx context.Context, keyspace string) (map[string]string, error)

	// Record writes that a change was applied, for all data centres to see.
	Record(ctx context.Context, keyspace string, c Change) error
}

const (
	// How long one statement may take. A node that creates a table waits for its
	// disk and for what it is told by others; loaded ones take seconds.
	statementTimeout = 30 * time.Second
	// How long the nodes may take to agree. They gossip every second, and pull a
	// schema they missed after a minute at the latest.
	agreeTimeout = 90 * time.Second
)

// Apply brings a keyspace to the state that the changes describe. It makes the
// keyspace where there is none; one that exists with another replication it leaves
// alone, and fails with a [*ReplicationError]. A nil Replication stands for that of
// the keyspace; where there is none it fails with [ErrNoReplication]. done is called after each change, with
// whether this call applied it.
//
// Apply may be repeated, also after it failed, and run several times at once. All
// nodes have to be up.
func Apply(ctx context.Context, cluster Cluster, keyspace string, r Replication, done func(c Change, now bool)) error {
	if err := CheckKeyspace(keyspace); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	a := applier{cluster, keyspace}
	// A node that has not heard of what others did would not know a table that is
	// there; and where not even now all agree, they would not later.
	if err := a.agree(ctx); err != nil {
		return fmt.Errorf("schema: keyspace %s: %w", keyspace, err)
	}
	if err := a.keyspaceExists(ctx, r); err != nil {
		return fmt.Errorf("schema: keyspace %s: %w", keyspace, err)
	}
	applied, err := a.applied(ctx)
	if err != nil {
		return fmt.Errorf("schema: keyspace %s: %w", keyspace, err)
	}
	// Said before anything is done: what follows may build on the change.
	for _, c := range Changes() {
		if digest, ok := applied[c.Name]; ok && digest != c.Digest {
			return &ChangedError{Keyspace: keyspace, Change: c.Name}
		}
	}
	for _, c := range Changes() {
		_, before := applied[c.Name]
		if !before {
			if err := a.apply(ctx, c); err != nil {
				return fmt.Errorf("schema: keyspace %s: apply %s: %w", keyspace, c.Name, err)
			}
		}
		done(c, !before)
	}
	return nil
}

// An applier gives each step its time.
type applier struct {
	cluster  Cluster
	keyspace string
}

// keyspaceExists makes the keyspace if need be.
func (a applier) keyspaceExists(ctx context.Context, r Replication) error {
	options, err := a.options(ctx)
	if err != nil {
		return err
	}
	if options == nil {
		if err := r.check(); err != nil {
			return err
		}
		if err := a.define(ctx, createKeyspace(a.keyspace, r)); err != nil {
			return err
		}
		// Somebody else may have made it just before, and another.
		if options, err = a.options(ctx); err != nil {
			return err
		}
	}
	if r == nil {
		return nil
	}
	if is := r.differs(options); is != "" {
		return &ReplicationError{Keyspace: a.keyspace, Is: is, Want: r}
	}
	return nil
}

func (a applier) options(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return a.cluster.Keyspace(ctx, a.keyspace)
}

func (a applier) applied(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return a.cluster.Applied(ctx, a.keyspace)
}

func (a applier) apply(ctx context.Context, c Change) error {
	for _, s := range c.statements {
		if err := a.define(ctx, s.in(a.keyspace)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return a.cluster.Record(ctx, a.keyspace, c)
}

// define carries out a statement and waits until all nodes know of it.
func (a applier) define(ctx context.Context, statement string) error {
	if err := a.carryOut(ctx, statement); err != nil {
		return err
	}
	return a.agree(ctx)
}

func (a applier) carryOut(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return a.cluster.Define(ctx, statement)
}

func (a applier) agree(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, agreeTimeout)
	defer cancel()
	return a.cluster.Agree(ctx)
}

// Check fails with a [*MissingError] where changes were not applied to a keyspace:
// applied is what was (see [Cluster]). Changes of a later version do not matter.
func Check(keyspace string, applied map[string]string) error {
	var missing []string
	for _, c := range Changes() {
		switch digest, ok := applied[c.Name]; {
		case !ok:
			missing = append(missing, c.Name)
		case digest != c.Digest:
			return &ChangedError{Keyspace: keyspace, Change: c.Name}
		}
	}
	if missing != nil {
		return &MissingError{Keyspace: keyspace, Changes: missing}
	}
	return nil
}

// A MissingError says that a keyspace lacks changes.
type MissingError struct {
	Keyspace   string
	Changes    []string // nil: there is no such keyspace
	Datacenter string   // the one that lacks them while all together do not; else empty
}

func (e *MissingError) Error() string {
	switch {
	case e.Changes == nil:
		return fmt.Sprintf("schema: keyspace %s does not exist: run restante schema apply", e.Keyspace)
	case e.Datacenter != "":
		return fmt.Sprintf("schema: data centre %s does not have what is in keyspace %s: run nodetool rebuild on its nodes", e.Datacenter, e.Keyspace)
	}
	return fmt.Sprintf("schema: keyspace %s lacks %s: run restante schema apply", e.Keyspace, strings.Join(e.Changes, ", "))
}

// A ChangedError says that the file of a change is not what was applied.
type ChangedError struct {
	Keyspace string
	Change   string
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("schema: %s was changed after it was applied to keyspace %s: this program does not fit the keyspace", e.Change, e.Keyspace)
}

// A ReplicationError says that a keyspace is replicated in another way than was
// asked for. To change that takes more than a statement, so it is left to the
// operator.
type ReplicationError struct {
	Keyspace string
	Is       string
	Want     Replication
}

func (e *ReplicationError) Error() string {
	return fmt.Sprintf("schema: keyspace %s is replicated as %s and not as %s; to change that, run\n  %s;\nin cqlsh, and then nodetool rebuild on the nodes of a data centre that is new, or else nodetool repair -full %s on every node",
		e.Keyspace, e.Is, e.Want, alterKeyspace(e.Keyspace, e.Want), e.Keyspace)
}
