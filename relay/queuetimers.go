package relay

import "container/heap"

// timers are messages by when they wake.
type timers struct{ heap byWake }

// add has a message wake at a time, whatever was said before.
func (t *timers) add(m *message, at stamp) {
	m.wake = at
	if m.index >= 0 {
		heap.Fix(&t.heap, int(m.index))
		return
	}
	heap.Push(&t.heap, m)
}

// remove takes a message out, if it is there.
func (t *timers) remove(m *message) {
	if m.index >= 0 {
		heap.Remove(&t.heap, int(m.index))
	}
}

// next is the message that wakes first, or nil.
func (t *timers) next() *message {
	if len(t.heap) == 0 {
		return nil
	}
	return t.heap[0]
}

type byWake []*message

func (h byWake) Len() int           { return len(h) }
func (h byWake) Less(i, j int) bool { return h[i].wake < h[j].wake }

func (h byWake) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = int32(i), int32(j)
}

func (h *byWake) Push(m any) {
	m.(*message).index = int32(len(*h))
	*h = append(*h, m.(*message))
}

func (h *byWake) Pop() any {
	last := len(*h) - 1
	m := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	m.index = -1
	return m
}
