// Package program builds programs of this tree, for tests and tools that run them as
// others do.
package program

import (
	"context"
	"fmt"
	"os/exec"
)

// Restante is the package of the server.
const Restante = "restante/cmd/restante"

// Build compiles a program into a file, or a directory where that ends in a slash. Flags are
// for go build.
//
// A test that has the race detector builds a program that has it too. Then its faults are
// seen, and nothing is compiled twice when all tests run.
func Build(ctx context.Context, to, pkg string, flags ...string) error {
	args := []string{"build", "-o", to}
	if race {
		args = append(args, "-race")
	}
	args = append(append(args, flags...), pkg)
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, out)
	}
	return nil
}
