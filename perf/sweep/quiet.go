package sweep

import (
	"context"
	"fmt"
	"time"

	"restante/perf/proc"
	"restante/perf/scenario"
)

// looking is how long processes are looked at, to see whether they are idle.
const looking = 500 * time.Millisecond

// Quiet waits until processes use no more than calm of the processor each time they are
// looked at, or until it has waited for most: then they are as idle as they get.
func Quiet(calm, most time.Duration, pids ...int) func(context.Context) error {
	return func(ctx context.Context) error {
		last := time.Duration(-1)
		for deadline := time.Now().Add(most); time.Now().Before(deadline); {
			u, err := proc.System{}.Tree(pids...)
			if err != nil {
				return fmt.Errorf("wait until all is idle: %w", err)
			}
			if last >= 0 && u.CPU-last <= calm {
				return nil
			}
			last = u.CPU
			if !scenario.Pause(ctx, looking) {
				return ctx.Err()
			}
		}
		return ctx.Err()
	}
}
