package scenario

import "context"

// A Repeat calls a function again and again: a load on something that is no mail
// server, measured and told in the same way.
type Repeat struct {
	Load
	// Do is operation number i, on the connection of that number, and tells how
	// many octets it moved. Each connection has one operation at a time.
	Do func(ctx context.Context, connection, i int) (octets int64, err error)
}

// Run repeats until the load's end.
func (r Repeat) Run(ctx context.Context) (*Tally, error) {
	return drive(ctx, r.Load, func(number int) worker { return repeater{r, number} })
}

type repeater struct {
	Repeat
	number int
}

func (r repeater) do(ctx context.Context, i int) (int64, error) { return r.Do(ctx, r.number, i) }

func (r repeater) close() {}
