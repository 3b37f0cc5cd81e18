package cassandra

import (
	"encoding/binary"
	"testing"
)

// fill adds the keys from 0 to before n.
func fill(f *filter, n int) {
	for i := range n {
		f.add(binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
}

// mistaken is how many of n keys that were not added a filter has.
func mistaken(f *filter, n int) (found int) {
	for i := range n {
		if f.has(binary.BigEndian.AppendUint64(nil, uint64(1<<32+i))) {
			found++
		}
	}
	return found
}

func TestAFilterHasWhatWasAdded(t *testing.T) {
	const n = 30_000
	for name, octets := range map[string]int{"one layer": 1 << 20, "far too little": 1 << 10, "less than nothing": -1} {
		f := newFilter(octets, 12)
		fill(f, n)
		for i := range n {
			if !f.has(binary.BigEndian.AppendUint64(nil, uint64(i))) {
				t.Fatalf("%s: key %d of %d is gone", name, i, n)
			}
		}
	}
}

func TestAFilterStaysWithinItsMemory(t *testing.T) {
	for _, octets := range []int{64, 100_000, 300_000, 1 << 20} {
		f := newFilter(octets, 64)
		fill(f, 150_000)
		sum := 0
		for _, l := range f.layers {
			sum += 8 * len(l.bits)
		}
		if sum > octets {
			t.Errorf("%d octets, want at most %d", sum, octets)
		}
	}
	if f := newFilter(1<<30, 12); len(f.layers) != 1 || 8*len(f.layers[0].bits) != firstLayer {
		t.Error("an empty filter takes more than the first layer")
	}
}

// The figures that the documentation gives.
func TestAFilterRarelyTakesAKeyForAnother(t *testing.T) {
	for _, c := range []struct {
		spread, keys int
		most         float64 // mistakes
	}{
		{12, 699_050, 0.01},
		{24, 349_525, 0.000_05},
	} {
		f := newFilter(1<<20, c.spread)
		fill(f, c.keys)
		const asked = 400_000
		share := float64(mistaken(f, asked)) / asked
		if share > c.most || f.mistakes() > c.most {
			t.Errorf("%d keys of %d bits in a MiB: %.5f mistaken, %.5f foretold; want at most %.5f", c.keys, c.spread, share, f.mistakes(), c.most)
		}
		if c.spread == 12 && (share < f.mistakes()/2 || share > 2*f.mistakes()) {
			t.Errorf("%.5f mistaken and %.5f foretold", share, f.mistakes())
		}
	}
}

func TestEachFilterMakesOtherMistakes(t *testing.T) {
	var both int
	a, b := newFilter(1<<10, 12), newFilter(1<<10, 12)
	fill(a, 1500)
	fill(b, 1500)
	const asked = 20_000
	for i := range asked {
		key := binary.BigEndian.AppendUint64(nil, uint64(1<<32+i))
		if a.has(key) && b.has(key) {
			both++
		}
	}
	if one := mistaken(a, asked); one == 0 || both > one/2 {
		t.Errorf("of %d keys that one takes for present, the other does %d of them too", one, both)
	}
}

func TestAKeyThatIsAddedAgainTakesNoRoom(t *testing.T) {
	f := newFilter(1<<20, 12)
	for range 5 {
		fill(f, 1000)
	}
	if f.keys != 1000 {
		t.Errorf("%d keys, want 1000", f.keys)
	}
}
