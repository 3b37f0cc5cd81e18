package pool

import "time"

// A window counts two kinds of things over a stretch of time that moves along. The zero
// value cannot be used.
type window struct {
	step  time.Duration
	cells []cell
	start time.Time // of the first step; zero: nothing was counted
}

type cell struct {
	step int64 // that it counts
	n    [2]int64
}

func newWindow(length time.Duration, cells int) window {
	return window{step: length / time.Duration(cells), cells: make([]cell, cells)}
}

func (w *window) add(now time.Time, kind int, n int64) {
	if w.start.IsZero() {
		w.start = now
	}
	step := w.at(now)
	c := &w.cells[step%int64(len(w.cells))]
	if c.step != step {
		*c = cell{step: step}
	}
	c.n[kind] += n
}

func (w *window) at(now time.Time) int64 { return int64(max(0, now.Sub(w.start)) / w.step) }

// sum is what was counted in the steps that still count.
func (w *window) sum(now time.Time) (n [2]int64) {
	if w.start.IsZero() {
		return n
	}
	oldest := w.at(now) - int64(len(w.cells)) + 1
	for _, c := range w.cells {
		if c.step >= oldest {
			n[0] += c.n[0]
			n[1] += c.n[1]
		}
	}
	return n
}

func (w *window) clear() {
	clear(w.cells)
	w.start = time.Time{}
}
