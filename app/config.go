package app

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/mailbox"
)

// Config is everything an operator can set. Each field is a flag, a key of the
// configuration file and an environment variable of the same name; the tags say
// which, with its default and its help.
type Config struct {
	Store    string   `default:"embedded" enum:"embedded,cassandra" placeholder:"STORE" help:"Where mail is kept: embedded, in a directory of this machine, or cassandra."`
	Data     string   `default:"restante-data" type:"path" placeholder:"DIR" help:"Directory of the embedded store, of generated keys and of the admin token."`
	Domains  []string `name:"domain" default:"localhost.localdomain" placeholder:"DOMAIN" help:"Domains whose addresses receive mail here. Repeatable; the first is the default."`
	Hostname string   `placeholder:"NAME" help:"Name of this host in greetings and trace fields. Default: the first domain."`
	Node     uint8    `default:"0" placeholder:"N" help:"Number of this server, 0 to 255. Of the servers that share one Cassandra each needs its own: it is part of the ids of texts."`

	SMTP        string `name:"smtp" group:"listen" default:"127.0.0.1:2525" placeholder:"HOST:PORT" help:"Mail from other servers, STARTTLS offered."`
	Submission  string `group:"listen" default:"127.0.0.1:2587" placeholder:"HOST:PORT" help:"Mail from users, STARTTLS offered, login required."`
	Submissions string `group:"listen" default:"127.0.0.1:2465" placeholder:"HOST:PORT" help:"Mail from users under TLS, login required."`
	LMTP        string `name:"lmtp" group:"listen" default:"off" placeholder:"HOST:PORT" help:"Mail from a mail server in front of this one, one answer per recipient."`
	POP3        string `name:"pop3" group:"listen" default:"127.0.0.1:2110" placeholder:"HOST:PORT" help:"Users fetch mail, STLS offered."`
	POP3S       string `name:"pop3s" group:"listen" default:"127.0.0.1:2995" placeholder:"HOST:PORT" help:"Users fetch mail under TLS."`
	HTTP        string `name:"http" group:"listen" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Temporary addresses, texts and the page to use them, for everybody."`
	HTTPS       string `name:"https" group:"listen" default:"off" placeholder:"HOST:PORT" help:"The same under TLS."`
	Admin       string `group:"listen" default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Accounts, metrics and health, for operators. Any other address than loopback needs --tls-cert."`

	TempDomains      []string      `name:"temp-domain" group:"public" default:"temp.localhost.localdomain" placeholder:"DOMAIN" help:"Domains of temporary addresses; accounts are never made there. Repeatable; the first is the default."`
	TempLife         time.Duration `group:"public" default:"15m" placeholder:"DURATION" help:"How long a temporary address lives unless its maker says otherwise."`
	TempMaxLife      time.Duration `group:"public" default:"168h" placeholder:"DURATION" help:"How long it may live at most: in Cassandra, no longer than 8784h."`
	TempMaxMessages  int           `group:"public" default:"200" placeholder:"N" help:"Messages that a temporary address keeps: the newest."`
	TempMaxMailboxes int           `group:"public" default:"0" placeholder:"N" help:"Temporary addresses that live at once: one more, and one that is little used goes. 0: no bound. On Cassandra each server counts those that it made."`
	TempRate         int           `group:"public" default:"60" placeholder:"N" help:"Temporary addresses that one client may make a minute, and ten times as many messages and texts post. Loopback is not limited."`
	TextDomain       string        `group:"public" default:"text.localhost.localdomain" placeholder:"DOMAIN" help:"Domain of the users of the text service, or off."`
	TextPassword     string        `group:"public" placeholder:"PASSWORD" help:"Password with which every user of the text service may fetch texts by POP3. Default: nobody may. Better in the environment or the configuration file."`
	TextFlush        bool          `group:"public" help:"Let anybody remove all texts by DELETE /chat. For tests."`
	HTTPOrigins      []string      `name:"http-origin" group:"public" placeholder:"ORIGIN" help:"Origins such as https://example.org whose pages may use the interface (CORS), or * for all. Repeatable."`
	HTTPMaxMessage   Size          `group:"public" default:"1MiB" placeholder:"SIZE" help:"Largest message that is posted there."`
	APIKeys          []string      `name:"api-key" group:"public" placeholder:"NAME:KEY" help:"A key that raises the limits of its holder a hundred times. Repeatable. Better in the environment or the configuration file."`

	WebhookURL    string `name:"webhook-url" group:"public" placeholder:"URL" help:"Where each new message is told of, by a signed POST (Standard Webhooks)."`
	WebhookSecret string `group:"public" placeholder:"SECRET" help:"Key of the signatures: 24 to 64 octets in base64, perhaps after whsec_. Better in the environment or the configuration file."`

	Relay RelayConfig `embed:"" group:"relay"`

	Cassandra   SchemaConfig `embed:"" group:"cassandra"`
	ApplySchema bool         `name:"cassandra-apply-schema" group:"cassandra" help:"Make what is missing of the keyspace and its tables, as schema apply does."`

	TLSCert      string `name:"tls-cert" group:"security" type:"path" placeholder:"FILE" help:"Certificate chain (PEM), read again when it changes. Default: a self-signed one made in --data."`
	TLSKey       string `name:"tls-key" group:"security" type:"path" placeholder:"FILE" help:"Key of the certificate (PEM)."`
	InsecureAuth bool   `group:"security" default:"true" negatable:"" help:"Accept passwords in clear text on loopback listeners. Elsewhere they always need TLS."`
	AdminToken   string `group:"security" placeholder:"TOKEN" help:"Token of the admin listener, of 16 octets or more. Default: one made in --data, file admin-token."`

	MaxMessageSize Size          `group:"limits" default:"50MiB" placeholder:"SIZE" help:"Largest message."`
	MaxRecipients  int           `group:"limits" default:"1000" placeholder:"N" help:"Most recipients of one message."`
	MaxConnections int           `group:"limits" default:"2000" placeholder:"N" help:"Most connections to one listener."`
	MaxPerNetwork  int           `group:"limits" default:"100" placeholder:"N" help:"Most connections to one listener from one IPv4 address or IPv6 /64. Loopback is not limited."`
	SMTPIdle       time.Duration `name:"smtp-idle" group:"limits" default:"5m" placeholder:"DURATION" help:"How long a mail client may be silent (RFC 5321 asks for 5 minutes)."`
	POP3Idle       time.Duration `name:"pop3-idle" group:"limits" default:"10m" placeholder:"DURATION" help:"How long a logged-in user may be silent (RFC 1939 asks for at least 10 minutes)."`
	MinFree        Size          `group:"limits" default:"128MiB" placeholder:"SIZE" help:"Refuse mail when the disk of an embedded store has less room than this."`
	Grace          time.Duration `group:"limits" default:"30s" placeholder:"DURATION" help:"How long a shutdown waits for running transfers."`
}

