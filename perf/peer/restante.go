package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"restante/internal/freeport"
	"restante/internal/program"
)

// Build compiles the restante of this tree into dir and tells where it is.
func Build(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "bin") // beside the directories of servers, which have their names
	return filepath.Join(bin, "restante"), program.Build(ctx, bin+"/", program.Restante)
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
	at, reached, release, err := s.Place.ports()
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
		SMTP: reached.smtp, LMTP: reached.lmtp, POP3: reached.pop3, Admin: reached.admin, Data: dataOf(s), log: filepath.Join(s.Dir, "restante.log"),
	}
	submission, http := "off", "off"
	if s.HTTP {
		server.HTTP, http = reached.http, at.http
	}
	if s.Submission {
		server.Submission, submission = reached.submission, at.submission
	}
	words := append(slices.Clone(s.Place.Enter), s.Binary, "serve", "--data", server.Data, "--domain", Domain,
		"--smtp", at.smtp, "--lmtp", at.lmtp, "--pop3", at.pop3, "--admin", at.admin,
		"--pop3s", "off", "--submission", submission, "--submissions", "off", "--http", http)
	words = append(words, s.Flags...)
	server.process, err = launch(release, server.log, s.Env, words[0], words[1:]...)
	return server, err
}

// ports are addresses HOST:PORT of a server.
type ports struct{ smtp, lmtp, pop3, admin, http, submission string }

// ports are where a server listens and where it is reached, which is the same on loopback.
// They are held for it until release.
func (p Place) ports() (listens, reached ports, release func() error, err error) {
	if p.Listen != "" {
		return portsOf(p.Listen), portsOf(p.Reach), func() error { return nil }, nil
	}
	free, release, err := freeport.Hold(6)
	if err != nil {
		return ports{}, ports{}, nil, err
	}
	listens = ports{free[0], free[1], free[2], free[3], free[4], free[5]}
	return listens, listens, release, nil
}

// portsOf are the ports of a server that has an address for itself: its own defaults.
func portsOf(host string) ports {
	return ports{host + ":2525", host + ":2424", host + ":2110", host + ":8081", host + ":8080", host + ":2587"}
}

// Run starts another command of a built Restante, which has no ports that are known
// here. What it says goes to the end of a file.
func Run(name, log, binary string, args ...string) (*Server, error) {
	nothing := func() error { return nil }
	p, err := launch(nothing, log, nil, binary, args...)
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
	if s.Place.Listen != "" {
		admin = portsOf(s.Place.Listen).admin
	}
	words := append(slices.Clone(s.Place.Enter), s.Binary, "account", "import", draft, "--admin", admin, "--data", dataOf(s))
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("import accounts: %w: %s", err, out)
	}
	return os.Rename(draft, file)
}
