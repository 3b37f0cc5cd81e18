package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"restante/relay/pool"
	"restante/relay/schedule"
)

// RelayConfig is how mail leaves for elsewhere.
type RelayConfig struct {
	Services    string   `name:"relay-services" type:"path" placeholder:"FILE" help:"Services that mail of users leaves through (YAML; docs/relay.md). Without it and without --relay-enrol mail for elsewhere is refused."`
	Enrol       string   `name:"relay-enrol" placeholder:"TOKEN" help:"Token by which sending services register themselves at the admin listener, of 16 octets or more. Better in the environment or the configuration file."`
	Networks    []string `name:"relay-agents" default:"127.0.0.0/8,::1/128" placeholder:"NETWORK" help:"Networks where services that register may be. Whoever is there and knows the token is given mail of users. Repeatable."`
	Scheduler   string   `name:"relay-scheduler" default:"p2c" placeholder:"NAME" help:"How a service is chosen for each mail (docs/relay.md)."`
	DKIM        string   `name:"relay-dkim" type:"path" placeholder:"DIR" help:"Directory of keys that sign what users send, DOMAIN.SELECTOR.pem."`
	Concurrency int      `name:"relay-concurrency" default:"64" placeholder:"N" help:"Mails that are handed over at a time."`
}

// leastEnrol is the least length of a token, in octets.
const leastEnrol = 16

// on reports whether mail leaves at all.
func (c *RelayConfig) on() bool { return c.Services != "" || c.Enrol != "" }

// validate reports the first setting that cannot work. No error repeats the token.
func (c *RelayConfig) validate() error {
	switch {
	case !c.on():
		return nil
	case c.Enrol != "" && len(c.Enrol) < leastEnrol:
		return fmt.Errorf("--relay-enrol: a token of %d octets or more is needed", leastEnrol)
	case !slices.Contains(schedule.Names(), c.Scheduler):
		return fmt.Errorf("--relay-scheduler: %q is none of %s", c.Scheduler, strings.Join(schedule.Names(), ", "))
	case c.Concurrency < 1:
		return errors.New("--relay-concurrency: at least 1 is needed")
	}
	_, err := c.networks()
	return err
}

func (c *RelayConfig) networks() ([]netip.Prefix, error) {
	return parseNetworks("relay-agents", c.Networks)
}

// parseNetworks reads the values of a flag.
func parseNetworks(flag string, texts []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		var err error
		if networks[i], err = netip.ParsePrefix(text); err != nil {
			return nil, fmt.Errorf("--%s: %q is not a network such as 192.0.2.0/24", flag, text)
		}
	}
	return networks, nil
}

// services are what stands in the file of services.
type services struct {
	Services   []service         `json:"services"`
	Schedulers map[string]string `json:"schedulers"` // by sender domain
}

// A service is a document with what the pool is not to know: the provider as a URL, with
// its secrets.
type service struct {
	pool.Document
	Provider string `json:"provider"`
}

// readServices reads the file, if there is one.
func (c *RelayConfig) readServices() (services, error) {
	var s services
	if c.Services == "" {
		return s, nil
	}
	text, err := os.ReadFile(c.Services)
	if err != nil {
		return s, fmt.Errorf("--relay-services: %w", err)
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return s, fmt.Errorf("--relay-services %s: %w", c.Services, err)
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return s, fmt.Errorf("--relay-services %s: %w", c.Services, err)
	}
	d := json.NewDecoder(bytes.NewReader(asJSON))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("--relay-services %s: %w", c.Services, err)
	}
	return s, nil
}
