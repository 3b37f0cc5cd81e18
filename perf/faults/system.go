// Package faults gets a mail service of several data centres into trouble while clients
// deliver, fetch and delete, and has them write down what they saw. Package history judges
// that afterwards.
package faults

import (
	"context"
	"time"

	"restante/perf/scenario"
)

// A Node is one node of the database.
type Node struct{ Name, Datacenter string }

// A System is what gets into trouble. A call returns when what it says has come about.
// What runs already is started by doing nothing.
type System interface {
	Nodes() []Node
	Servers() []scenario.Target

	KillNode(ctx context.Context, name string) error // kill -9
	StopNode(ctx context.Context, name string) error // in order
	StartNode(ctx context.Context, name string) error
	FreezeNode(ctx context.Context, name string) error // SIGSTOP
	ThawNode(ctx context.Context, name string) error

	KillServer(ctx context.Context, name string) error
	StopServer(ctx context.Context, name string) error
	// StartServer starts a server whose clock is wrong by skew.
	StartServer(ctx context.Context, name string, skew time.Duration) error
	FreezeServer(ctx context.Context, name string) error
	ThawServer(ctx context.Context, name string) error

	CutLink(ctx context.Context) error
	MendLink(ctx context.Context) error

	// FillDisk leaves a node no room, EmptyDisk gives it back, and has the node run.
	FillDisk(ctx context.Context, node string) error
	EmptyDisk(ctx context.Context, node string) error

	// RebuildDatacenter starts the nodes of a data centre, which do not run, with nothing
	// on their disks, and has them fetch what the other data centres have.
	RebuildDatacenter(ctx context.Context, datacenter string) error
	// UpgradeSchema changes the tables while they are in use, as an upgrade does.
	UpgradeSchema(ctx context.Context) error

	// Healthy waits until everything runs and all see each other.
	Healthy(ctx context.Context) error
}

// datacenters are those that servers are in, in their order.
func datacenters(servers []scenario.Target) []string {
	var names []string
	known := map[string]bool{}
	for _, s := range servers {
		if !known[s.Datacenter] {
			known[s.Datacenter] = true
			names = append(names, s.Datacenter)
		}
	}
	return names
}

// in are the servers of a data centre.
func in(servers []scenario.Target, datacenter string) []scenario.Target {
	var all []scenario.Target
	for _, s := range servers {
		if s.Datacenter == datacenter {
			all = append(all, s)
		}
	}
	return all
}
