package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"restante/perf/wire"
)

// The server's domains: mail for the second arrives like that of the first.
const (
	domain      = "clients.test"
	otherDomain = "more-clients.test"
)

// startup is how long the server may take until its ports are open.
const startup = 30 * time.Second

// A server is a running Restante with ports of its own choice.
type server struct {
	*daemon
	binary   string
	dir      string
	ports    map[string]string // address by the name of the flag
	password string            // of every account
}

// startServer serves on an empty store with the program's defaults, and these flags
// besides.
func startServer(ctx context.Context, binary, dir string, more ...string) (*server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &server{binary: binary, dir: dir, password: rand.Text()}
	args := []string{"serve", "--data", s.data(), "--domain", domain, "--domain", otherDomain, "--temp-domain", tempDomain}
	flags := []string{"smtp", "submission", "submissions", "pop3", "pop3s", "http", "admin"}
	for _, f := range flags {
		args = append(args, "--"+f, "127.0.0.1:0")
	}
	args = append(args, more...)
	d, err := launch(filepath.Join(dir, "restante.log"), environment(dir), binary, args...)
	if err != nil {
		return nil, err
	}
	s.daemon = d
	ctx, cancel := context.WithTimeout(ctx, startup)
	defer cancel()
	if err := s.await(ctx, func() error { return s.readPorts(flags) }); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

// certificate is the file of the self-signed certificate.
func (s *server) certificate() string { return filepath.Join(s.data(), "tls", "cert.pem") }

var portLine = regexp.MustCompile(`(?m)^ +([a-z0-9]+) +(127\.0\.0\.1:[0-9]+)$`)

// readPorts finds the ports that the server tells at its start.
func (s *server) readPorts(flags []string) error {
	raw, err := os.ReadFile(s.log)
	if err != nil {
		return err
	}
	s.ports = map[string]string{}
	for _, m := range portLine.FindAllSubmatch(raw, -1) {
		s.ports[string(m[1])] = string(m[2])
	}
	for _, f := range flags {
		if s.ports[f] == "" {
			return fmt.Errorf("no port of --%s was told", f)
		}
	}
	return nil
}

// pop3 is the host and port for a way to fetch mail.
func (s *server) pop3(w way) (host, port string) {
	flag := "pop3"
	if w.security == wire.Implicit {
		flag = "pop3s"
	}
	host, port, _ = net.SplitHostPort(s.ports[flag])
	return host, port
}

// addAccounts makes the accounts with the program's own command.
func (s *server) addAccounts(ctx context.Context, addresses []string) error {
	var lines bytes.Buffer
	for _, a := range addresses {
		fmt.Fprintf(&lines, "%s:%s\n", a, s.password)
	}
	_, err := program{
		name: s.binary, home: s.dir, input: lines.Bytes(),
		args: []string{"account", "import", "-", "--admin", s.ports["admin"], "--data", s.data()},
	}.run(ctx)
	return err
}

// A maildrop is what the server keeps, by unique-id.
type maildrop map[string][]byte

// kept reads the maildrop of an account.
func (s *server) kept(ctx context.Context, address string) (maildrop, error) {
	return s.read(ctx, address, s.password)
}

// read retrieves a maildrop with a client of our own, and compares the sizes
// that the server tells with what it sends.
func (s *server) read(ctx context.Context, address, password string) (_ maildrop, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("maildrop of %s: %w", address, err)
		}
	}()
	c, err := wire.DialPOP3(ctx, s.ports["pop3"], wire.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // after an error; QUIT closes too
	if err := c.Login(address, password); err != nil {
		return nil, err
	}
	ids, sizes := map[int]string{}, map[int]int64{}
	if err := c.UIDL(func(n int, id []byte) { ids[n] = string(id) }); err != nil {
		return nil, err
	}
	if err := c.List(func(n int, octets int64) { sizes[n] = octets }); err != nil {
		return nil, err
	}
	drop := maildrop{}
	for n, id := range ids {
		var b bytes.Buffer
		if err := c.Retr(n, &b); err != nil {
			return nil, err
		}
		if int64(b.Len()) != sizes[n] {
			return nil, fmt.Errorf("LIST says that message %d has %d octets, RETR sent %d", n, sizes[n], b.Len())
		}
		drop[id] = b.Bytes()
	}
	if len(drop) != len(sizes) {
		return nil, fmt.Errorf("UIDL names %d messages, LIST %d", len(drop), len(sizes))
	}
	return drop, c.Quit()
}

// messages are the messages in the order of their unique-ids.
func (m maildrop) messages() [][]byte {
	var all [][]byte
	for _, id := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[id])
	}
	return all
}

// same reports whether both hold the same messages under the same unique-ids.
func (m maildrop) same(other maildrop) bool { return maps.EqualFunc(m, other, bytes.Equal) }

// complaints are the lines of the server's log above INFO.
func (s *server) complaints() ([]string, error) {
	raw, err := os.ReadFile(s.log)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines, nil
}
