package main

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/gocql/gocql"

	"restante/mailbox"
)

// The statements of the store for a mail of one part to one recipient, and for
// fetching it.
const (
	insertContent = "INSERT INTO message (id, part, data, octets, parts, maildrops) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?"
	insertLine    = "INSERT INTO maildrop (maildrop, lane, ord, id, octets, recipients, expires) VALUES (?, ?, ?, ?, ?, ?, ?) USING TTL ?"
	selectLines   = "SELECT lane, ord, id, octets, recipients, expires FROM maildrop WHERE maildrop = ?"
	selectContent = "SELECT octets, parts, data FROM message WHERE id = ? AND part = 0"
)

// timeout bounds each statement: one that takes longer is an error to be told.
const timeout = 30 * time.Second

// cluster says where Cassandra is. The environment is that of the server.
type cluster struct {
	Hosts      []string `env:"RESTANTE_CASSANDRA_HOSTS" default:"127.0.0.1:9042" help:"Some nodes." placeholder:"HOST:PORT"`
	Keyspace   string   `env:"RESTANTE_CASSANDRA_KEYSPACE" default:"restante" help:"Keyspace of the mail."`
	Datacenter string   `env:"RESTANTE_CASSANDRA_DATACENTER" default:"dc1" help:"Data centre whose nodes are asked."`
}

func (c *cluster) config() (*gocql.ClusterConfig, error) {
	cfg := gocql.NewCluster(c.Hosts...)
	_, port, err := net.SplitHostPort(c.Hosts[0])
	if err == nil {
		cfg.Port, err = strconv.Atoi(port) // of the nodes that the driver discovers
	}
	if err != nil {
		return nil, fmt.Errorf("--hosts %s: %w", c.Hosts[0], err)
	}
	cfg.ProtoVersion = 4
	cfg.Consistency = gocql.LocalQuorum
	cfg.Timeout, cfg.ConnectTimeout, cfg.WriteTimeout = timeout, timeout, timeout
	cfg.DefaultTimestamp = false // each write has its own
	return cfg, nil
}

// open connects to the nodes of the data centre.
func (c *cluster) open() (*gocql.Session, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	cfg.Keyspace = c.Keyspace
	cfg.HostFilter = gocql.DataCentreHostFilter(c.Datacenter)
	cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.DCAwareRoundRobinPolicy(c.Datacenter))
	s, err := cfg.CreateSession()
	if err != nil {
		return nil, fmt.Errorf("connect to %v, keyspace %s: %w", c.Hosts, c.Keyspace, err)
	}
	return s, nil
}

// alone connects to the first host only, with no keyspace.
func (c *cluster) alone() (*gocql.Session, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	cfg.Hosts, cfg.NumConns, cfg.DisableInitialHostLookup = c.Hosts[:1], 1, true
	s, err := cfg.CreateSession()
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.Hosts[0], err)
	}
	return s, nil
}

// maildropOf is the maildrop that a server has for an address in its first life.
func maildropOf(address string) (gocql.UUID, error) {
	a, err := mailbox.ParseAddress(address)
	return gocql.UUID(mailbox.MaildropOf(a, 1)), err
}

// A line of a maildrop.
type line struct {
	id     gocql.UUID
	octets int64
}

// lines reads a maildrop. A page of zero rows stands for one page of all.
func lines(q *gocql.Query, page int) ([]line, error) {
	rows := q.PageSize(cmp.Or(page, 1<<20)).Iter()
	found := make([]line, 0, rows.NumRows())
	var lane gocql.UUID
	var ord, recipients int
	var expires time.Time
	for l := (line{}); rows.Scan(&lane, &ord, &l.id, &l.octets, &recipients, &expires); {
		if ord >= 0 { // else it is what the lane knows of the dead
			found = append(found, l)
		}
	}
	return found, rows.Close()
}
