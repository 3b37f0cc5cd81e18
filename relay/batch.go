package relay

import (
	"errors"
	"fmt"
	"math"
)

// ErrBatch is what Append and Encode fail with where more is given than one Append
// takes. Trying again does not help.
var ErrBatch = errors.New("relay: more than a journal takes at once")

// CheckBatch fails with ErrBatch if a journal does not take these events in one Append.
// Every journal asks it first, so that none takes what another would not.
func CheckBatch(events []Event) error {
	if len(events) > MaxBatch {
		return fmt.Errorf("%w: %d events, at most %d", ErrBatch, len(events), MaxBatch)
	}
	octets := 0
	for _, e := range events {
		if e.Entry.Recipient < Whole || e.Entry.Recipient > math.MaxInt32 || e.Seq < 0 || e.Seq > math.MaxInt32 {
			return fmt.Errorf("%w: recipient %d, attempt %d", ErrBatch, e.Entry.Recipient, e.Seq)
		}
		if len(e.Data) > MaxData {
			return fmt.Errorf("%w: an event of %d octets, at most %d", ErrBatch, len(e.Data), MaxData)
		}
		if len(e.Content) > MaxContent || e.Content != nil && e.Kind != Accepted {
			return fmt.Errorf("%w: a content of %d octets with an event of kind %d", ErrBatch, len(e.Content), e.Kind)
		}
		octets += e.octets()
	}
	if octets > MaxBatchOctets {
		return fmt.Errorf("%w: %d octets, at most %d", ErrBatch, octets, MaxBatchOctets)
	}
	return nil
}

// octets are what counts of an event towards MaxBatchOctets.
func (e Event) octets() int { return len(e.Data) + len(e.Content) }
