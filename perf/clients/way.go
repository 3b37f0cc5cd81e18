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

// encrypted reports whether a certificate matters.
func (w way) encrypted() bool { return w != plain }
