package relay

import (
	"bytes"
	"fmt"

	"restante/internal/spool"
	"restante/mailbox"
)

// spoolMemory is how much of a submitted message is kept in memory, in octets.
const spoolMemory = 128 << 10

// A submissionSpool keeps a submitted message until it is stored: what stands in front of
// its header, the signatures, is known when its end is.
type submissionSpool struct {
	spool.Spool
	eightBit bool // there are octets beyond ASCII
}

func (s *submissionSpool) Write(p []byte) (int, error) {
	s.eightBit = s.eightBit || bytes.ContainsFunc(p, func(r rune) bool { return r >= 0x80 })
	n, err := s.Spool.Write(p)
	if err != nil {
		err = fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	return n, err
}
