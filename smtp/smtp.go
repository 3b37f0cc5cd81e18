// Package smtp receives mail: from other servers (MX), from the users of this
// one (submission), from a mail server in front (LMTP), and from one of ours that
// has it sent on (relay).
//
// It covers RFC 5321 with PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME
// (RFC 6152), SMTPUTF8 (RFC 6531), CHUNKING (RFC 3030), ENHANCEDSTATUSCODES
// (RFC 2034), STARTTLS (RFC 3207) and LIMITS (RFC 9422); submission with AUTH
// PLAIN and LOGIN (RFC 6409, RFC 4954, RFC 8314), and with DSN (RFC 3461) where
// there is a Submitter to keep what it promises; and LMTP (RFC 2033).
//
// Parameters, replies and the order of commands are the work of
// github.com/emersion/go-smtp. This package stands on both sides of it:
//
//	socket ─ wire ─ conn ─ go-smtp ─ session ─► Router, Deliverer, Submitter, Verifier
//	            └────── content ────────┘
//
// A wire is the TCP connection with its buffers, deadlines and TLS. A conn is
// what go-smtp takes for the network: it hands over one command at a time,
// after looking at it, and sees every reply. A session is what go-smtp calls
// for MAIL, RCPT and DATA; it reads the content of DATA from the wire itself.
// That keeps out of go-smtp what it does not do, or not the way a server on the
// open Internet needs it: bounded command lines beside unbounded message lines,
// the end of DATA, BDAT, TLS, deadlines, and a shutdown that wakes idle clients.
package smtp

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/auth"
	"restante/mailbox"
)

// A Kind says for whom a server is there.
type Kind uint8

const (
	// MX takes mail for local addresses from anyone (RFC 5321).
	MX Kind = iota
	// Submission takes mail from users who logged in (RFC 6409).
	Submission
	// LMTP takes mail for local addresses from a mail server in front, and
	// answers for each recipient (RFC 2033). It trusts whoever connects.
	LMTP
	// Relay takes mail for anybody from servers of ours, and all of it goes to the
	// Submitter. It trusts whoever connects, so nobody else may reach it.
	Relay
)

func (k Kind) String() string {
	switch k {
	case MX:
		return "mx"
	case Submission:
		return "submission"
	case LMTP:
		return "lmtp"
	case Relay:
		return "relay"
	}
	return "unknown"
}

// A Router says who receives mail for an address. mailbox.Directory is one.
type Router interface {
	// Resolve is every maildrop behind a path. It fails with mailbox.ErrNotLocal,
	// ErrNotFound, ErrTooFar, ErrFull or ErrUnavailable.
	Resolve(ctx context.Context, a mailbox.Address) ([]mailbox.Recipient, error)
	// IsLocal reports whether mail for the domain is delivered here.
	IsLocal(domain string) bool
	// Postmaster is meant by <postmaster> without a domain.
	Postmaster() mailbox.Address
}

// A Deliverer keeps messages. mailbox.Deliveries is one.
type Deliverer interface {
	// Deliver reads content to its end. When it returns nil the message is
	// durable and listed for every recipient. An error of content fails it.
	// Nothing reads content after it has returned.
	Deliver(ctx context.Context, env mailbox.Envelope, content io.Reader) (mailbox.Message, error)
}

// Options is what a server needs. Router and Deliverer are required, and
// Verifier for submission; of a relay it is Submitter alone. Every other field has a
// default.
type Options struct {
	Kind     Kind
	Hostname string // in the greeting and the Received field; default "localhost"

	Router    Router
	Deliverer Deliverer
	Submitter Submitter // of submission and relay: takes all mail, in place of the Deliverer; nil: users reach local addresses only
	Verifier  auth.Verifier

	TLS          *tls.Config // nil: neither STARTTLS nor ServeTLS
	InsecureAuth bool        // AUTH without TLS

	MaxOctets      int64 // of a message; default 50 MiB
	MaxRecipients  int   // RCPT commands of a message; default 1000
	MaxConnections int   // at a time; default 1000
	MaxPerNetwork  int   // of these, from one IPv4 address or IPv6 /64; default 100. Loopback is not limited
	MaxErrors      int   // commands refused for good before the server hangs up; default 20

	CommandTimeout time.Duration // for a whole command line; default 5 minutes (RFC 5321, section 4.5.3.2.7)
	DataTimeout    time.Duration // between two pieces of content; default 5 minutes
	WriteTimeout   time.Duration // for a reply; default 1 minute
	StoreTimeout   time.Duration // for Router, Verifier, and Deliverer without progress; default 1 minute

	Log        *slog.Logger          // nil: slog.Default
	Registerer prometheus.Registerer // nil: no metrics
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	o.Hostname = cmp.Or(o.Hostname, "localhost")
	o.MaxOctets = cmp.Or(o.MaxOctets, 50<<20)
	o.MaxRecipients = cmp.Or(o.MaxRecipients, 1000)
	o.MaxConnections = cmp.Or(o.MaxConnections, 1000)
	o.MaxPerNetwork = cmp.Or(o.MaxPerNetwork, 100)
	o.MaxErrors = cmp.Or(o.MaxErrors, 20)
	o.CommandTimeout = cmp.Or(o.CommandTimeout, 5*time.Minute)
	o.DataTimeout = cmp.Or(o.DataTimeout, 5*time.Minute)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, time.Minute)
	o.StoreTimeout = cmp.Or(o.StoreTimeout, time.Minute)
	o.Log = cmp.Or(o.Log, slog.Default())
	return o
}
