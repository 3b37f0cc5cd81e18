package pool

import (
	"fmt"
	"time"

	"restante/mailbox"
)

// An Epoch is one registration of a service: a TimeUUID (RFC 9562, section 5.1). Of two
// instances with the same name the one with the later epoch is the service.
type Epoch mailbox.MessageID

func (e Epoch) String() string { return mailbox.MessageID(e).String() }

// IsZero reports whether nobody has registered.
func (e Epoch) IsZero() bool { return e == Epoch{} }

// before reports whether another epoch is later.
func (e Epoch) before(other Epoch) bool {
	return mailbox.MessageID(e).Compare(mailbox.MessageID(other)) < 0
}

// MarshalText writes the text form of an epoch, and nothing for the zero one.
func (e Epoch) MarshalText() ([]byte, error) {
	if e.IsZero() {
		return nil, nil
	}
	return []byte(e.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (e *Epoch) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*e = Epoch{}
		return nil
	}
	id, err := mailbox.ParseMessageID(string(text))
	if err != nil {
		return fmt.Errorf("pool: epoch %.40q: %w", text, ErrInvalid)
	}
	*e = Epoch(id)
	return nil
}

// epochAfter is a new epoch, later than another even where that was minted by a clock
// that is ahead of ours.
func (p *Pool) epochAfter(other Epoch) Epoch {
	e := Epoch(p.options.IDs.Next())
	if other.before(e) {
		return e
	}
	ahead := mailbox.MessageIDs{Now: func() time.Time { return mailbox.MessageID(other).Time().Add(time.Microsecond) }}
	return Epoch(ahead.Next())
}
