package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// fetchGetmail runs getmail once, with a delivery agent that puts each message
// into a file: to a maildir it does not deliver for root. getmail stores with the
// line ends of Unix, and adds a Delivered-To and a Received field of its own. It
// also folds header lines of more than 78 octets anew; the letters have none.
func fetchGetmail(ctx context.Context, e errand) ([][]byte, error) {
	arrived := filepath.Join(e.home, "arrived")
	if err := os.MkdirAll(arrived, 0o700); err != nil {
		return nil, err
	}
	retriever, trust := "SimplePOP3Retriever", ""
	if e.way == implicit {
		retriever, trust = "SimplePOP3SSLRetriever", "ca_certs = "+e.trusted
	}
	config := fmt.Sprintf(`[retriever]
type = %s
server = %s
port = %s
username = %s
password = %s
timeout = 60
%s
[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >$(mktemp %s/XXXXXXXX)")
allow_root_commands = true
[options]
read_all = false
delete = %t
verbose = 2
`, retriever, e.host, e.port, e.address, e.password, trust, arrived, !e.keep)
	rc := filepath.Join(e.home, "getmailrc")
	if err := os.WriteFile(rc, []byte(config), 0o600); err != nil {
		return nil, err
	}
	if _, err := (program{name: "getmail", args: []string{"--getmaildir=" + e.home, "--rcfile=" + rc}, home: e.home}).run(ctx); err != nil {
		return nil, err
	}
	messages, err := collect(arrived)
	for i, m := range messages {
		messages[i] = cutField(cutField(toCRLF(m), 1, "Delivered-To: "), 1, "Received: from "+e.host+" ")
	}
	return messages, err
}
