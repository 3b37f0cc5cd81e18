package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// What events say is JSON by the names of these fields, which are stored and must not
// change. What a field of a newer program says is passed over.

// AttemptData is the data of Attempt.
type AttemptData struct {
	Service string // that is asked first
}

// DeferredData is the data of Deferred.
type DeferredData struct {
	Next    time.Time // when the next attempt is due
	Service string    // that was asked last
	Outcome           // what it said
	Warned  bool      `json:",omitzero"` // the sender was told of the delay, now or before

	// Untold says that the recipient is given up for what was said, as soon as the sender can
	// be told so. Nothing is sent to it any more.
	Untold bool `json:",omitzero"`

	// Unreached are how many attempts, this one and those before, do not count, because
	// no service could be reached.
	Unreached int `json:",omitzero"`
}

// FailedData is the data of Failed.
type FailedData struct {
	Service string `json:",omitzero"` // that was asked last; empty: none ever was
	Outcome        // what it said
	Expired bool   `json:",omitzero"` // the time was over; what was said last was not the end
}

// CancelledData is the data of Cancelled.
type CancelledData struct {
	By string // who gave it up, as he calls himself
}

// DeliveredData is the data of Delivered.
type DeliveredData struct {
	Service string
	Outcome // what it said, such as its id of the message
}

// Data is what events carry, each kind its own.
type Data interface {
	Submission | AttemptData | DeferredData | FailedData | CancelledData | DeliveredData
}

// ErrDamaged is what Decode fails with where the data of an event cannot be read.
var ErrDamaged = errors.New("relay: damaged event")

// Encode is the data of an event as it is stored. It fails with ErrBatch if no journal
// takes so much.
func Encode[D Data](data D) ([]byte, error) {
	octets, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("relay: encode %T: %w", data, err)
	}
	if len(octets) > MaxData {
		return nil, fmt.Errorf("%w: %d octets of %T, at most %d", ErrBatch, len(octets), data, MaxData)
	}
	return octets, nil
}

// Decode reads what Encode wrote, in an event of the kind that carries such data. It
// fails with ErrDamaged.
func Decode[D Data](e Event) (data D, err error) {
	err = json.Unmarshal(e.Data, &data)
	if s, ok := any(&data).(*Submission); ok && err == nil {
		err = s.whole()
	}
	if err != nil {
		var none D
		return none, fmt.Errorf("%w: %T of %s: %w", ErrDamaged, data, e.Entry.Message, err)
	}
	return data, nil
}

// whole fails where what is said of each recipient is not said of each.
func (s *Submission) whole() error {
	n := len(s.Recipients)
	if n == 0 || s.Notify != nil && len(s.Notify) != n || s.Original != nil && len(s.Original) != n {
		return fmt.Errorf("%d recipients, %d of Notify, %d of Original", n, len(s.Notify), len(s.Original))
	}
	return nil
}
