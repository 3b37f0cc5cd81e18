package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"restante/cassandra"
	"restante/mailbox"
	"restante/schema"
)

// CassandraConfig is where a cluster is and how it is used: by the server, and by
// the commands that work on the tables.
type CassandraConfig struct {
	Hosts       []string `default:"127.0.0.1" placeholder:"HOST[:PORT]" help:"Some nodes of the local data centre; the others are found through them. Repeatable."`
	Keyspace    string   `default:"restante" placeholder:"NAME" help:"Keyspace of the mail."`
	Datacenter  string   `placeholder:"NAME" help:"The local data centre: only its nodes are asked. Needed."`
	Acknowledge string   `default:"LOCAL_QUORUM" placeholder:"LEVEL" help:"Who has a message before it is acknowledged: LOCAL_QUORUM, a majority of the local replicas; or EACH_QUORUM, one in every data centre."`

	User     string `placeholder:"NAME" help:"User of the cluster, where it asks for one."`
	Password string `placeholder:"PASSWORD" help:"Password of the user. Better in the environment or the configuration file: others on the machine see the command line."`
	TLS      bool   `name:"tls" help:"Connect under TLS; --cassandra-ca and --cassandra-cert mean it too."`
	CA       string `name:"ca" type:"path" placeholder:"FILE" help:"Certificates (PEM) that sign those of the nodes. Default: the system's."`
	Cert     string `type:"path" placeholder:"FILE" help:"Certificate (PEM) to show to the nodes."`
	Key      string `type:"path" placeholder:"FILE" help:"Key of the certificate (PEM)."`
}

// Check reports the first setting that cannot work. It is not called Validate, which
// the command line calls, whatever the store is.
func (c *CassandraConfig) Check() error {
	if len(c.Hosts) == 0 {
		return errors.New("--cassandra-hosts: at least one is needed")
	}
	if c.Datacenter == "" {
		return errors.New("--cassandra-datacenter: the name of the local data centre is needed")
	}
	var level cassandra.Consistency
	if err := level.UnmarshalText([]byte(c.Acknowledge)); err != nil {
		return fmt.Errorf("--cassandra-acknowledge: %w", err)
	}
	if (c.Cert == "") != (c.Key == "") {
		return errors.New("--cassandra-cert and --cassandra-key go together")
	}
	if c.User == "" && c.Password != "" {
		return errors.New("--cassandra-password needs --cassandra-user")
	}
	return nil
}

// Options are the settings as package cassandra takes them.
func (c *CassandraConfig) Options() (cassandra.Options, error) {
	o := cassandra.Options{
		Hosts:      c.Hosts,
		Keyspace:   c.Keyspace,
		Datacenter: c.Datacenter,
		Username:   c.User,
		Password:   c.Password,
	}
	err := o.Acknowledge.UnmarshalText([]byte(c.Acknowledge))
	if err != nil {
		return o, fmt.Errorf("--cassandra-acknowledge: %w", err)
	}
	if c.TLS || c.CA != "" || c.Cert != "" {
		o.TLS, err = c.tlsConfig()
	}
	return o, err
}

func (c *CassandraConfig) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("--cassandra-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--cassandra-ca %s: no certificate in it", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("--cassandra-cert: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// recentRoutes is for how long a server goes by what it knows of an address, rather
// than ask Cassandra for each mail and each login.
const recentRoutes = 10 * time.Second

// openCassandra opens the store on a cluster.
func (a *App) openCassandra() error {
	o, err := a.config.Cassandra.Options()
	if err != nil {
		return err
	}
	o.Log, o.Registerer = a.log, a.registry
	// The store would await its tables, but nobody makes them who does not know of it.
	if err := cassandra.CheckSchema(context.Background(), o); misfit(err) && !a.config.ApplySchema {
		return err
	}
	s, err := cassandra.Open(context.Background(), o) // the driver gives up a node in seconds
	if err != nil {
		return err
	}
	a.store, a.sweep, a.recent = s, dailySweep(s), mailbox.NewRecentRoutes(recentRoutes)
	return nil
}

// misfit reports whether the tables are known to be other than the program needs.
func misfit(err error) bool {
	var missing *schema.MissingError
	var changed *schema.ChangedError
	return errors.As(err, &missing) || errors.As(err, &changed)
}

// schemaInterval is how long a server waits for a cluster that it is to make tables
// in.
const schemaInterval = 2 * time.Second

// applySchema makes what is missing, as soon as the cluster is there. One that
// lacks nothing is left alone: to change a schema takes all of its nodes.
func (a *App) applySchema(ctx context.Context) error {
	o, err := a.config.Cassandra.Options()
	if err != nil {
		return err
	}
	for {
		err := cassandra.CheckSchema(ctx, o)
		if misfit(err) {
			err = a.config.Cassandra.ApplySchema(ctx, func(change string, now bool) {
				if now {
					a.log.Info("schema applied", "change", change)
				}
			})
		}
		if !errors.Is(err, mailbox.ErrUnavailable) {
			return err
		}
		a.log.Warn("schema is not applied yet", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(schemaInterval):
		}
	}
}
