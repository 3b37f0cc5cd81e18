package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"restante/perf/mission"
	"restante/perf/scenario"
	"restante/perf/wire"
)

func TestTheServersOfTheComposeFilesAreFound(t *testing.T) {
	small := []scenario.Target{
		{Name: "dc1-restante-1", Datacenter: "dc1", SMTP: "127.0.0.1:11125", POP3: "127.0.0.1:11110"},
		{Name: "dc2-restante-1", Datacenter: "dc2", SMTP: "127.0.0.1:12125", POP3: "127.0.0.1:12110"},
	}
	for file, want := range map[string][]scenario.Target{
		"small.yaml": small,
		"compose.yaml": {
			small[0], {Name: "dc1-restante-2", Datacenter: "dc1", SMTP: "127.0.0.1:11225", POP3: "127.0.0.1:11210"},
			small[1], {Name: "dc2-restante-2", Datacenter: "dc2", SMTP: "127.0.0.1:12225", POP3: "127.0.0.1:12210"},
		},
	} {
		c, err := readContainers(filepath.Join("../../deploy/compose", file))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.targets, want) || c.pattern() != "user%d@example.org" {
			t.Errorf("%s: users are %s, servers %+v", file, c.pattern(), c.targets)
		}
	}
}

func TestAComposeFileWithoutServersIsRefused(t *testing.T) {
	server := "environment: {RESTANTE_SMTP: '0.0.0.0:2525', RESTANTE_POP3: '0.0.0.0:2110'}"
	for name, text := range map[string]string{
		"nothing":                 "",
		"no server":               "services: {a: {image: postgres}}",
		"no port":                 "services: {a: {" + server + "}}",
		"no port of POP3":         "services: {a: {" + server + ", ports: ['127.0.0.1:1:2525']}}",
		"no YAML":                 "services: [",
		"a service of itself":     "services: {a: {extends: {service: a}}}",
		"a file that is not here": "services: {a: {extends: {file: nowhere.yaml, service: a}}}",
		"a service that is not":   "services: {a: {extends: {service: b}}}",
	} {
		file := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := readContainers(file); err == nil {
			t.Errorf("%s: %+v", name, c.targets)
		}
	}
}

// docker notes what it is asked for, and answers as two containers with one account would.
const docker = `#!/bin/sh
echo "$@" >>"$NOTES"
case "$*" in
*version) echo "restante v1"; echo more ;;
*list*) echo "user1@example.org  account" ;;
*import*) /bin/cat >>"$NOTES" ;;
*) exit 1 ;;
esac
`

const small = "../../deploy/compose/small.yaml"

func TestContainersAreMeasuredByThePortsThatTheyPublish(t *testing.T) {
	dir := t.TempDir()
	notes := filepath.Join(dir, "notes")
	t.Setenv("NOTES", notes)
	t.Setenv("PATH", dir)
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(docker), 0o700); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	var p mission.Party
	err := composed{small}.play(t.Context(), settings{Users: 3}, &out, nil, func(ctx context.Context, st *stage) error {
		p = st.party(2)
		return st.noPaxos(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "restante" || p.Version != "restante v1, small.yaml" || len(p.Targets) != 2 || p.Users != 2 || p.Security != wire.Upgrade {
		t.Errorf("party: %+v", p)
	}
	if test := (mission.Flags{}).Test(p); test.Options.Security != wire.Upgrade {
		t.Errorf("clients: %+v", test.Clients)
	}
	for _, want := range []string{"2 servers of " + small + ": restante v1\n", "left out: processors"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
	got, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	exec := "compose -f " + small + " exec -T dc1-restante-1 restante "
	want := exec + "version\n" + exec + "account list example.org\n" + exec + "account import -\n" +
		"user0@example.org:secret\nuser2@example.org:secret\n"
	if string(got) != want {
		t.Errorf("docker was asked\n%swant\n%s", got, want)
	}
}

func TestAPlanForContainersNeedsNone(t *testing.T) {
	var out strings.Builder
	if err := (composed{small}).play(t.Context(), settings{Plan: true}, &out, []string{"have tea"}, nil); err != nil {
		t.Fatal(err)
	}
	if want := "Restante dc2-restante-1: SMTP 127.0.0.1:12125, POP3 127.0.0.1:12110 with STLS\nhave tea\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("the plan is\n%s", out.String())
	}
}

func TestWithoutDockerItIsSaidWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := composed{small}.play(t.Context(), settings{}, new(strings.Builder), nil, nil)
	if err == nil || !strings.Contains(err.Error(), `"docker": executable file not found`) {
		t.Error(err)
	}
}