// The stores.
const (
	embeddedStore  = "embedded"
	cassandraStore = "cassandra"
)

// Off is the address of a listener that is not wanted.
const Off = "off"

// A Size is a number of octets, written with an optional unit: 500, 64KiB, 50MiB, 1GiB.
type Size int64

// UnmarshalText reads a Size.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for suffix, octets := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = strings.TrimSpace(rest), octets
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is not a size such as 500, 64KiB or 50MiB", text)
	}
	*s = Size(n * unit)
	return nil
}

// Validate reports the first setting that cannot work. It brings the domains
// into canonical form and fills in the host name.
func (c *Config) Validate() error {
	if len(c.Domains) == 0 {
		return fmt.Errorf("--domain: at least one is needed")
	}
	if err := canonical("domain", &c.Domains); err != nil {
		return err
	}
	if c.Hostname == "" {
		c.Hostname = c.Domains[0]
	}
	name, err := mailbox.ParseRoute("@" + c.Hostname)
	if err != nil {
		return fmt.Errorf("--hostname %s: %w", c.Hostname, err)
	}
	c.Hostname = name.Domain
	switch c.Store {
	case embeddedStore:
	case cassandraStore:
		if err := c.Cassandra.CassandraConfig.Check(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("--store %s: not embedded or cassandra", c.Store)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fmt.Errorf("--tls-cert and --tls-key go together")
	}
	for _, l := range c.listeners() {
		if l.addr == Off {
			continue
		}
		if _, _, err := net.SplitHostPort(l.addr); err != nil {
			return fmt.Errorf("--%s %s: not HOST:PORT or %s", l.flag, l.addr, Off)
		}
	}
	if c.AdminToken != "" && len(c.AdminToken) < minKey {
		return fmt.Errorf("--admin-token: it is shorter than %d octets", minKey)
	}
	if c.Admin != Off && c.TLSCert == "" && !IsLoopback(c.Admin) {
		return fmt.Errorf("--admin %s: the token would travel in clear text; give --tls-cert and --tls-key, or listen on loopback", c.Admin)
	}
	for flag, n := range map[string]int64{
		"max-message-size": int64(c.MaxMessageSize), "max-recipients": int64(c.MaxRecipients), "max-connections": int64(c.MaxConnections),
		"max-per-network": int64(c.MaxPerNetwork), "smtp-idle": int64(c.SMTPIdle), "grace": int64(c.Grace),
	} {
		if n <= 0 {
			return fmt.Errorf("--%s must be more than nothing", flag)
		}
	}
	if err := c.validatePublic(); err != nil {
		return err
	}
	if err := c.validateWebhook(); err != nil {
		return err
	}
	if err := c.Relay.validate(); err != nil {
		return err
	}
	if c.POP3Idle < 10*time.Minute {
		return fmt.Errorf("--pop3-idle %s: RFC 1939, section 3, asks for at least 10 minutes", c.POP3Idle)
	}
	return nil
}

// canonical brings domains into canonical form.
func canonical(flag string, domains *[]string) error {
	*domains = slices.Clone(*domains) // the caller's stays as it is
	for i, d := range *domains {
		a, err := mailbox.ParseRoute("@" + d)
		if err != nil {
			return fmt.Errorf("--%s %s: %w", flag, d, err)
		}
		(*domains)[i] = a.Domain
	}
	return nil
}

// IsLoopback reports whether only this machine can reach an address HOST:PORT. The
// admin listener has TLS everywhere else, so whoever speaks to it asks here too.
func IsLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
