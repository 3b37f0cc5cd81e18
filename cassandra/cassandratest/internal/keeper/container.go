package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	dockercontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"

	"restante/cassandra/cassandratest/internal/jvm"
)

const (
	image = "cassandra:5.0"
	// The one data centre of a container, named as those of Java processes are.
	containerDatacenter = "dc1"
	// How long the image may take to be pulled and the container to run, and how
	// long the node in it may take to answer.
	pullTimeout = 3 * time.Minute
	nodeTimeout = 2 * time.Minute
	// How long the engine may take to remove a container.
	removeTimeout = 30 * time.Second
)

// container is a cluster of one node in a container.
type container struct {
	docker  *testcontainers.DockerContainer // nil when it was not even made
	log     *os.File
	address string
}

// startContainer runs Cassandra in a container. The error wraps jvm.ErrAbsent
// where no Docker engine answers.
func startContainer(ctx context.Context, o order) (backend, error) {
	pull, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	host, err := engineHost(pull)
	if err != nil {
		slog.Info("no Docker engine answers", "err", err)
		return nil, fmt.Errorf("a Docker engine: %w", jvm.ErrAbsent)
	}
	// A driver goes to the address and port that the node announces, so these
	// are the same outside the container as inside.
	port, err := jvm.FreePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	exposed, err := network.ParsePort(fmt.Sprintf("%d/tcp", port))
	if err != nil {
		return nil, err
	}
	bindings := network.PortMap{exposed: {{HostPort: strconv.Itoa(port)}}}
	if host.IsLoopback() {
		bindings[exposed][0].HostIP = host // a node without passwords is nothing for the network
	}
	log, err := os.Create(filepath.Join(filepath.Dir(logPath(o.Dir)), "container.log"))
	if err != nil {
		return nil, err
	}
	c, err := testcontainers.Run(pull, image,
		testcontainers.WithLogConsumers(logFile{log}),
		testcontainers.WithExposedPorts(exposed.String()),
		testcontainers.WithHostConfigModifier(func(c *dockercontainer.HostConfig) { c.PortBindings = bindings }),
		testcontainers.WithEnv(map[string]string{
			"CASSANDRA_DC":                    containerDatacenter,
			"CASSANDRA_RACK":                  "r1",
			"CASSANDRA_ENDPOINT_SNITCH":       "GossipingPropertyFileSnitch",
			"CASSANDRA_BROADCAST_RPC_ADDRESS": host.String(),
			"MAX_HEAP_SIZE":                   "512M",
			"HEAP_NEWSIZE":                    "128M",
			"JVM_EXTRA_OPTS": fmt.Sprintf("-Dcassandra.native_transport_port=%d "+
				"-Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=2000", port),
		}))
	b := container{c, log, net.JoinHostPort(host.String(), strconv.Itoa(port))}
	if err == nil {
		answer, cancel := context.WithTimeout(ctx, nodeTimeout)
		defer cancel()
		err = jvm.AwaitCQL(answer, b.address, nil)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("run %s: %w", image, err), b.close())
	}
	return b, nil
}

// engineHost is the address at which ports of containers are reached.
func engineHost(ctx context.Context) (netip.Addr, error) {
	p, err := testcontainers.NewDockerProvider()
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = p.Close() }()
	name, err := p.DaemonHost(ctx)
	if err != nil {
		return netip.Addr{}, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", name)
	if err != nil {
		return netip.Addr{}, err
	}
	return ips[0].Unmap(), nil
}

func (c container) nodes() []Node {
	return []Node{{Name: containerDatacenter + "-1", Datacenter: containerDatacenter, Address: c.address}}
}

func (c container) do(context.Context, jvm.Op, string, ...string) error {
	return errors.New("nodes in containers are left alone")
}

func (c container) nodetool(context.Context, string, ...string) (string, error) {
	return "", errors.New("nodes in containers are left alone")
}

func (c container) ended() <-chan struct{} { return nil }

func (c container) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	return errors.Join(testcontainers.TerminateContainer(c.docker, testcontainers.StopContext(ctx)), c.log.Close())
}

// logFile receives what a container says.
type logFile struct{ *os.File }

// Accept writes one piece; what cannot be written is lost.
func (f logFile) Accept(l testcontainers.Log) { _, _ = f.Write(l.Content) }
