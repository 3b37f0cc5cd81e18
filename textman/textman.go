// Package textman is the service of short texts: one posts a text for a user, the
// user takes it once, and after its time it is gone. A text is a message in the
// temporary maildrop of the user's address, so that mail to the address is a text
// too and POP3 reads what was not taken yet.
//
// Nothing is counted and nothing is locked beyond this process. Texts are written
// once, under ids that no two servers share, and Take removes the very lines that it
// returns and never a range of them: a text that arrives late, under an earlier id
// than those that were returned, is there for the next Take.
package textman

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
)

// Limits of what is posted.
const (
	MaxText        = 64 << 10 // octets
	DefaultTimeout = time.Minute
	MinTimeout     = time.Second
	defaultMost    = 7 * 24 * time.Hour
)

// Options configure a [Service]. What is not said to be optional must be there.
type Options struct {
	Domain     string // where users have their addresses, in canonical form
	Maildrops  mailbox.Maildrops
	Contents   mailbox.Contents
	Deliveries *mailbox.Deliveries // on the same store
	Log        *slog.Logger

	MaxTimeout time.Duration         // 0: 7 days
	Flush      bool                  // whether Flush is allowed, which costs memory for each user
	Registerer prometheus.Registerer // nil means no metrics
	Now        func() time.Time      // nil means time.Now

	// Server is a number that no other server on the same store has: it is part of
	// the ids.
	Server uint8
	// IDFile remembers which ids were used, for a server that is started again after
	// its clock was set back. Empty: nothing is remembered, and no id is given before
	// its second has come.
	IDFile string
}

// A Service keeps texts. It is safe for concurrent use.
type Service struct {
	Options
	ids     *ids
	turns   turns
	posted  *posted // nil unless Flush is allowed
	metrics metrics
}

// New returns a service. It fails where the IDFile cannot be read.
func New(o Options) (*Service, error) {
	o.MaxTimeout = cmp.Or(o.MaxTimeout, defaultMost)
	if o.Now == nil {
		o.Now = time.Now
	}
	ids, err := newIDs(o.Server, o.IDFile, o.Now)
	if err != nil {
		return nil, fmt.Errorf("textman: %w", err)
	}
	s := &Service{Options: o, ids: ids, turns: newTurns(), metrics: newMetrics(o.Registerer)}
	if o.Flush {
		s.posted = newPosted()
	}
	return s, nil
}

// A Text is what somebody posted for a user.
type Text struct {
	ID   int64 // 53 bits, so that every JSON parser keeps it
	Text string
}

// ErrFlush: the service was not made to be flushed.
var ErrFlush = errors.New("textman: flushing is not allowed")

// An InvalidError says what is wrong with the arguments of a call, for the caller to
// read. What is right is empty.
type InvalidError struct{ User, Text, Timeout string }

func (e *InvalidError) Error() string {
	var all []string
	for _, s := range []struct{ name, why string }{{"user", e.User}, {"text", e.Text}, {"timeout", e.Timeout}} {
		if s.why != "" {
			all = append(all, s.name+": "+s.why)
		}
	}
	return "textman: " + strings.Join(all, "; ")
}

// address is where a user's texts are.
func (s *Service) address(user string) (a mailbox.Address, why string) {
	if user == "" {
		return a, "must not be empty"
	}
	if strings.Trim(user, "0123456789") == "" {
		return a, "must not be all digits"
	}
	a, err := mailbox.TextAddress(user, s.Domain)
	if err != nil {
		return a, "is too long"
	}
	return a, ""
}

// dropOf is the maildrop of a user, which has one life.
func dropOf(a mailbox.Address) mailbox.MaildropID { return mailbox.TemporaryMaildropOf(a, 1) }
