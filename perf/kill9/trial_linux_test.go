package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A short form of the trial that the command runs a hundred rounds of.
func TestAKilledServerKeepsItsWord(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := cli{
		settings: settings{
			Rounds: 3, Load: 1500 * time.Millisecond, Deliverers: 4, Fetchers: 2, Maildrops: 3, Backlog: 200, Kill: []string{killServer},
		},
		Server: "restante", Store: "embedded", JSON: filepath.Join(t.TempDir(), "kill9.json"),
	}
	if err := c.run(ctx, t.Output()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(c.JSON)
	var r record
	if err = errors.Join(err, json.Unmarshal(raw, &r)); err != nil {
		t.Fatal(err)
	}
	if r.Kept == 0 || r.Removed == 0 || r.Verified == 0 || r.Rounds != 3 || len(r.Faults) > 0 || !strings.HasPrefix(r.Version, "restante ") {
		t.Errorf("%s", raw)
	}
}
