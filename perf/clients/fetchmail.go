package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// fetchmail ends with this code when there was no new mail.
const fetchmailNoMail = 1

// fetchFetchmail runs fetchmail once, with a delivery agent that puts each
// message into a file. fetchmail stores it with the line ends of Unix and adds a
// Received field of its own.
func fetchFetchmail(ctx context.Context, e errand) ([][]byte, error) {
	arrived := filepath.Join(e.home, "arrived")
	if err := os.MkdirAll(arrived, 0o700); err != nil {
		return nil, err
	}
	keep := "no keep"
	if e.keep {
		keep = "keep"
	}
	security := map[way]string{
		plain:    "sslproto ''", // or it would try STLS
		stls:     "sslproto TLS1.2+ sslcertck sslcertfile " + e.trusted,
		implicit: "ssl sslcertck sslcertfile " + e.trusted,
	}[e.way]
	// It looks for names in a certificate, not for addresses.
	config := fmt.Sprintf(`set no syslog
set idfile %q
set pidfile %q
poll localhost port %s protocol pop3 uidl timeout 60
  user %q password %q
  %s %s no rewrite mda "cat >$(mktemp %s/XXXXXXXX)"
`, filepath.Join(e.home, "ids"), filepath.Join(e.home, "pid"), e.port, e.address, e.password, security, keep, arrived)
	rc := filepath.Join(e.home, "fetchmailrc")
	if err := os.WriteFile(rc, []byte(config), 0o600); err != nil {
		return nil, err
	}
	_, err := program{name: "fetchmail", args: []string{"--fetchmailrc", rc, "--nodetach", "-v"}, home: e.home}.run(ctx)
	var exit *exitError
	if err != nil && (!errors.As(err, &exit) || exit.code != fetchmailNoMail) {
		return nil, err
	}
	messages, err := collect(arrived)
	for i, m := range messages {
		messages[i] = cutField(toCRLF(m), 1, "Received: from localhost ")
	}
	return messages, err
}
