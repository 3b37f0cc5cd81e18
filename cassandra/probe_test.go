package cassandra

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"restante/cassandra/cassandratest"
	"restante/mailbox"
)

func TestADatacenterThatTheClusterHasNotIsRefused(t *testing.T) {
	c := cassandratest.Start(t)
	_, err := Open(t.Context(), optionsFor(c, "nowhere", "none"))
	if err == nil || !strings.Contains(err.Error(), "no data centre nowhere, but "+c.Datacenters()[0]) {
		t.Errorf("Open: %v", err)
	}
}

func TestTLSToANodeWithoutIsRefused(t *testing.T) {
	c := cassandratest.Start(t)
	o := optionsFor(c, c.Datacenters()[0], "none")
	o.TLS = &tls.Config{}
	if _, err := Open(t.Context(), o); !errors.Is(err, errHopeless) || !strings.Contains(err.Error(), "no TLS") {
		t.Errorf("Open: %v", err)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for want, o := range map[string]Options{
		"no hosts":       {Keyspace: "mail", Datacenter: "dc1"},
		"no keyspace":    {Hosts: []string{"127.0.0.1"}, Datacenter: "dc1"},
		"no data centre": {Hosts: []string{"127.0.0.1"}, Keyspace: "mail"},
		"not a port":     {Hosts: []string{"127.0.0.1:mail"}, Keyspace: "mail", Datacenter: "dc1"},
		"must be the same": {
			Hosts: []string{"127.0.0.1:9042", "127.0.0.2:9043"}, Keyspace: "mail", Datacenter: "dc1",
		},
	} {
		if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestAHostWithoutAPortHasTheUsualOne(t *testing.T) {
	for _, hosts := range [][]string{{"127.0.0.1"}, {"::1"}, {"node.example.org", "127.0.0.1:9042"}, {"[::1]:9042"}} {
		if port, err := (Options{Hosts: hosts}).port(); port != 9042 || err != nil {
			t.Errorf("%v: %d, %v", hosts, port, err)
		}
	}
}

func TestAStoreAwaitsItsKeyspace(t *testing.T) {
	c := cassandratest.Start(t)
	dc := c.Datacenters()[0]
	s := openStore(t, optionsFor(c, dc, "restante_none"))
	err := s.Ping(t.Context())
	if !errors.Is(err, mailbox.ErrUnavailable) || !strings.Contains(err.Error(), "keyspace restante_none does not exist") {
		t.Errorf("Ping: %v", err)
	}
	read := &statement{name: "letter read", cql: "SELECT id FROM letters"}
	_, err = s.session.read(t.Context(), read, LocalQuorum).one(nil)
	if !errors.Is(err, mailbox.ErrUnavailable) || !strings.HasPrefix(err.Error(), "letter read: ") {
		t.Errorf("read: %v", err)
	}
}
