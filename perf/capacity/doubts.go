package main

import (
	"fmt"

	"restante/perf/report"
	"restante/perf/sweep"
)

// check refuses assumptions that nothing can be divided by.
func (a assumptions) check() error {
	for _, one := range []struct {
		name  string
		value float64
	}{
		{"size", a.Size}, {"data centres", a.Datacenters}, {"replication", a.Replication}, {"cores", a.Cores},
		{"disk", a.Disk}, {"utilization", a.Utilization}, {"full", a.Full}, {"peak", a.Peak},
	} {
		if !(one.value > 0) {
			return fmt.Errorf("%s is %v, not above zero", one.name, one.value)
		}
	}
	if !(a.Hashed >= 0 && a.Hashed <= 1) {
		return fmt.Errorf("hashed is %v, and no share", a.Hashed)
	}
	return nil
}

// doubts are what a reader of the sizes has to know: what was not counted, what was
// counted with a bad fit, and what lies beyond the points.
func (a assumptions) doubts(m model) []string {
	var doubts []string
	for _, l := range laws() {
		if _, ok := m.find(l.series, l.metric); !ok {
			doubts = append(doubts, l.name()+" was not measured and is not in these sizes.")
		}
	}
	for _, f := range m {
		at := a.conditions(f.series)
		if !f.good() {
			doubts = append(doubts, fmt.Sprintf("**%s is from a bad fit** (%s).", f.name(), f.furthest()))
		}
		for _, t := range f.terms {
			v := at[t.condition]
			if lo, ok := f.from[t.condition]; ok && (v < lo || v > f.to[t.condition]) {
				doubts = append(doubts, fmt.Sprintf("%s was measured for a %s of %s to %s, and is used for %s.",
					f.name(), t.condition, report.Short(lo), report.Short(f.to[t.condition]), report.Short(v)))
			}
		}
		if n := f.to[sweep.Copies]; f.perCopy && n > 0 && n != a.copies() {
			doubts = append(doubts, fmt.Sprintf("%s was measured with %s copies, and is used for %s.", f.name(), report.Short(n), report.Short(a.copies())))
		}
	}
	return append(doubts, "The cost is that of a mean mail and a mean mailbox, which is right for sums as these; a peak of large ones is not in it.")
}
