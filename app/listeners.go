package app

import (
	"context"
	"fmt"
	"net"
)

// A listener of the configuration.
type listener struct {
	flag   string
	addr   string
	server string // whose it is; a server may have two
	tls    bool   // from the first octet
}

func (c *Config) listeners() []listener {
	return []listener{
		{"smtp", c.SMTP, "mx", false},
		{"submission", c.Submission, "submission", false},
		{"submissions", c.Submissions, "submission", true},
		{"lmtp", c.LMTP, "lmtp", false},
		{"pop3", c.POP3, "pop3", false},
		{"pop3s", c.POP3S, "pop3", true},
		{"http", c.HTTP, "public", false},
		{"https", c.HTTPS, "public", true},
		{"admin", c.Admin, "admin", !IsLoopback(c.Admin)},
	}
}

// bind opens the port of a listener. Its connections have no TCP keep-alive, which
// takes four system calls for each: all our waits for a client have an end.
func (l listener) bind() (net.Listener, error) {
	bound, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp", l.addr)
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %w", l.flag, l.addr, err)
	}
	return bound, nil
}
