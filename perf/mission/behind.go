package mission

import (
	"time"

	"restante/perf/proc"
	"restante/perf/scenario"
)

// Figures of a phase that a Watch tells, as they are in results.
const (
	Statements   = "statements an operation" // that servers sent to Cassandra
	CassandraCPU = "Cassandra CPU ms an operation"
	cassandraRSS = "Cassandra peak RSS MiB"
	cassandraPSS = "Cassandra PSS MiB"
)

// Behind watches one phase of the processes behind a server, which are the database that
// it keeps its mail in: see Test.Watch. A mail costs what they use as well; a server that
// has none keeps its mail itself.
func Behind(pids ...int) (ended func(*scenario.Result) (map[string]float64, error), err error) {
	meter, err := proc.Start(proc.System{}, pids...)
	if err != nil {
		return nil, err
	}
	return func(r *scenario.Result) (map[string]float64, error) {
		used, err := meter.Stop()
		if err != nil {
			return nil, err
		}
		r.Others = max(0, r.Others-used.Share())
		return map[string]float64{
			CassandraCPU: float64(used.Server) / float64(time.Millisecond) / float64(max(r.Operations, 1)),
			cassandraRSS: float64(used.PeakRSS) / (1 << 20),
			cassandraPSS: float64(used.PSS) / (1 << 20),
		}, nil
	}, nil
}
