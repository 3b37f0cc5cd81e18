package provider

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/relay"
)

// Common is what a spec leaves to who opens it.
type Common struct {
	Hello    string // what we call ourselves in EHLO: a host name
	Timeouts Timeouts
	Dial     Dial // nil: the network

	// Lookup finds the variables that a spec names in place of secrets; nil: those of
	// the environment.
	Lookup func(name string) (string, bool)
}

// Open returns the provider that a URL stands for:
//
//	smtp://USER:PASSWORD@HOST:PORT    a smarthost; port 587, or 25 without a user
//	smtps://USER:PASSWORD@HOST:PORT   with TLS from the first octet; port 465
//	PRESET://USER:PASSWORD@           one of [Presets]; the region, if any, behind the @
//	mailgun://KEY@api.mailgun.net/DOMAIN
//	ses://KEY-ID:SECRET@REGION        ?configuration=NAME, ?feedback=true
//	sendgrid://KEY@api.sendgrid.com
//	mx://                             the hosts that receive mail for each domain
//	fake://                           takes all mail and forgets it; see [Fake]
//
// A user, password or key $NAME is in the variable of that name, so that a spec can be
// shown to others; otherwise what is special in URLs stands there percent-encoded.
// With smtp and presets, ?tls= is starttls, which is the default but for the own machine,
// implicit, opportunistic or none. Where a host with a dot or a port stands in place of a
// region it is spoken to instead of the maker's, and ?region= and ?tls=none, for http, say
// the rest. No error repeats what may be a secret.
func Open(spec string, c Common) (relay.Provider, error) {
	u, err := url.Parse(spec)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return nil, errors.New("provider: a spec is a URL such as smtp://HOST:PORT")
	}
	s := &parsed{kind: u.Scheme, url: u, common: c, query: u.Query(), used: map[string]bool{}}
	p, err := s.open()
	if err != nil {
		return nil, fmt.Errorf("provider: %s://: %w", s.kind, err)
	}
	return p, nil
}

// A parsed spec.
type parsed struct {
	kind       string
	url        *url.URL
	common     Common
	query      url.Values
	used       map[string]bool // keys of query
	user, pass string
}

func (s *parsed) open() (relay.Provider, error) {
	open, known := map[string]func() (relay.Provider, error){
		"smtp": s.smtp, "smtps": s.smtp, "mailgun": s.mailgun, "ses": s.ses, "sendgrid": s.sendGrid, "mx": s.mx, "fake": s.fake,
	}[s.kind]
	if _, preset := presets[s.kind]; preset {
		open, known = s.preset, true
	}
	if !known {
		return nil, errors.New("nobody knows such a kind")
	}
	var err error
	if s.user, s.pass, err = s.secrets(); err != nil {
		return nil, err
	}
	p, err := open()
	if err != nil {
		return nil, err
	}
	for key := range s.query {
		if !s.used[key] {
			return nil, errors.Join(fmt.Errorf("unknown option %q", key), p.Close())
		}
	}
	if s.kind != "mailgun" && strings.Trim(s.url.Path, "/") != "" || s.url.Fragment != "" {
		return nil, errors.Join(errors.New("what stands behind the host means nothing"), p.Close())
	}
	return p, nil
}

// secrets are the two halves before the @.
func (s *parsed) secrets() (user, pass string, err error) {
	pass, _ = s.url.User.Password()
	user = s.url.User.Username()
	lookup := s.common.Lookup
	if lookup == nil {
		lookup = os.LookupEnv
	}
	for _, secret := range []*string{&user, &pass} {
		name, isName := strings.CutPrefix(*secret, "$")
		if !isName {
			continue
		}
		value, ok := lookup(name)
		if !ok {
			return "", "", fmt.Errorf("the variable %s is not set", name)
		}
		*secret = value
	}
	return user, pass, nil
}

// option is the value of a key, or of one of the values that may be.
func (s *parsed) option(key string, may ...string) (string, error) {
	s.used[key] = true
	value := s.query.Get(key)
	if len(may) > 0 && value != "" && !slices.Contains(may, value) {
		return "", fmt.Errorf("%s is one of %s", key, strings.Join(may, ", "))
	}
	return value, nil
}

var securities = map[string]Security{
	"starttls": RequireSTARTTLS, "implicit": ImplicitTLS, "opportunistic": OpportunisticTLS, "none": NoTLS,
}

func (s *parsed) security(host string) (Security, error) {
	word, err := s.option("tls", "starttls", "implicit", "opportunistic", "none")
	switch {
	case word != "" || err != nil:
		return securities[word], err
	case s.kind == "smtps":
		return ImplicitTLS, nil
	case loopback(host):
		return OpportunisticTLS, nil
	}
	return RequireSTARTTLS, nil
}

