package mission

import (
	"context"
	"fmt"
	"sync"

	"restante/perf/scenario"
)

// keep is how many messages a maildrop that is looked into has before it is emptied.
const keep = 20

// A probe delivers to a server and looks through another one of its data centre.
type probe struct {
	datacenter string
	into, from scenario.Target
	first      int // of its users
}

// probes are one for each data centre that takes mail.
func (r *run) probes() []probe {
	if r.probers() == 0 {
		return nil
	}
	var all []probe
	for i, dc := range datacenters(r.Targets) {
		in, out := senders(dc), readers(dc)
		if len(in) > 0 {
			all = append(all, probe{dc[0].Datacenter, in[0], out[len(out)-1], r.Users + i*r.probers()})
		}
	}
	return all
}

// probe puts all probes on until the last mail is due.
func (r *run) probe(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range r.probes() {
		all.Go(func() {
			result, err := scenario.Measure(ctx, "250, then login "+p.datacenter, scenario.Visible{
				Load: scenario.Load{
					Address: p.into.SMTP, Connections: r.probers(), Rate: r.Probe, Duration: r.Duration,
					First: r.First + p.first, Users: r.probers(), Pattern: r.Pattern, Password: r.Password, Options: r.Options,
				},
				POP3: p.from.POP3, Back: p.into.POP3, Patience: max(r.Patience, patience), Every: looks, Keep: keep, Size: r.Size, From: r.Sender,
			})
			if err != nil {
				result.Faults = append(result.Faults, fmt.Sprintf("probe: %v", err))
			}
			r.mu.Lock()
			r.out.Looks += result.Operations
			r.out.Missed += int64(result.Figures["misses"])
			r.mu.Unlock()
			r.add(result)
		})
	}
	all.Wait()
}
