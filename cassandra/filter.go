package cassandra

import (
	"hash/maphash"
	"math"
)

// A filter remembers keys in bounded memory (B. H. Bloom, "Space/time trade-offs in
// hash coding with allowable errors", 1970). What was added it has for certain; of
// what was not, it takes a few for something that was, others in each filter, as each
// has a seed of its own. It grows in layers while there is room, so that few keys
// take little memory.
type filter struct {
	seed   maphash.Seed
	spread int // bits for each key
	room   int // octets that it may still grow by
	layers []layer
	keys   int
}

type layer struct {
	bits  []uint64
	keys  int
	limit int // keys, before it takes more for present than it should
}

const (
	// firstLayer is in octets. Every other layer has four times as many as the one
	// before.
	firstLayer  = 256 << 10
	layerGrowth = 4
)

// newFilter is a filter of so many octets at most, and not less than 64. With 12 bits
// for a key it takes one key in 300 for present, in each of up to five layers, and
// holds 699,050 keys in a MiB; with 24, one in 100,000 and 349,525. Beyond that it
// still has every key, and takes more and more for present.
func newFilter(octets, spread int) *filter {
	f := &filter{seed: maphash.MakeSeed(), spread: spread, room: max(octets, 64)}
	f.grow()
	return f
}

func (f *filter) grow() {
	octets := firstLayer
	if n := len(f.layers); n > 0 {
		octets = 8 * len(f.layers[n-1].bits) * layerGrowth
	}
	octets = min(octets, f.room) &^ 7
	f.room -= octets
	f.layers = append(f.layers, layer{bits: make([]uint64, octets/8), limit: 8 * octets / f.spread})
}

func (f *filter) add(key []byte) {
	a, b := f.hash(key)
	for i := range f.layers {
		if f.hasIn(&f.layers[i], a, b) {
			return
		}
	}
	if last := f.layers[len(f.layers)-1]; last.keys >= last.limit && f.room >= firstLayer {
		f.grow()
	}
	l := &f.layers[len(f.layers)-1]
	for i := range f.probes() {
		bit := l.bit(a, b, i)
		l.bits[bit/64] |= 1 << (bit % 64)
	}
	l.keys++
	f.keys++
}

// has reports whether a key was added, or seems to have been.
func (f *filter) has(key []byte) bool {
	a, b := f.hash(key)
	for i := range f.layers {
		if f.hasIn(&f.layers[i], a, b) {
			return true
		}
	}
	return false
}

func (f *filter) hasIn(l *layer, a, b uint64) bool {
	for i := range f.probes() {
		bit := l.bit(a, b, i)
		if l.bits[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}

// probes is how many bits of a layer a key sets: with ln 2 times the bits that there
// are for it, half of them are set in the end, which is best.
func (f *filter) probes() uint64 { return max(1, uint64(math.Round(float64(f.spread)*math.Ln2))) }

// bit is the i-th bit of a key (A. Kirsch and M. Mitzenmacher, "Less hashing, same
// performance", 2006).
func (l *layer) bit(a, b, i uint64) uint64 { return (a + i*b) % (64 * uint64(len(l.bits))) }

func (f *filter) hash(key []byte) (a, b uint64) {
	a = maphash.Bytes(f.seed, key)
	// The finalizer of MurmurHash3 makes another hash of the first.
	b = a
	b ^= b >> 33
	b *= 0xff51afd7ed558ccd
	b ^= b >> 33
	b *= 0xc4ceb9fe1a85ec53
	b ^= b >> 33
	return a, b | 1
}

// mistakes is the share of other keys that the filter takes for present.
func (f *filter) mistakes() float64 {
	right := 1.0
	for _, l := range f.layers {
		k, m := float64(f.probes()), float64(64*len(l.bits))
		right *= 1 - math.Pow(1-math.Exp(-k*float64(l.keys)/m), k)
	}
	return 1 - right
}
