package schema

import (
	"strings"
	"testing"
)

func TestAReplicationIsReadAndWritten(t *testing.T) {
	for text, want := range map[string]string{
		"dc1:3":               "dc1:3",
		"dc2:3, dc1 : 1":      "dc1:1,dc2:3",
		"eu-west_1.b:5":       "eu-west_1.b:5",
		"DC1:3,dc1:3":         "DC1:3,dc1:3", // Cassandra's names are exact
		"datacenter1:3,b:10 ": "b:10,datacenter1:3",
	} {
		if got, err := ParseReplication(text); err != nil || got.String() != want {
			t.Errorf("%q: got %s (%v), want %s", text, got, err, want)
		}
	}
}

func TestAReplicationThatCannotBeIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                     `"" is not DATACENTER:REPLICAS`,
		"3":                    `"3" is not DATACENTER:REPLICAS`,
		"dc1":                  `"dc1" is not DATACENTER:REPLICAS`,
		"dc1:":                 `"dc1:" is not DATACENTER:REPLICAS`,
		":3":                   `":3" is not DATACENTER:REPLICAS`,
		"dc1:3,":               `"" is not DATACENTER:REPLICAS`,
		"dc1=3":                `"dc1=3" is not DATACENTER:REPLICAS`,
		"d'c:3":                `"d'c:3" is not DATACENTER:REPLICAS`,
		"dc1:0":                "dc1:0: the number of replicas is 1 or more",
		"dc1:-1":               "dc1:-1: the number of replicas is 1 or more",
		"dc1:three":            "dc1:three: the number of replicas is 1 or more",
		"dc1:3/1":              "dc1:3/1: the number of replicas is 1 or more",
		"dc1:3:3":              "dc1:3:3: the number of replicas is 1 or more",
		"dc1:3,dc2:3,dc1:3":    "data centre dc1 twice",
		"replication_factor:3": "replication_factor is an option of Cassandra's",
		"class:1":              "class is an option of Cassandra's",
	} {
		var r Replication
		if err := r.UnmarshalText([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %s, %v, want %s", text, r, err, want)
		}
	}
}

func TestTheReplicationOfAKeyspaceIsComparedWithTheWantedOne(t *testing.T) {
	const topology = "org.apache.cassandra.locator.NetworkTopologyStrategy"
	want := Replication{"dc1": 3, "dc2": 3}
	for _, c := range []struct {
		options map[string]string
		is      string // empty: the wanted one
	}{
		{map[string]string{"class": topology, "dc1": "3", "dc2": "3"}, ""},
		{map[string]string{"class": "NetworkTopologyStrategy", "dc1": "3", "dc2": "3"}, ""},
		{map[string]string{"class": topology, "dc1": "3", "dc2": "3", "dc3": "0"}, ""},
		{map[string]string{"class": topology, "dc1": "3"}, "dc1:3"},
		{map[string]string{"class": topology, "dc1": "3", "dc2": "2"}, "dc1:3,dc2:2"},
		{map[string]string{"class": topology, "dc1": "3", "dc2": "3", "dc3": "1"}, "dc1:3,dc2:3,dc3:1"},
		{map[string]string{"class": topology, "dc1": "3/1", "dc2": "3"}, "dc1:3/1"},
		{map[string]string{"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "3"}, "SimpleStrategy"},
	} {
		if got := want.differs(c.options); got != c.is {
			t.Errorf("%v: got %q, want %q", c.options, got, c.is)
		}
	}
}
