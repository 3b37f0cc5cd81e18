package main

import "restante/perf/wire"

// A way is how a client protects its POP3 session.
type way struct {
	name     string
	security wire.Security
}

// The three ways there are.
var (
	plain    = way{"plain", wire.Plain}
	stls     = way{"STLS", wire.Upgrade}
	implicit = way{"TLS", wire.Implicit}

	ways = []way{plain, stls, implicit}
)

// autoconfig is that of a client which finds the settings by itself: the server names
// POP3 under TLS first.
var autoconfig = way{"autoconfig", wire.Implicit}

// encrypted reports whether a certificate matters.
func (w way) encrypted() bool { return w != plain }
