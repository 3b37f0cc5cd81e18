package schedule

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// A crowd is the targets of a scheduler. It is read without a lock, and copied when it
// changes, which happens seldom.
type crowd struct {
	changing sync.Mutex
	current  atomic.Pointer[view]
}

// A view is a crowd at one time. It never changes.
type view []member

// A member is a target with its weight. It also is one of as many equal parts of the
// whole weight as there are members: the part belongs to the member itself up to a
// bound and to another above it, so that a member is drawn by its weight in constant
// time (alias method of Vose).
type member struct {
	*Target
	weight, cost float64 // cost of one outstanding: 1/weight
	below        uint32  // 2^32 times its own share of the part
	other        int32
}

func newMember(t *Target, weight float64) member {
	weight = max(weight, minWeight)
	return member{Target: t, weight: weight, cost: 1 / weight}
}

func (c *crowd) view() view {
	if v := c.current.Load(); v != nil {
		return *v
	}
	return nil
}

func (c *crowd) Insert(t *Target, weight float64, _ int) {
	c.change(func(v view) view { return append(v.without(t), newMember(t, weight)) })
}

func (c *crowd) Remove(t *Target) {
	c.change(func(v view) view { return v.without(t) })
}

func (c *crowd) change(changed func(view) view) {
	c.changing.Lock()
	defer c.changing.Unlock()
	v := changed(c.view())
	v.divide()
	c.current.Store(&v)
}

// without is a copy that lacks a target.
func (v view) without(t *Target) view {
	return slices.DeleteFunc(slices.Clone(v), func(m member) bool { return m.Target == t })
}

// divide says whom the parts belong to.
func (v view) divide() {
	total := 0.0
	for i := range v {
		total += v[i].weight
	}
	sizes := make([]float64, len(v)) // of what is not yet in a part, in parts
	var small, large []int
	for i := range v {
		sizes[i] = v[i].weight / total * float64(len(v))
		v[i].below, v[i].other = math.MaxUint32, int32(i)
		if sizes[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		v[s].below, v[s].other = uint32(sizes[s]*(1<<32)), int32(l)
		if sizes[l] -= 1 - sizes[s]; sizes[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	// Who is left over has a part for himself, but for rounding.
}

// byWeight draws a member by a random number. It has no branch: a processor would guess
// it wrong half of the time, which costs more than all the rest.
func (v view) byWeight(r uint32) *member {
	product := uint64(r) * uint64(len(v))
	i := int32(product >> 32)
	m := &v[i]
	own := int32((int64(uint32(product)) - int64(m.below)) >> 63) // all bits where it is in its own share, or none
	return &v[m.other^(m.other^i)&own]
}

// draws is how often chance is asked before all members are looked at.
const draws = 4

// sample draws, by weight, a member that fits and is not the one besides; nil where there
// is none.
func (v view) sample(r random, besides *member, fit func(*Target) bool) *member {
	if len(v) == 0 {
		return nil
	}
	for range draws {
		if m := v.byWeight(uint32(r())); m != besides && m.fits(fit) {
			return m
		}
	}
	var found *member
	total := 0.0
	for i := range v {
		m := &v[i]
		if m == besides || !m.fits(fit) {
			continue
		}
		total += m.weight
		if r.fraction()*total < m.weight {
			found = m
		}
	}
	return found
}

// two draws two members that fit, if there are as many.
func (v view) two(r random, fit func(*Target) bool) (one, two *member) {
	if len(v) == 0 {
		return nil, nil
	}
	chance := r()
	one, two = v.byWeight(uint32(chance)), v.byWeight(uint32(chance>>32))
	if !one.fits(fit) {
		if one = v.sample(r, nil, fit); one == nil {
			return nil, nil
		}
	}
	if two == one || !two.fits(fit) {
		two = v.sample(r, one, fit)
	}
	return one, two
}

func (m *member) fits(fit func(*Target) bool) bool { return fit == nil || fit(m.Target) }
