package schema

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Replication says how many replicas of a row each data centre has.
type Replication map[string]int

// datacenterName is what snitches give. No name needs quotes to be told from the
// rest of a Replication, nor from the rest of a statement.
var datacenterName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// ParseReplication reads a Replication as String writes it: dc1:3,dc2:3.
func ParseReplication(text string) (Replication, error) {
	r := Replication{}
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(part, ":")
		name, number = strings.TrimSpace(name), strings.TrimSpace(number)
		if !datacenterName.MatchString(name) || number == "" {
			return nil, fmt.Errorf("%q is not DATACENTER:REPLICAS, such as dc1:3", strings.TrimSpace(part))
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%s:%s: the number of replicas is 1 or more, and 3 where mail may not be lost", name, number)
		}
		if _, twice := r[name]; twice {
			return nil, fmt.Errorf("data centre %s twice", name)
		}
		if name == "class" || name == replicationFactor {
			return nil, fmt.Errorf("%s is an option of Cassandra's, not a data centre", name)
		}
		r[name] = n
	}
	return r, nil
}

// UnmarshalText is ParseReplication.
func (r *Replication) UnmarshalText(text []byte) (err error) {
	*r, err = ParseReplication(string(text))
	return err
}

// String is the replication with the data centres in order.
func (r Replication) String() string {
	parts := make([]string, 0, len(r))
	for _, name := range slices.Sorted(maps.Keys(r)) {
		parts = append(parts, fmt.Sprintf("%s:%d", name, r[name]))
	}
	return strings.Join(parts, ",")
}

// ErrNoReplication says that a keyspace cannot be made without a Replication.
var ErrNoReplication = errors.New("no replication: say how many replicas each data centre has, such as dc1:3,dc2:3")

func (r Replication) check() error {
	if len(r) == 0 {
		return ErrNoReplication
	}
	return nil
}

const (
	networkTopology   = "NetworkTopologyStrategy"
	replicationFactor = "replication_factor"
)

// cql is the replication as the option of a keyspace.
func (r Replication) cql() string {
	var b strings.Builder
	fmt.Fprintf(&b, "{'class': '%s'", networkTopology)
	for _, name := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(&b, ", '%s': %d", name, r[name])
	}
	b.WriteString("}")
	return b.String()
}

func createKeyspace(keyspace string, r Replication) string {
	return fmt.Sprintf("CREATE KEYSPACE IF NOT EXISTS %s WITH replication = %s", keyspace, r.cql())
}

func alterKeyspace(keyspace string, r Replication) string {
	return fmt.Sprintf("ALTER KEYSPACE %s WITH replication = %s", keyspace, r.cql())
}

// differs says how the options of a keyspace that exists are other than r, if they
// are.
func (r Replication) differs(options map[string]string) string {
	class := options["class"]
	class = class[strings.LastIndexByte(class, '.')+1:]
	if class != networkTopology {
		return class
	}
	existing := Replication{}
	for name, number := range options {
		if name == "class" {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			return fmt.Sprintf("%s:%s", name, number) // transient replicas: 3/1
		}
		if n > 0 {
			existing[name] = n
		}
	}
	if !maps.Equal(existing, r) {
		return existing.String()
	}
	return ""
}
