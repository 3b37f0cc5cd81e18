package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/crypto/argon2"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/rig"
)

// setDelay changes the link, and nothing else.
func (s *stage) setDelay(ctx context.Context, delay time.Duration) error {
	link := s.link()
	link.Delay = delay
	link.Jitter = min(link.Jitter, delay)
	return s.network.Set(ctx, link)
}

// carried is how many octets have gone over the link, both ways.
func (s *stage) carried(ctx context.Context) (octets int64, err error) {
	ways, err := s.network.Traffic(ctx)
	for _, way := range ways {
		octets += way.Octets
	}
	return octets, err
}

// copies is how many nodes keep each mail.
func (s *stage) copies() int { return s.Layout.Datacenters * min(s.Layout.Nodes, 3) }

// every runs a command of nodetool about the keyspace on every node.
func (s *stage) every(ctx context.Context, command string) error {
	for _, n := range s.rig.Nodes {
		if _, err := s.rig.Nodetool(ctx, n.Name, command+" "+rig.Keyspace); err != nil {
			return err
		}
	}
	return nil
}

// uncompacted does work while no node rewrites what it has stored: what comes to the disks
// meanwhile is what the work has stored.
func (s *stage) uncompacted(ctx context.Context, work func() ([]report.Point, error)) (points []report.Point, err error) {
	defer func() { err = errors.Join(err, s.every(context.WithoutCancel(ctx), "enableautocompaction")) }()
	if err := s.every(ctx, "disableautocompaction"); err != nil {
		return nil, err
	}
	return work()
}

// stored is how many octets the tables have on the disks of all nodes, when all is there.
func (s *stage) stored(ctx context.Context) (all int64, err error) {
	if err := s.every(ctx, "flush"); err != nil {
		return 0, err
	}
	for _, n := range s.rig.Nodes {
		dir := filepath.Join(n.Dir, "data", rig.Keyspace)
		octets, err := octetsBelow(dir)
		if errors.Is(err, fs.ErrNotExist) { // a file that a node has just done with
			octets, err = octetsBelow(dir)
		}
		if err != nil {
			return 0, err
		}
		all += octets
	}
	return all, nil
}

// makeUsers makes the accounts that are missing up to a number of them.
func (s *stage) makeUsers(ctx context.Context, users int) error {
	if users <= s.Users {
		return nil
	}
	server, place := s.servers[0], s.network.Places[0]
	_, port, err := net.SplitHostPort(server.Admin)
	if err != nil {
		return err
	}
	_, loopback := place.Server(1) // elsewhere the token would go out in clear text
	if err := importAccounts(ctx, place.Enter(), s.rig.Restante, net.JoinHostPort(loopback, port), server.Data, s.Users, users); err != nil {
		return err
	}
	s.Users = users
	return nil
}

// importAccounts makes those with numbers from one on, up to another. Their password is
// hashed once for all: that is slow on purpose.
func importAccounts(ctx context.Context, enter []string, restante, admin, data string, from, to int) error {
	file := filepath.Join(filepath.Dir(data), fmt.Sprintf("accounts-%d", to))
	if err := writeAccounts(file, from, to, hash(peer.Password)); err != nil {
		return err
	}
	words := append(slices.Clone(enter), restante, "account", "import", file, "--admin", admin, "--data", data)
	if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("import accounts: %w: %s", err, out[max(0, len(out)-2000):])
	}
	return nil
}

// writeAccounts writes lines address:hash.
func writeAccounts(file string, from, to int, hash string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i := from; i < to; i++ {
		_, _ = fmt.Fprintf(w, peer.Pattern+":%s\n", i, hash) // Flush has the error
	}
	return errors.Join(w.Flush(), f.Close())
}

// hash is what a server makes of a password, at its own cost: argon2id in PHC form.
func hash(password string) string {
	const memory, passes, threads, octets = 7168, 5, 1, 32
	salt := []byte("the same for all")
	key := argon2.IDKey([]byte(password), salt, passes, memory, threads, octets)
	text := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, threads, text.EncodeToString(salt), text.EncodeToString(key))
}
