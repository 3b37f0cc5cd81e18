package app

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"restante/cassandra"
	"restante/rest"
)

// hasPublic reports whether there is a listener for everybody.
func (c *Config) hasPublic() bool { return c.HTTP != Off || c.HTTPS != Off }

// validatePublic reports the first setting of temporary addresses and texts that
// cannot work, and brings their domains into canonical form.
func (c *Config) validatePublic() error {
	if err := canonical("temp-domain", &c.TempDomains); err != nil {
		return err
	}
	if len(c.TempDomains) == 0 {
		return errors.New("--temp-domain: at least one is needed")
	}
	taken := slices.Concat(c.Domains, c.TempDomains)
	if c.TextDomain != Off {
		text := []string{c.TextDomain}
		if err := canonical("text-domain", &text); err != nil {
			return err
		}
		c.TextDomain = text[0]
		taken = append(taken, text...)
	}
	slices.Sort(taken)
	for i, d := range taken {
		if i > 0 && d == taken[i-1] {
			return fmt.Errorf("the domain %s can be only one of --domain, --temp-domain and --text-domain, and once", d)
		}
	}
	for flag, d := range map[string]time.Duration{"temp-life": c.TempLife, "temp-max-life": c.TempMaxLife} {
		if d < time.Second {
			return fmt.Errorf("--%s %s: at least 1s is needed", flag, d)
		}
	}
	if c.TempMaxLife < c.TempLife {
		return fmt.Errorf("--temp-max-life %s is shorter than --temp-life %s", c.TempMaxLife, c.TempLife)
	}
	if c.Store == cassandraStore && c.TempMaxLife > cassandra.MaxLife {
		return fmt.Errorf("--temp-max-life %s: in Cassandra a temporary address may live for %s at most", c.TempMaxLife, cassandra.MaxLife)
	}
	for flag, n := range map[string]int64{
		"temp-max-messages": int64(c.TempMaxMessages), "temp-rate": int64(c.TempRate), "http-max-message": int64(c.HTTPMaxMessage),
	} {
		if n <= 0 {
			return fmt.Errorf("--%s must be more than nothing", flag)
		}
	}
	if c.HTTPMaxMessage > rest.MaxBody {
		return fmt.Errorf("--http-max-message %d: at most %d; larger messages come by SMTP", c.HTTPMaxMessage, rest.MaxBody)
	}
	if c.TempMaxMailboxes < 0 {
		return errors.New("--temp-max-mailboxes must not be less than 0")
	}
	for _, origin := range c.HTTPOrigins {
		if !isOrigin(origin) {
			return fmt.Errorf("--http-origin %s: not an origin such as https://example.org, or *", origin)
		}
	}
	_, err := c.keys()
	return err
}

// isOrigin reports whether a browser could send it (RFC 6454, section 6.2).
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return s == "*" || err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.Scheme+"://"+u.Host == s
}

// minKey is the fewest octets of an API key and of the admin token, so that none can be
// guessed.
const minKey = 16

// keys are the API keys by the names of their holders. No error repeats a key.
func (c *Config) keys() (map[string]string, error) {
	keys := make(map[string]string, len(c.APIKeys))
	for _, s := range c.APIKeys {
		name, key, ok := strings.Cut(s, ":")
		if !ok || name == "" {
			return nil, errors.New("--api-key: not NAME:KEY")
		}
		if len(key) < minKey {
			return nil, fmt.Errorf("--api-key %s: the key is shorter than %d octets", name, minKey)
		}
		if keys[name] != "" {
			return nil, fmt.Errorf("--api-key %s: there are two of that name", name)
		}
		keys[name] = key
	}
	return keys, nil
}
