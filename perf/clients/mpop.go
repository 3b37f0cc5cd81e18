package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// fetchMpop runs mpop once, delivering to a maildir. mpop stores with the line
// ends of Unix and adds a Received field of its own.
func fetchMpop(ctx context.Context, e errand) ([][]byte, error) {
	maildir, err := newMaildir(e.home)
	if err != nil {
		return nil, err
	}
	keep := "off"
	if e.keep {
		keep = "on"
	}
	security := map[way]string{
		plain:    "tls off",
		stls:     "tls on\ntls_starttls on\ntls_trust_file " + e.trusted,
		implicit: "tls on\ntls_starttls off\ntls_trust_file " + e.trusted,
	}[e.way]
	config := fmt.Sprintf(`account default
host %s
port %s
timeout 60
auth user
user %s
password %s
keep %s
uidls_file %s
delivery maildir %s
%s
`, e.host, e.port, e.address, e.password, keep, filepath.Join(e.home, "uidls"), maildir, security)
	rc := filepath.Join(e.home, "mpoprc")
	if err := os.WriteFile(rc, []byte(config), 0o600); err != nil {
		return nil, err
	}
	if _, err := (program{name: "mpop", args: []string{"--file=" + rc, "--debug"}, home: e.home}).run(ctx); err != nil {
		return nil, err
	}
	messages, err := collect(filepath.Join(maildir, "new"))
	for i, m := range messages {
		messages[i] = cutField(toCRLF(m), 0, "Received: ")
	}
	return messages, err
}

// newMaildir makes an empty maildir below home, unless it is there.
func newMaildir(home string) (string, error) {
	dir := filepath.Join(home, "maildir")
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return "", err
		}
	}
	return dir, nil
}
