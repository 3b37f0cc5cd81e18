package keeper

import "restante/cassandra/cassandratest/internal/jvm"

// An order is what the first process hands to the keeper it starts, in an
// environment variable.
type order struct {
	Layout
	Dir   string // for everything the cluster writes; removed at the end
	Cache string // for what outlives clusters: the jars
	// Shared keepers let other processes in at Dir/socket, and may use a
	// container.
	Shared bool
}

// A Layout says what a cluster looks like.
type Layout struct {
	Datacenters int
	Nodes       int      // of each data centre
	Settings    []string // lines for cassandra.yaml, beside the usual ones
	JMX         bool     // lets nodetool in, see [jvm.Layout]
	// Where the nodes run, see [jvm.Layout].
	Network string              `json:",omitempty"`
	Enter   map[string][]string `json:",omitempty"`
}

// A Cluster describes what a keeper keeps.
type Cluster struct {
	Nodes []Node
	Dir   string // the logs are in Dir/logs
}

// A Node is one node of a cluster.
type Node struct {
	Name       string
	Datacenter string
	Address    string // host:port for CQL
	Dir        string `json:",omitempty"` // data and configuration
}

// A greeting is the first thing a keeper says to a lease: the cluster, or why
// there is none.
type greeting struct {
	Cluster *Cluster `json:",omitempty"`
	Error   string   `json:",omitempty"`
	Absent  bool     `json:",omitempty"` // the machine has nothing to run Cassandra with
}

// A request is an operation on one node.
type request struct {
	Op      jvm.Op
	Node    string
	Command []string `json:",omitempty"` // of nodetool, or options for the Java process to start
}

// Operations that name no node.
const (
	keepLogs jvm.Op = "keep" // the logs outlive the cluster
	ping     jvm.Op = "ping" // nothing
)

// nodetool runs a command on a node.
const nodetool jvm.Op = "nodetool"

// A reply is the answer to a request. Error is empty when it was carried out.
type reply struct {
	Error      string `json:",omitempty"`
	NotRunning bool   `json:",omitempty"` // Error is or wraps jvm.ErrNotRunning
	Output     string `json:",omitempty"` // of nodetool
}
