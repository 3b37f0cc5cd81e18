package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"restante/cassandra"
)

// cassandraConfig is what the command line starts from, and a data centre.
func cassandraConfig() CassandraConfig {
	return CassandraConfig{Hosts: []string{"127.0.0.1"}, Keyspace: "restante", Datacenter: "dc1", Acknowledge: "LOCAL_QUORUM"}
}

func TestCassandraSettingsThatCannotWorkAreNamed(t *testing.T) {
	for flag, change := range map[string]func(*CassandraConfig){
		"--cassandra-hosts":       func(c *CassandraConfig) { c.Hosts = nil },
		"--cassandra-datacenter":  func(c *CassandraConfig) { c.Datacenter = "" },
		"--cassandra-acknowledge": func(c *CassandraConfig) { c.Acknowledge = "ONE" },
		"--cassandra-cert":        func(c *CassandraConfig) { c.Cert = "cert.pem" },
		"--cassandra-password":    func(c *CassandraConfig) { c.Password = "secret" },
	} {
		c := testConfig(t)
		c.Store, c.Cassandra.CassandraConfig = cassandraStore, cassandraConfig()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c.Cassandra.CassandraConfig)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
		c.Store = embeddedStore
		if err := c.Validate(); err != nil {
			t.Errorf("%s stops the embedded store: %v", flag, err)
		}
	}
}

func TestCassandraOptions(t *testing.T) {
	c := cassandraConfig()
	c.Acknowledge, c.User, c.Password = "EACH_QUORUM", "restante", "secret"
	o, err := c.Options()
	if err != nil || o.Acknowledge != cassandra.EachQuorum || o.Username != "restante" || o.Password != "secret" || o.TLS != nil {
		t.Errorf("%+v, %v", o, err)
	}
	c.TLS = true
	if o, err = c.Options(); err != nil || o.TLS == nil || o.TLS.RootCAs != nil {
		t.Errorf("TLS %v, %v", o.TLS, err)
	}

	c.CA = filepath.Join(t.TempDir(), "ca.pem")
	if _, err := c.Options(); err == nil || !strings.HasPrefix(err.Error(), "--cassandra-ca") {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(c.CA, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Options(); err == nil || !strings.Contains(err.Error(), "no certificate in it") {
		t.Errorf("a file without a certificate: %v", err)
	}
	c.CA, c.Cert, c.Key = "", c.CA, c.CA
	if _, err := c.Options(); err == nil || !strings.HasPrefix(err.Error(), "--cassandra-cert") {
		t.Errorf("a key that is none: %v", err)
	}
}
