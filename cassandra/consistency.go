package cassandra

import (
	"errors"
	"fmt"

	"github.com/gocql/gocql"
)

// A Consistency is how many replicas take part in a statement, in Cassandra's
// words. The zero value is LocalQuorum.
type Consistency uint8

const (
	// LocalQuorum is a majority in the data centre of the store.
	LocalQuorum Consistency = iota
	// EachQuorum is a majority in every data centre.
	EachQuorum

	localOne     // any one replica in the data centre of the store
	everyReplica // all of them, in all data centres
)

var consistencies = [...]gocql.Consistency{
	LocalQuorum:  gocql.LocalQuorum,
	EachQuorum:   gocql.EachQuorum,
	localOne:     gocql.LocalOne,
	everyReplica: gocql.All,
}

func (c Consistency) code() gocql.Consistency { return consistencies[c] }

// far reports whether nodes of other data centres have to answer, if there are any.
func (c Consistency) far() bool { return c == EachQuorum || c == everyReplica }

// String is the name that Cassandra uses.
func (c Consistency) String() string { return c.code().String() }

// UnmarshalText reads LOCAL_QUORUM or EACH_QUORUM. It refuses QUORUM: a majority of the
// replicas of all data centres together may have only one here, which the next login, at
// LOCAL_QUORUM, does not have to ask.
func (c *Consistency) UnmarshalText(text []byte) error {
	for _, known := range []Consistency{LocalQuorum, EachQuorum} {
		if known.String() == string(text) {
			*c = known
			return nil
		}
	}
	if string(text) == gocql.Quorum.String() {
		return errors.New("QUORUM may be one replica here, and a login would not see what was acknowledged: LOCAL_QUORUM or EACH_QUORUM is needed")
	}
	return fmt.Errorf("%q is neither LOCAL_QUORUM nor EACH_QUORUM", text)
}
