// Package driver reaches the nodes of a test cluster: together, or one alone.
package driver

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/gocql/gocql"
)

// How long a statement may take on a machine that is busy with tests.
const statementTimeout = 20 * time.Second

// Config reaches hosts, all at one port, at LOCAL_QUORUM.
func Config(hosts []string, port int) *gocql.ClusterConfig {
	cfg := gocql.NewCluster(hosts...)
	cfg.Port = port // of the nodes the driver discovers
	cfg.ProtoVersion = 4
	cfg.Consistency = gocql.LocalQuorum
	cfg.Timeout = statementTimeout
	cfg.ConnectTimeout = statementTimeout
	cfg.Logger = silent{} // nodes go away in tests on purpose; errors are returned
	return cfg
}

type silent struct{}

func (silent) Print(...any)          {}
func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// Alone opens a session that knows one node, at host:port, and no other.
func Alone(host string) (*gocql.Session, error) {
	port, err := Port(host)
	if err != nil {
		return nil, err
	}
	cfg := Config([]string{host}, port)
	cfg.DisableInitialHostLookup = true
	cfg.NumConns = 1
	s, err := cfg.CreateSession()
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", host, err)
	}
	return s, nil
}

// Port is the port of host:port.
func Port(host string) (int, error) {
	_, text, err := net.SplitHostPort(host)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}
