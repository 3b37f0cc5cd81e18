package schedule

import (
	"math"

	"github.com/cespare/xxhash/v2"
)

// A sticky scheduler chooses the same target for the same key, in every process, and
// moves no more keys than it must when targets come, go or change their weights
// (weighted rendezvous hashing). It looks at all.
type sticky struct{ crowd }

func newSticky(random) Scheduler { return new(sticky) }

func (s *sticky) Pick(key string, fit func(*Target) bool) *Target {
	v := s.view()
	hash := xxhash.Sum64String(key)
	var best *Target
	most := math.Inf(-1)
	for i := range v {
		m := &v[i]
		if score := m.score(hash); score > most && m.fits(fit) {
			best, most = m.Target, score
		}
	}
	return best
}

// score is higher than those of the others for a part of all keys that is the part of
// the weight.
func (m *member) score(key uint64) float64 {
	u := (float64(mix(key^m.hash)>>11) + 0.5) / (1 << 53)
	return -m.weight / math.Log(u)
}

// mix spreads each bit over all (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
