package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"restante/relay/provider"
)

func TestTheServicesThatTheDocsShowCanBeOpened(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/relay.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "```yaml\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatal("no YAML in docs/relay.md")
	}
	file := filepath.Join(t.TempDir(), "services.yaml")
	if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := (&RelayConfig{Services: file}).readServices()
	if err != nil || len(s.Services) != 3 || s.Schedulers["news.example.org"] != "sticky" {
		t.Fatalf("%+v, %v", s, err)
	}
	secrets := provider.Common{Hello: "mail.example.org", Lookup: func(string) (string, bool) { return "s3cret", true }}
	for _, one := range s.Services {
		p, err := provider.Open(one.Provider, secrets)
		if err != nil {
			t.Errorf("%s: %v", one.Name, err)
			continue
		}
		if err := p.Close(); err != nil {
			t.Errorf("%s: %v", one.Name, err)
		}
	}
}

func TestAnAgentRunsWithWhatCanWork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*AgentConfig)
		want   string // in the error; empty: none
	}{
		{func(*AgentConfig) {}, ""},
		{func(c *AgentConfig) { c.Listen, c.Endpoint = "0.0.0.0:2526", "smtp://192.0.2.1:2526" }, ""},
		{func(c *AgentConfig) { c.Listen = "2526" }, "HOST:PORT"},
		{func(c *AgentConfig) { c.Listen = ":2526" }, "--endpoint"},
		{func(c *AgentConfig) { c.Listen = "[::]:2526" }, "--endpoint"},
		{func(c *AgentConfig) { c.Listen = "127.0.0.1:0" }, "--endpoint"},
		{func(c *AgentConfig) { c.TLSKey = "key.pem" }, "go together"},
		{func(c *AgentConfig) { c.Concurrency = 0 }, "--concurrency"},
		{func(c *AgentConfig) { c.Nodes = []string{"127.0.0.1"} }, "not a network"},
	} {
		config := AgentConfig{Listen: "127.0.0.1:2526", Concurrency: 16, Nodes: []string{"127.0.0.0/8"}}
		c.change(&config)
		err := config.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", config, err, c.want)
		}
	}
}

func TestAnAgentSaysThatItSpeaksToTheHostsOfDestinations(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]bool{"mx://": true, "smtp://127.0.0.1:2600?tls=none": false} {
		p, err := provider.Open(spec, provider.Common{Hello: "mail.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		if d := (&AgentConfig{Name: "a", Listen: "127.0.0.1:2526"}).document(p); d.Destinations != want || d.Kind != "smtp" || d.Endpoint != "smtp://127.0.0.1:2526" {
			t.Errorf("%s: %+v", spec, d)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
