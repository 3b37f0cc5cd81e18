package web

import (
	"fmt"
	"slices"
	"time"
)

// A life is how long an address may be asked to live.
type life struct {
	Seconds int64
	Words   string
	Default bool
}

// lives are those to choose from: the default and some round ones up to the longest.
func lives(standard, longest time.Duration) []life {
	all := []time.Duration{standard}
	for _, d := range []time.Duration{15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
		if d <= longest {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	out := make([]life, len(all))
	for i, d := range all {
		out[i] = life{Seconds: int64(d / time.Second), Words: words(d), Default: d == standard}
	}
	return out
}

// words says how long something takes.
func words(d time.Duration) string {
	for _, unit := range []struct {
		name string
		d    time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		switch {
		case d == unit.d:
			return "1 " + unit.name
		case d > unit.d && d%unit.d == 0:
			return fmt.Sprintf("%d %ss", d/unit.d, unit.name)
		}
	}
	return d.String()
}
