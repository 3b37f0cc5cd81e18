package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"restante/cassandra"
)

// RoundConfig is what the commands that go round the tables have to know.
type RoundConfig struct {
	Cassandra CassandraConfig `embed:"" prefix:"cassandra-" group:"cassandra"`

	Age      time.Duration `default:"24h" placeholder:"DURATION" help:"Leave alone what is younger. It is to be more than a delivery can take, and at least 1h."`
	Rate     int           `default:"5000" placeholder:"ROWS" help:"Read so many rows in a second."`
	Restart  bool          `now:"" help:"Begin from the start, after a run that was stopped less than a day ago."`
	Repaired bool          `now:"" help:"The nodes were repaired (nodetool repair) since the replication of the keyspace was changed."`
}

// Check reports the first setting that cannot work.
func (c *RoundConfig) Check() error {
	if c.Age < time.Hour {
		return fmt.Errorf("--age %s: a delivery may take that long; at least 1h is needed", c.Age)
	}
	if c.Rate <= 0 {
		return fmt.Errorf("--rate %d: at least 1 is needed", c.Rate)
	}
	return c.Cassandra.Check()
}

func (c *RoundConfig) options(memory Size, report func(Progress)) cassandra.RoundOptions {
	return cassandra.RoundOptions{
		Age:      c.Age,
		Rate:     c.Rate,
		Memory:   int(memory),
		Restart:  c.Restart,
		Repaired: c.Repaired,
		Report:   report,
	}
}

// open opens the store, which has to be there.
func (c *RoundConfig) open(ctx context.Context, log *slog.Logger) (*cassandra.Store, error) {
	o, err := c.Cassandra.Options()
	if err != nil {
		return nil, err
	}
	o.Log = log
	if err := cassandra.CheckSchema(ctx, o); err != nil {
		return nil, err
	}
	return cassandra.Open(ctx, o)
}

// Progress is how far a sweep or a repair is.
type Progress = cassandra.Progress

// SweepConfig is what the command for the sweep has to know.
type SweepConfig struct {
	RoundConfig `embed:""`

	Memory Size `default:"16MiB" placeholder:"SIZE" help:"For the ids of listed messages, 700,000 in a MiB. Where there are more, some of what nobody lists is left to the next sweep."`
	DryRun bool `help:"Only count what there is to delete."`
}

// Sweep deletes what nobody can reach, and says what it was; also how much until it
// failed.
func (c *SweepConfig) Sweep(ctx context.Context, log *slog.Logger, report func(Progress)) (fmt.Stringer, error) {
	s, err := c.open(ctx, log)
	if err != nil {
		return cassandra.SweepStats{}, err
	}
	defer s.Close()
	return s.Sweep(ctx, cassandra.SweepOptions{RoundOptions: c.options(c.Memory, report), DryRun: c.DryRun})
}

// sweptLately is how long ago a sweep ended after which there need not be another:
// less than the day that every server waits.
const sweptLately = 20 * time.Hour

// dailySweep is what each of the servers on a cluster calls daily. One of them does
// the work.
func dailySweep(s *cassandra.Store) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		return s.Sweep(ctx, cassandra.SweepOptions{Unless: sweptLately})
	}
}

// Finding is what a repair found.
type Finding = cassandra.Finding

// RepairConfig is what the command for the repair has to know.
type RepairConfig struct {
	RoundConfig `embed:""`

	Memory Size `default:"64MiB" placeholder:"SIZE" help:"For the ids of messages, half of it for the listed ones and half for the others, 350,000 in a MiB. Where there are more, some findings are left to the next repair."`
	Apply  bool `help:"Mend what is found. Read the documentation first: messages that were removed may come back."`
}

// Repair compares listings and contents, tells found what does not agree, and says how
// much it was; also until it failed.
func (c *RepairConfig) Repair(ctx context.Context, log *slog.Logger, report func(Progress), found func(Finding)) (fmt.Stringer, error) {
	s, err := c.open(ctx, log)
	if err != nil {
		return cassandra.RepairStats{}, err
	}
	defer s.Close()
	return s.Repair(ctx, cassandra.RepairOptions{RoundOptions: c.options(c.Memory, report), Apply: c.Apply, Found: found})
}
