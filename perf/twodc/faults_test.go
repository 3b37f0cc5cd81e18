package main

import (
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// faultsPlan is what a command line for faults prints that does nothing.
func faultsPlan(t *testing.T, args ...string) (string, cli) {
	t.Helper()
	var c cli
	k, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Parse(append([]string{"--plan", "faults"}, args...)); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.Faults.Run(t.Context(), &c.settings, &out); err != nil {
		t.Fatal(err)
	}
	return out.String(), c
}

func TestThePlanOfFaultsNamesEachTrouble(t *testing.T) {
	plan, c := faultsPlan(t)
	for _, want := range []string{"  kill a node\n", "  wipe a data centre\n", "read once more in both data centres"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan does not say %q:\n%s", want, plan)
		}
	}
	if f := c.Faults; f.For != time.Hour || f.Rate*2*f.For.Seconds() < 100_000 {
		t.Errorf("an hour is to have 100,000 mails: %+v", f.Trial)
	}
}

func TestTroublesAreChosenByName(t *testing.T) {
	plan, c := faultsPlan(t, "--only=node$|link", "--for=5m", "--seed=7", "--lag=1s")
	if strings.Contains(plan, "kill a server\n") || !strings.Contains(plan, "  freeze a node\n") || !strings.Contains(plan, "  cut the link\n") {
		t.Error(plan)
	}
	if c.Faults.For != 5*time.Minute || c.Faults.Seed != 7 || c.Faults.Lag != time.Second {
		t.Errorf("%+v", c.Faults)
	}
	list, _ := faultsPlan(t, "--list", "--only=disk")
	if list != "fill the disk of a node\n" {
		t.Errorf("%q", list)
	}
}
