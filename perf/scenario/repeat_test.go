package scenario

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

func TestARepeatCountsWhatItsFunctionDoes(t *testing.T) {
	var busy [3]atomic.Bool
	r := Repeat{Load: Load{Connections: 3, Count: 30}, Do: func(_ context.Context, connection, i int) (int64, error) {
		if !busy[connection].CompareAndSwap(false, true) {
			t.Errorf("connection %d does two things at once", connection)
		}
		defer busy[connection].Store(false)
		if i == 7 {
			return 0, errors.New("no luck")
		}
		return 10, nil
	}}
	tally, err := r.Run(t.Context())
	if err != nil || tally.Operations != 29 || tally.Errors != 1 || tally.Octets != 290 {
		t.Errorf("%+v, %v", tally, err)
	}
}
