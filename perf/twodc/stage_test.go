package main

import (
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"restante/perf/rig"
)

// parse reads a command line.
func parse(t *testing.T, args ...string) (settings, error) {
	t.Helper()
	var c cli
	k, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(args)
	return c.settings, err
}

func TestAPlanTellsEverythingAndDoesNothing(t *testing.T) {
	s, err := parse(t, "--plan", "--layout=2x1", "--servers=2", "--delay=20ms", "--loss=0.01", "--bandwidth=80", "up")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := s.play(t.Context(), &out, []string{"have tea"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ip netns add restante-PID-dc2\n", "nsenter --net=/run/netns/restante-PID-dc1 sysctl net.ipv4.conf.all.route_localnet=1\n",
		"nsenter --net=/run/netns/restante-PID-dc2 nft 'table ip restante {", "10.77.2.101 : 127.0.0.101", "20ms one way, 1 % lost, 10 MB/s\n", "Cassandra dc2-1: CQL 10.77.2.1:9042\n",
		"Restante dc1-b: SMTP 10.77.1.102:2525, POP3 10.77.1.102:2110", "have tea\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "dc1-2") {
		t.Errorf("the plan has more nodes than asked for:\n%s", out.String())
	}
}

func TestWithoutMoreItIsTheStageOfThePerformanceTest(t *testing.T) {
	s, err := parse(t, "up")
	if err != nil {
		t.Fatal(err)
	}
	if s.Layout != (rig.Layout{Datacenters: 2, Nodes: 3}) || s.Servers != 2 || s.Delay != time.Millisecond || s.Users != 80 {
		t.Errorf("settings are %+v", s)
	}
}

func TestALayoutThatIsNotOfTwoDatacentresIsRefused(t *testing.T) {
	for _, flag := range []string{"--layout=1x3", "--layout=3x1", "--layout=2x65", "--servers=0", "--servers=33"} {
		if _, err := parse(t, flag, "up"); err == nil {
			t.Errorf("%s is accepted", flag)
		}
	}
}

func TestAFlagThatWouldDoNothingIsRefused(t *testing.T) {
	for _, args := range []string{
		"--warm=1m up", "--warm=1m faults", "--profile up", "--profile rate", "--profile lag", "--profile sweep", "--profile faults", "--json=x up",
		"--delay=5ms mission --compose " + small, "lag --profile --compose " + small, "--profile mission --compose " + small,
	} {
		if _, err := parse(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), "does nothing with") {
			t.Errorf("%s: %v", args, err)
		}
	}
	for _, args := range []string{
		"--warm=1m --profile mission", "mission --warm 1m", "--warm=0s rate", "--warm=1m --json=x lag", "--warm=1m sweep", "--json=x faults", "up",
		"--warm=1m --users 9 --json=x rate --compose " + small,
	} {
		if _, err := parse(t, strings.Fields(args)...); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}
