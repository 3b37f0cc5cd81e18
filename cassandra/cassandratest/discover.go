package cassandratest

import (
	"fmt"

	"restante/cassandra/cassandratest/internal/driver"
	"restante/cassandra/cassandratest/internal/keeper"
)

// leased is a cluster that a keeper describes.
func leased(l *keeper.Lease) (*Cluster, error) {
	c := &Cluster{lease: l, datacenters: make(map[string]int)}
	for _, n := range l.Cluster.Nodes {
		c.hosts = append(c.hosts, n.Address)
		c.datacenters[n.Datacenter]++
	}
	var err error
	c.port, err = driver.Port(c.hosts[0])
	return c, err
}

// discover is a cluster that tells about itself.
func discover(hosts []string) (*Cluster, error) {
	c := &Cluster{hosts: hosts, datacenters: make(map[string]int)}
	var err error
	if c.port, err = driver.Port(hosts[0]); err != nil {
		return nil, err
	}
	s, err := driver.Alone(hosts[0])
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for _, table := range []string{"system.local", "system.peers"} {
		rows := s.Query("SELECT data_center FROM " + table).Iter()
		for name := ""; rows.Scan(&name); {
			c.datacenters[name]++
		}
		if err := rows.Close(); err != nil {
			return nil, fmt.Errorf("read %s: %w", table, err)
		}
	}
	return c, nil
}
