package pool

import (
	"fmt"
	"testing"
	"time"

	"restante/relay"
)

// BenchmarkPick chooses among a thousand services and gives the room back, with all that
// is looked at beside the scheduler.
func BenchmarkPick(b *testing.B) {
	o := Options{Open: func(Document) (relay.Provider, error) { return nothing{}, nil }}
	for i := range 1000 {
		o.Static = append(o.Static, Document{Name: fmt.Sprint(i), Kind: "smtp"})
	}
	p, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range p.services {
		s.probes = probes{known: true, up: true, last: time.Now()}
	}
	p.look()
	defer p.close()
	w := relay.Want{Domain: "example.org", Octets: 1000, Recipients: 1}
	for b.Loop() {
		k, err := p.Pick(w)
		if err != nil {
			b.Fatal(err)
		}
		k.Release()
	}
}

type nothing struct{ relay.Provider }

func (nothing) Limits() relay.Limits { return relay.Limits{} }
func (nothing) Close() error         { return nil }
