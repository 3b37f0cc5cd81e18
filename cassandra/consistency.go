package cassandra

import (
	"fmt"

	"github.com/gocql/gocql"
)

// A Consistency is how many replicas take part in a statement, in Cassandra's
// words. The zero value is LocalQuorum.
type Consistency uint8

const (
	// LocalQuorum is a majority in the data centre of the store.
	LocalQuorum Consistency = iota
	// Quorum is a majority of the replicas of all data centres together.
	Quorum
	// EachQuorum is a majority in every data centre.
	EachQuorum

	localOne     // any one replica in the data centre of the store
	everyReplica // all of them, in all data centres
)

var consistencies = [...]gocql.Consistency{
	LocalQuorum:  gocql.LocalQuorum,
	Quorum:       gocql.Quorum,
	EachQuorum:   gocql.EachQuorum,
	localOne:     gocql.LocalOne,
	everyReplica: gocql.All,
}

func (c Consistency) code() gocql.Consistency { return consistencies[c] }

// String is the name that Cassandra uses.
func (c Consistency) String() string { return c.code().String() }

// UnmarshalText reads LOCAL_QUORUM, QUORUM or EACH_QUORUM.
func (c *Consistency) UnmarshalText(text []byte) error {
	for _, known := range []Consistency{LocalQuorum, Quorum, EachQuorum} {
		if known.String() == string(text) {
			*c = known
			return nil
		}
	}
	return fmt.Errorf("%q is none of LOCAL_QUORUM, QUORUM, EACH_QUORUM", text)
}
