package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/relay"
	"restante/relay/internal/sigv4"
)

// A preset is what is known of a maker's smarthost.
type preset struct {
	host        string // with %s for the region, if it has any
	eu          string // host for the region "eu"
	port        string // of STARTTLS
	username    string // where it is the same for all
	auth        string // the one mechanism that works; empty: any
	octets      int64
	recipients  int
	noUTF8      bool
	reassembles bool
	rules       []rule
	remoteID    func(text string) string
	// prefix are header lines before the content: options of the maker, which switch off
	// what rewrites bodies, so that links and signatures stay as they were.
	prefix func(m relay.Mail) string
}

func always(lines string) func(relay.Mail) string { return func(relay.Mail) string { return lines } }

// lastWord is the id in a reply like "Ok 0102018f".
func lastWord(text string) string {
	words := strings.Fields(text)
	if len(words) < 2 {
		return ""
	}
	return words[len(words)-1]
}

// presets are by name. Limits of octets are of the message as it is sent.
var presets = map[string]preset{
	"mailgun-smtp": {
		host: "smtp.mailgun.org", eu: "smtp.eu.mailgun.org", port: "587",
		octets: 25 << 20, recipients: 1000, rules: mailgunSMTP,
		prefix: always("X-Mailgun-Track: no\r\n"),
	},
	"sendgrid-smtp": {
		host: "smtp.sendgrid.net", eu: "smtp.eu.sendgrid.net", port: "587", username: "apikey",
		octets: 30 << 20, recipients: 1000, rules: sendGridSMTP,
		prefix: always(`X-SMTPAPI: {"filters":{"clicktrack":{"settings":{"enable":0}},` + "\r\n" + ` "opentrack":{"settings":{"enable":0}}}}` + "\r\n"),
	},
	"ses-smtp": {
		host: "email-smtp.%s.amazonaws.com", port: "587",
		octets: 40 << 20, recipients: 50, noUTF8: true, rules: sesSMTP, remoteID: lastWord,
	},
	"postmark-smtp": {
		host: "smtp.postmarkapp.com", port: "587",
		octets: 10 << 20, recipients: 50, reassembles: true, rules: postmarkSMTP,
		prefix: always("X-PM-TrackOpens: false\r\nX-PM-TrackLinks: None\r\n"),
	},
	"resend-smtp": {
		host: "smtp.resend.com", port: "587", username: "resend",
		octets: 40 << 20, recipients: 50, reassembles: true, rules: resendSMTP,
		prefix: func(m relay.Mail) string { return "Resend-Idempotency-Key: " + idempotencyKey(m) + "\r\n" },
	},
	"sparkpost-smtp": {
		host: "smtp.sparkpostmail.com", eu: "smtp.eu.sparkpostmail.com", port: "587", username: "SMTP_Injection", auth: "LOGIN",
		octets: 20 << 20, recipients: 1000, rules: sparkPostSMTP, remoteID: lastWord,
		prefix: always(`X-MSYS-API: {"options":{"open_tracking":false,"click_tracking":false}}` + "\r\n"),
	},
}

// idempotencyKey is the same for a mail to the same recipients, whoever sends it and
// however often.
func idempotencyKey(m relay.Mail) string {
	sum := sha256.New()
	sum.Write([]byte(m.Message.String()))
	for _, r := range m.Recipients {
		sum.Write([]byte(" " + strconv.Itoa(r)))
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Presets are the names that [Preset] knows, in order.
func Presets() []string {
	var names []string
	for name := range presets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// PresetOptions configures [Preset].
type PresetOptions struct {
	Region string // of Amazon SES, as in "eu-west-1"; "eu" where the maker has a European host

	// Username and Password are those of the SMTP interface. The name may be empty where
	// it is the same for all. With Amazon SES they are the id of a key and its secret.
	Username, Password string

	Hello    string
	Addr     string // host:port instead of the maker's
	Timeouts Timeouts
	Dial     Dial
}

// Preset returns the options of a common smarthost.
func Preset(name string, o PresetOptions) (SMTPOptions, error) {
	p, known := presets[name]
	if !known {
		return SMTPOptions{}, fmt.Errorf("provider: unknown preset %q", name)
	}
	host := p.host
	switch {
	case strings.Contains(p.host, "%s"):
		if o.Region == "" {
			return SMTPOptions{}, fmt.Errorf("provider: %s needs a region", name)
		}
		host = fmt.Sprintf(p.host, o.Region)
		o.Password = sigv4.SMTPPassword(o.Password, o.Region)
	case o.Region == "eu" && p.eu != "":
		host = p.eu
	case o.Region != "":
		return SMTPOptions{}, fmt.Errorf("provider: %s has no region %q", name, o.Region)
	}
	if o.Username == "" {
		o.Username = p.username
	}
	if o.Username == "" || o.Password == "" {
		return SMTPOptions{}, fmt.Errorf("provider: %s needs a user name and a password", name)
	}
	if o.Addr == "" {
		o.Addr = net.JoinHostPort(host, p.port)
	}
	return SMTPOptions{
		Addr: o.Addr, Hello: o.Hello, Username: o.Username, Password: o.Password,
		Limits:   relay.Limits{Octets: p.octets, Recipients: p.recipients, NoUTF8: p.noUTF8, Reassembles: p.reassembles},
		Timeouts: o.Timeouts, Dial: o.Dial, preset: p,
	}, nil
}

// What the makers' smarthosts say, beside what all say.
var (
	mailgunSMTP = []rule{
		{text: "limit exceeded", result: relay.Throttled, pause: time.Minute},
		{text: "not allowed to send large batches", result: relay.Throttled, pause: time.Hour},
		{text: "not allowed to send", result: relay.AccountFault},
		{text: "can't be used", result: relay.AccountFault},
	}
	sendGridSMTP = []rule{
		{text: "maximum credits exceeded", result: relay.Throttled, pause: time.Hour},
		{text: "verified sender identity", result: relay.AccountFault, ofSender: true},
		{text: "recipients received this hour", result: relay.Throttled, pause: 10 * time.Minute},
	}
	sesSMTP = []rule{
		{text: "maximum sending rate exceeded", result: relay.Throttled, pause: time.Second},
		{text: "daily message quota exceeded", result: relay.Throttled, pause: time.Hour},
		{text: "too many concurrent", result: relay.Throttled, pause: time.Second},
		{text: "not verified", result: relay.AccountFault, ofSender: true},
		{text: "access denied", result: relay.AccountFault, ofSender: true},
		{text: "sending paused", result: relay.AccountFault},
		{text: "sending suspended", result: relay.AccountFault},
	}
	postmarkSMTP = []rule{
		{text: "sender signature", result: relay.AccountFault, ofSender: true},
		{text: "inactive", result: relay.BadRecipient},
		{text: "not allowed to send", result: relay.AccountFault},
		{text: "pending approval", result: relay.AccountFault},
	}
	resendSMTP = []rule{
		{text: "sending quota", result: relay.Throttled, pause: time.Hour},
		{text: "too many requests", result: relay.Throttled, pause: time.Second},
		{text: "not verified", result: relay.AccountFault, ofSender: true},
		{text: "api key", result: relay.AccountFault},
	}
	sparkPostSMTP = []rule{
		{text: "sending limit", result: relay.Throttled, pause: 10 * time.Minute},
		{text: "unconfigured sending domain", result: relay.AccountFault, ofSender: true},
		{text: "invalid domain", result: relay.AccountFault, ofSender: true},
	}
)
