package rig

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"restante/perf/peer"
	"restante/perf/report"
)

// A Service is a server with its HTTP interface that a program starts for itself, as
// its flags say.
type Service struct {
	Store  string   `default:"embedded" enum:"embedded,cassandra" help:"Where the server keeps mail: embedded or cassandra."`
	Layout Layout   `default:"1x1" help:"Cassandra's cluster, data centres x nodes."`
	Binary string   `help:"A built restante, instead of building it." type:"existingfile"`
	Temp   string   `help:"Directory for the server's data (default: the system's)." type:"path"`
	Serve  []string `help:"More flags of the server, such as --serve=--node=7." placeholder:"FLAG"`

	Warm *time.Duration `help:"How long the first load is put on before it counts. Default: 1m on Cassandra, otherwise 0s." placeholder:"DURATION"`
}

// javaWarm is how long Java needs until it has compiled most of what it runs.
const javaWarm = time.Minute

// WarmUp is how long the server is under load before the first figure.
func (s Service) WarmUp() time.Duration {
	switch {
	case s.Warm != nil:
		return *s.Warm
	case s.Store == "cassandra":
		return javaWarm
	}
	return 0
}

// Run starts the server with these flags too, for work, in a directory that is gone
// afterwards.
func (s Service) Run(ctx context.Context, flags []string, work func(*peer.Server) error) (err error) {
	dir, err := peer.TempDir(s.Temp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	settings, stop, err := s.prepare(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	settings.HTTP = true
	settings.Flags = append(append(settings.Flags, flags...), s.Serve...)
	kind, err := peer.Find(report.Ours)
	if err != nil {
		return err
	}
	server, err := kind.Start(ctx, settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return work(server)
}

// prepare builds what it takes, and the cluster where there is to be one.
func (s Service) prepare(ctx context.Context, dir string) (peer.Settings, func() error, error) {
	nothing := func() error { return nil }
	if s.Store == "cassandra" {
		b, err := Build(ctx, dir, s.Binary)
		if err != nil {
			return peer.Settings{}, nil, err
		}
		r, err := Start(ctx, b, dir, s.Layout)
		if err != nil {
			return peer.Settings{}, nil, err
		}
		return r.Settings("server", r.Datacenters()[0], 0), r.Close, nil
	}
	settings := peer.Settings{Dir: filepath.Join(dir, "server"), Binary: s.Binary}
	var err error
	if settings.Binary == "" {
		settings.Binary, err = peer.Build(ctx, dir)
	}
	return settings, nothing, err
}
