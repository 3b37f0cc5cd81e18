package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"restante/internal/freeport"
)

// Build compiles the restante of this tree into dir and tells where it is.
func Build(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "bin") // beside the directories of servers, which have their names
	out, err := exec.CommandContext(ctx, "go", "build", "-o", bin+"/", "restante/cmd/restante").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build restante: %w: %s", err, out)
	}
	return filepath.Join(bin, "restante"), nil
}

// startRestante serves with its own defaults, on an embedded store unless the flags
// say otherwise; only the ports, the domain and the accounts are ours.
func startRestante(ctx context.Context, s Settings) (*Server, error) {
	start := time.Now()
	server, err := launchRestante(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := server.await(ctx, start); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	if err := importAccounts(ctx, s, server.Admin); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return server, nil
}

// KillAtStart starts Restante on what is in its directory and kills it so long
// after, most likely before it is ready: a crash while it mends an earlier one.
func KillAtStart(ctx context.Context, s Settings, after time.Duration) error {
	server, err := launchRestante(ctx, s)
	if err != nil {
		return err
	}
	select {
	case <-time.After(after):
	case <-ctx.Done():
	case <-server.Exited():
		return server.ended()
	}
	return server.Kill()
}

// launchRestante starts the program and waits for nothing.
func launchRestante(ctx context.Context, s Settings) (server *Server, err error) {
	if s.Binary == "" {
		return nil, errors.New("restante: no binary was built")
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, err
	}
	ports, release, err := freeport.Hold(6)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = release()
		}
	}()
	server = &Server{
		Name: "restante", Version: firstLine(ctx, s.Binary, "version"),
		SMTP: ports[0], LMTP: ports[1], POP3: ports[2], Admin: ports[3], Data: dataOf(s), log: filepath.Join(s.Dir, "restante.log"),
	}
	if s.HTTP {
		server.HTTP = ports[4]
	}
	if s.Submission {
		server.Submission = ports[5]
	}
	args := append([]string{"serve", "--data", server.Data, "--domain", Domain,
		"--smtp", ports[0], "--lmtp", ports[1], "--pop3", ports[2], "--admin", ports[3],
		"--pop3s", "off", "--submission", cmp.Or(server.Submission, "off"), "--submissions", "off", "--http", cmp.Or(server.HTTP, "off")}, s.Flags...)
	server.process, err = launch(release, server.log, s.Binary, args...)
	return server, err
}

// Run starts another command of a built Restante, which has no ports that are known
// here. What it says goes to the end of a file.
func Run(name, log, binary string, args ...string) (*Server, error) {
	nothing := func() error { return nil }
	p, err := launch(nothing, log, binary, args...)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &Server{Name: name, process: p, log: log}, nil
}

// dataOf is where the store is.
func dataOf(s Settings) string { return filepath.Join(s.Dir, "data") }

// importAccounts makes the users, once in the life of a data directory.
func importAccounts(ctx context.Context, s Settings, admin string) error {
	file := filepath.Join(s.Dir, "accounts")
	if _, err := os.Stat(file); err == nil || s.Users == 0 {
		return nil
	}
	var lines strings.Builder
	for i := range s.Users {
		fmt.Fprintf(&lines, Pattern+":%s\n", i, Password)
	}
	draft := file + ".new"
	if err := os.WriteFile(draft, []byte(lines.String()), 0o600); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, s.Binary, "account", "import", draft, "--admin", admin, "--data", dataOf(s)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("import accounts: %w: %s", err, out)
	}
	return os.Rename(draft, file)
}