func (s *parsed) smtp() (relay.Provider, error) {
	host, port := s.url.Hostname(), s.url.Port()
	if host == "" {
		return nil, errors.New("no host")
	}
	security, err := s.security(host)
	if err != nil {
		return nil, err
	}
	switch {
	case port != "":
	case security == ImplicitTLS:
		port = "465"
	case s.user == "":
		port = "25"
	default:
		port = "587"
	}
	return opened(NewSMTP(SMTPOptions{
		Addr: net.JoinHostPort(host, port), Hello: s.common.Hello, Security: security,
		Username: s.user, Password: s.pass, Timeouts: s.common.Timeouts, Dial: s.common.Dial,
	}))
}

// place tells a host, which has a dot or a port, from a region.
func (s *parsed) place() (host, region string, err error) {
	region, err = s.option("region")
	if strings.ContainsAny(s.url.Host, ".:") {
		return s.url.Host, region, err
	}
	return "", cmp.Or(s.url.Host, region), err
}

func (s *parsed) preset() (relay.Provider, error) {
	addr, region, err := s.place()
	if err != nil {
		return nil, err
	}
	o, err := Preset(s.kind, PresetOptions{
		Region: region, Username: s.user, Password: s.pass, Hello: s.common.Hello, Addr: addr,
		Timeouts: s.common.Timeouts, Dial: s.common.Dial,
	})
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, errors.New("want HOST:PORT")
	}
	if o.Security, err = s.security(host); err != nil {
		return nil, err
	}
	return opened(NewSMTP(o))
}

// http are the options of an HTTP interface, and whether it is the European one.
func (s *parsed) http() (o HTTPOptions, region string, err error) {
	host, region, err := s.place()
	if err != nil {
		return o, "", err
	}
	tls, err := s.option("tls", "implicit", "none")
	switch {
	case err != nil:
		return o, "", err
	case host == "" && tls == "none":
		return o, "", errors.New("tls=none without a host")
	case host != "" && tls == "none":
		o.URL = "http://" + host
	case host != "":
		o.URL = "https://" + host
	}
	o.Timeouts, o.Dial = s.common.Timeouts, s.common.Dial
	return o, region, nil
}

// europe reports whether a maker with two places is meant in Europe.
func europe(region string) (bool, error) {
	if region != "" && region != "eu" && region != "us" {
		return false, errors.New("the region is eu or us")
	}
	return region == "eu", nil
}

func (s *parsed) mailgun() (relay.Provider, error) {
	o, region, err := s.http()
	if err != nil {
		return nil, err
	}
	eu, err := europe(region)
	if err != nil {
		return nil, err
	}
	return opened(NewMailgun(MailgunOptions{HTTPOptions: o, Domain: strings.Trim(s.url.Path, "/"), Key: s.user, EU: eu}))
}

func (s *parsed) sendGrid() (relay.Provider, error) {
	o, region, err := s.http()
	if err != nil {
		return nil, err
	}
	eu, err := europe(region)
	if err != nil {
		return nil, err
	}
	return opened(NewSendGrid(SendGridOptions{HTTPOptions: o, Key: s.user, EU: eu}))
}

func (s *parsed) ses() (relay.Provider, error) {
	o, region, err := s.http()
	if err != nil {
		return nil, err
	}
	configuration, err := s.option("configuration")
	if err != nil {
		return nil, err
	}
	feedback, err := s.option("feedback", "true", "false")
	if err != nil {
		return nil, err
	}
	return opened(NewSES(SESOptions{
		HTTPOptions: o, Region: region, KeyID: s.user, Secret: s.pass, Configuration: configuration, Feedback: feedback == "true",
	}))
}

func (s *parsed) mx() (relay.Provider, error) {
	return opened(NewMX(MXOptions{Hello: cmp.Or(s.url.Host, s.common.Hello), Timeouts: s.common.Timeouts, Dial: s.common.Dial}))
}

func (s *parsed) fake() (relay.Provider, error) {
	f := &Fake{Text: "taken by nobody"}
	text, err := s.option("slow")
	if err != nil {
		return nil, err
	}
	if text != "" {
		if f.Slow, err = time.ParseDuration(text); err != nil || f.Slow < 0 {
			return nil, errors.New("slow is a duration such as 200ms")
		}
	}
	name := cmp.Or(s.url.Host, relay.Success.String())
	for r := relay.Success; r <= relay.Ambiguous; r++ {
		if strings.ReplaceAll(r.String(), " ", "-") == name {
			f.Result = r
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s is no result, such as bad-recipient", strconv.Quote(name))
}

// opened keeps a nil pointer from becoming a provider.
func opened[P relay.Provider](p P, err error) (relay.Provider, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}
