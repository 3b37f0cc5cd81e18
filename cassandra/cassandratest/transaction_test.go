package cassandratest_test

import (
	"os"
	"strings"
	"testing"

	"restante/cassandra/cassandratest"
)

// The tests that have to fail are this one in other processes: one with a cluster of
// its own, on which nobody else is to find the traces, and one that is given its host.
func TestALightweightTransactionFailsTheTests(t *testing.T) {
	const role, caught = "RESTANTE_TEST_TRANSACTION", "the tests on a given host have failed"
	switch os.Getenv(role) {
	case "":
		text, ok := output(t, another(t, t.Name(), role+"=cluster"))
		if ok || !strings.Contains(text, caught) || !strings.Contains(text, "a lightweight transaction was made: on tables") {
			t.Errorf("the other process passed: %t:\n%s", ok, text)
		}
	case "cluster":
		c := cassandratest.StartDatacenters(t, 1, 1)
		text, ok := output(t, another(t, t.Name(), role+"=host", "RESTANTE_CASSANDRA_HOSTS="+c.Hosts()[0]))
		if !ok && strings.Contains(text, "--- PASS: "+t.Name()) && strings.Contains(text, "a lightweight transaction was made: on restante_test_") {
			t.Log(caught)
		} else {
			t.Logf("the process on a given host passed: %t:\n%s", ok, text)
		}
	case "host":
		c := cassandratest.Start(t)
		keyspace := c.PackageKeyspace(t, func(keyspace string) error {
			createLetters(t, c.Session(t, c.Datacenters()[0], keyspace))
			return nil
		})
		s := c.Session(t, c.Datacenters()[0], keyspace)
		if applied, err := s.Query("INSERT INTO letters (id) VALUES (1) IF NOT EXISTS").MapScanCAS(map[string]any{}); err != nil || !applied {
			t.Errorf("applied: %t, %v", applied, err)
		}
	}
}
