package deploy_test

import (
	"os"
	"strings"
	"testing"
)

func TestTheUnitStartsWhatTheProgramKnows(t *testing.T) {
	text, err := os.ReadFile("systemd/restante.service")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			settings[key] = value
		}
	}
	args := strings.Fields(settings["ExecStart"])
	if len(args) < 2 || args[1] != "serve" {
		t.Fatalf("ExecStart=%s", settings["ExecStart"])
	}
	variable, _, _ := strings.Cut(settings["Environment"], "=")
	commandLine{args[1:], []string{variable}}.check(t, "restante.service", documents(t, "systemd/restante.yaml")[0])
}

// All but the ports, which need rights that a test has not.
func TestAServerStartsWithTheSettingsOfTheUnit(t *testing.T) {
	s := serve(t, "--config", "systemd/restante.yaml")
	s.deliver(t, "user@example.org") // of the first start
}
