package cassandratest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"restante/cassandra/cassandratest/internal/jvm"
)

// The environment that this package reads.
const (
	hostsVariable   = "RESTANTE_CASSANDRA_HOSTS"
	requireVariable = "RESTANTE_REQUIRE_CASSANDRA"
)

// given is the hosts that the environment names.
func given() ([]string, error) {
	text := os.Getenv(hostsVariable)
	if text == "" {
		return nil, nil
	}
	hosts := strings.Split(text, ",")
	for i, h := range hosts {
		hosts[i] = strings.TrimSpace(h)
		if _, _, err := net.SplitHostPort(hosts[i]); err != nil {
			return nil, fmt.Errorf("%s: want host:port,…: %w", hostsVariable, err)
		}
	}
	return hosts, nil
}

// unavailable ends a test that got no cluster. Only a machine that has nothing to
// run Cassandra with is excused, and only where nobody insists.
func unavailable(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, jvm.ErrAbsent) {
		t.Fatalf("start Cassandra: %v", err)
	}
	way := fmt.Sprintf("needs Cassandra: set %s=host:port, run a Docker engine, or install Java 17 and Maven (%v)", hostsVariable, err)
	if os.Getenv(requireVariable) == "1" {
		t.Fatalf("%s; %s=1 forbids to skip", way, requireVariable)
	}
	t.Skip(way)
}
