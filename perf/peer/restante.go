package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Build compiles the restante of this tree into dir and tells where it is.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "restante")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "restante/cmd/restante").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build restante: %w: %s", err, out)
	}
	return binary, nil
}

// startRestante serves on an embedded store with its own defaults; only the
// ports, the domain and the accounts are ours.
func startRestante(ctx context.Context, s Settings) (*Server, error) {
	if s.Binary == "" {
		return nil, errors.New("restante: no binary was built")
	}
	ports, err := freePorts(8)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(s.Dir, "data")
	log := filepath.Join(s.Dir, "restante.log")
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, err
	}
	server := &Server{Name: "restante", SMTP: ports[0], LMTP: ports[1], POP3: ports[2], log: log}
	server.Version = firstLine(ctx, s.Binary, "version")
	start := time.Now()
	server.process, err = launch(log, s.Binary, "serve", "--data", data, "--domain", Domain,
		"--smtp", ports[0], "--lmtp", ports[1], "--pop3", ports[2], "--admin", ports[3],
		"--http", ports[4], "--pop3s", ports[5], "--submission", ports[6], "--submissions", ports[7])
	if err != nil {
		return nil, err
	}
	if err := server.await(ctx, start); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	if err := importAccounts(ctx, s, data, ports[3]); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return server, nil
}

// importAccounts makes the users, once in the life of a data directory.
func importAccounts(ctx context.Context, s Settings, data, admin string) error {
	file := filepath.Join(s.Dir, "accounts")
	if _, err := os.Stat(file); err == nil {
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
	out, err := exec.CommandContext(ctx, s.Binary, "account", "import", draft, "--admin", admin, "--data", data).CombinedOutput()
	if err != nil {
		return fmt.Errorf("import accounts: %w: %s", err, out)
	}
	return os.Rename(draft, file)
}
