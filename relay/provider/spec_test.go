package provider

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"restante/relay"
)

// described is what a provider was made of, as far as a spec says it.
func described(p relay.Provider) string {
	switch p := p.(type) {
	case *SMTP:
		h := p.hop
		return fmt.Sprintf("smtp %s security %d hello %s user %s password %s most %d", h.addr, h.security, h.hello, h.username, h.password, p.limits.Recipients)
	case *Mailgun:
		return fmt.Sprintf("mailgun %s domain %s key %s", p.base, p.opts.Domain, p.opts.Key)
	case *SES:
		return fmt.Sprintf("ses %s region %s key %s secret %s set %s feedback %t", p.base, p.opts.Region, p.opts.KeyID, p.opts.Secret, p.opts.Configuration, p.opts.Feedback)
	case *SendGrid:
		return fmt.Sprintf("sendgrid %s key %s", p.base, p.opts.Key)
	case *MX:
		return "mx hello " + p.opts.Hello
	case *Fake:
		return fmt.Sprintf("fake %s %s", p.Result, p.Slow)
	}
	return fmt.Sprintf("%T", p)
}

var testCommon = Common{
	Hello:    "mail.example.org",
	Timeouts: Timeouts{Command: time.Second},
	Lookup: func(name string) (string, bool) {
		return "from the variable", name == "SECRET"
	},
}

func TestASpecStandsForAProvider(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"smtp://relay.example.net":                              "smtp relay.example.net:25 security 0 hello mail.example.org user  password  most 0",
		"smtp://fred:s%2Fcret@relay.example.net":                "smtp relay.example.net:587 security 0 hello mail.example.org user fred password s/cret most 0",
		"smtp://fred:$SECRET@relay.example.net:2525":            "smtp relay.example.net:2525 security 0 hello mail.example.org user fred password from the variable most 0",
		"smtp://127.0.0.1:2525":                                 "smtp 127.0.0.1:2525 security 2 hello mail.example.org user  password  most 0",
		"smtp://[::1]:2525?tls=none":                            "smtp [::1]:2525 security 3 hello mail.example.org user  password  most 0",
		"smtp://relay.example.net?tls=implicit":                 "smtp relay.example.net:465 security 1 hello mail.example.org user  password  most 0",
		"smtps://relay.example.net":                             "smtp relay.example.net:465 security 1 hello mail.example.org user  password  most 0",
		"mailgun-smtp://fred:pw@":                               "smtp smtp.mailgun.org:587 security 0 hello mail.example.org user fred password pw most 1000",
		"mailgun-smtp://fred:pw@eu":                             "smtp smtp.eu.mailgun.org:587 security 0 hello mail.example.org user fred password pw most 1000",
		"sendgrid-smtp://:pw@127.0.0.1:2525":                    "smtp 127.0.0.1:2525 security 2 hello mail.example.org user apikey password pw most 1000",
		"mailgun://key@api.mailgun.net/example.org":             "mailgun https://api.mailgun.net domain example.org key key",
		"mailgun://$SECRET@eu/example.org":                      "mailgun https://api.eu.mailgun.net domain example.org key from the variable",
		"mailgun://key@127.0.0.1:8025/example.org?tls=none":     "mailgun http://127.0.0.1:8025 domain example.org key key",
		"ses://id:a%2Bb@eu-west-1":                              "ses https://email.eu-west-1.amazonaws.com region eu-west-1 key id secret a+b set  feedback false",
		"ses://id:s@127.0.0.1:1?region=eu-west-1&tls=none":      "ses http://127.0.0.1:1 region eu-west-1 key id secret s set  feedback false",
		"ses://id:s@eu-west-1?configuration=mail&feedback=true": "ses https://email.eu-west-1.amazonaws.com region eu-west-1 key id secret s set mail feedback true",
		"sendgrid://key@api.sendgrid.com":                       "sendgrid https://api.sendgrid.com key key",
		"sendgrid://key@":                                       "sendgrid https://api.sendgrid.com key key",
		"mx://":                                                 "mx hello mail.example.org",
		"mx://out.example.org":                                  "mx hello out.example.org",
		"fake://":                                               "fake success 0s",
		"fake://account-fault?slow=200ms":                       "fake account fault 200ms",
	} {
		p, err := Open(spec, testCommon)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if got := described(p); got != want {
			t.Errorf("%s:\n%s, want\n%s", spec, got, want)
		}
		if err := p.Close(); err != nil {
			t.Errorf("%s: close: %v", spec, err)
		}
	}
}

func TestASpecThatIsWrongIsRefusedWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"":                         "is a URL",
		"relay.example.net:s3cret": "is a URL",
		"smtp://fred:s3cret%ZZ@relay.example.net":       "is a URL",
		"pigeon://fred:s3cret@loft":                     "nobody knows",
		"smtp://fred:s3cret@":                           "no host",
		"smtp://fred:s3cret@relay.example.net/x":        "means nothing",
		"smtp://fred:s3cret@relay.example.net?x=y":      `unknown option "x"`,
		"smtp://fred:s3cret@relay.example.net?tls=yes":  "tls is one of",
		"smtp://fred:s3cret@relay.example.net?tls=none": "need TLS",
		"smtp://fred:$NONE@relay.example.net":           "variable NONE is not set",
		"mailgun://s3cret@api.mailgun.net":              "domain",
		"mailgun://s3cret@asia/example.org":             "eu or us",
		"ses://id:s3cret@":                              "region",
		"ses://id:s3cret@eu-west-1?tls=none":            "without a host",
		"ses-smtp://id:s3cret@":                         "region",
		"resend-smtp://:s3cret@resend.example":          "HOST:PORT",
		"fake://perhaps":                                "no result",
		"fake://?slow=s3cret":                           "duration",
	} {
		p, err := Open(spec, testCommon)
		if err == nil {
			t.Errorf("%s: %s", spec, described(p))
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
}
