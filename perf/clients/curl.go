package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// fetchCurl uses curl as a script would: it asks for the unique-ids, retrieves
// those it has not seen before, and deletes them if it is told to. curl adds
// nothing to a message. Its only memory is the file that is kept here for it.
func fetchCurl(ctx context.Context, e errand) ([][]byte, error) {
	listing, err := curl(ctx, e, "/", "--request", "UIDL")
	if err != nil {
		return nil, err
	}
	memory := filepath.Join(e.home, "seen")
	seen, err := os.ReadFile(memory)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var messages [][]byte
	lines := bufio.NewScanner(bytes.NewReader(listing))
	for lines.Scan() {
		number, id, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			return nil, fmt.Errorf("not a line of a unique-id listing: %q", lines.Text())
		}
		if bytes.Contains(seen, []byte(id+"\n")) {
			continue
		}
		m, err := curl(ctx, e, "/"+number)
		if err != nil {
			return nil, err
		}
		messages, seen = append(messages, m), append(seen, id+"\n"...)
	}
	if err := os.WriteFile(memory, seen, 0o600); err != nil || e.keep {
		return messages, err
	}
	for range messages { // each session numbers what is left from 1
		if _, err := curl(ctx, e, "/1", "--request", "DELE", "--head"); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// curl runs one POP3 session and returns what the server sent.
func curl(ctx context.Context, e errand, path string, args ...string) ([]byte, error) {
	scheme := "pop3"
	if e.way == implicit {
		scheme = "pop3s"
	}
	args = append([]string{
		"--disable", "--silent", "--show-error", "--user", e.address + ":" + e.password,
		"--cacert", e.trusted, "--max-time", "60",
	}, args...)
	if e.way == stls {
		args = append(args, "--ssl-reqd")
	}
	return program{name: "curl", args: append(args, scheme+"://"+e.host+":"+e.port+path), home: e.home}.run(ctx)
}
