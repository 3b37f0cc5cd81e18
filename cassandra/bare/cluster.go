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

// The statements of the store for a mail of one part to one recipient, and for fetching
// it: a short one is written whole in one batch on one partition.
const (
	insertShort = "INSERT INTO maildrop_content (maildrop, lane, ord, id, octets, data) VALUES (?, ?, ?, ?, ?, ?)"
	insertLine  = "INSERT INTO maildrop (maildrop, lane, ord, id, octets, recipients) VALUES (?, ?, ?, ?, ?, ?)"
	selectLines = "SELECT lane, ord, id, octets, recipients, expires FROM maildrop WHERE maildrop = ?"
	selectShort = "SELECT data FROM maildrop_content WHERE maildrop = ? AND lane = ? AND ord = ?"

	insertContent = "INSERT INTO message (id, part, data, octets, parts, maildrops) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?"
	selectContent = "SELECT octets, parts, data FROM message WHERE id = ? AND part = 0"
)

// withContent stands in a line for the number of recipients, where maildrop_content has
// the content.
const withContent = -1

// maxShort is how many octets a short mail has.
const maxShort = 16 << 10

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
	cfg.WriteCoalesceWaitTime = 0 // no statement waits for another
	cfg.DefaultTimestamp = false  // each write has its own
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

	maildrop, lane gocql.UUID
	ord            int
	short          bool // the content is at that place
}

// lines reads a maildrop. A page of zero rows stands for one page of all.
func lines(q *gocql.Query, maildrop gocql.UUID, page int) ([]line, error) {
	rows := q.PageSize(cmp.Or(page, 1<<20)).Iter()
	found := make([]line, 0, rows.NumRows())
	var recipients int
	var expires time.Time
	for l := (line{maildrop: maildrop}); rows.Scan(&l.lane, &l.ord, &l.id, &l.octets, &recipients, &expires); {
		l.short = recipients == withContent
		if l.ord >= 0 { // else it is what the lane knows of the dead
			found = append(found, l)
		}
	}
	return found, rows.Close()
}
