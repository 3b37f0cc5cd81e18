package main

import (
	"context"
	"strings"
)

// A route is a way for mail to get in.
type route struct {
	name string
	flag string // of the listener
	tls  string // what makes swaks use TLS
	auth string // SASL mechanism; none without
}

var routes = []route{
	{name: "smtp plain", flag: "smtp"},
	{name: "smtp STARTTLS", flag: "smtp", tls: "--tls"},
	{name: "submission STARTTLS", flag: "submission", tls: "--tls", auth: "PLAIN"},
	{name: "submissions TLS", flag: "submissions", tls: "--tlsc", auth: "LOGIN"},
}

// probe is the account that shows what came by the route.
func (r route) probe() string {
	return "sent-" + strings.ReplaceAll(strings.ToLower(r.name), " ", "-") + "@" + domain
}

// sender is whose mail it is.
const sender = "sender@" + domain

// send has swaks bring one letter to the recipients in one transaction.
func send(ctx context.Context, s *server, r route, l letter, recipients []string, home, trusted string) error {
	args := []string{
		"--server", s.ports[r.flag], "--helo", "client." + domain, "--from", sender,
		"--to", strings.Join(recipients, ","), "--header", "To: undisclosed-recipients:;", "--hide-all", "--timeout", "60s",
	}
	if r.tls != "" {
		args = append(args, r.tls, "--tls-verify", "--tls-ca-path", trusted)
	}
	if r.auth != "" {
		args = append(args, "--auth", r.auth, "--auth-user", sender, "--auth-password", s.password)
	}
	_, err := program{name: "swaks", args: append(args, l.args...), home: home}.run(ctx)
	return err
}
