package wan

import (
	"math/rand/v2"
	"time"
)

const (
	// largest is the size of the largest packet that a TUN device hands out: one for several
	// that the kernel has not yet cut, behind a header.
	largest = 64<<10 + virtioHeader
	// virtioHeader is the size of the header that says how a packet is to be cut.
	virtioHeader = 10
	// What a line holds at most, in octets and in packets: 50 ms at 300 MB/s.
	lineOctets, linePackets = 16 << 20, 1 << 14
)

// A line is one way of the link: packets in the order in which they come out, each with its
// time. Times are since any moment that stays the same. It allocates nothing for a packet.
type line struct {
	Settings
	cut     bool
	traffic Traffic
	random  func() float64 // from 0 to 1

	free time.Duration // when the last packet has been sent, where the rate is limited
	last time.Duration // when the last packet comes out

	ring    []byte // of packets, each in one piece
	tail    int    // where the next packet goes
	packets []packet
	first   int // of packets, which is a ring too
	count   int
}

// A packet is a piece of the ring.
type packet struct {
	at, size int
	due      time.Duration
}

func newLine(s Settings) *line {
	return &line{Settings: s, random: rand.Float64, ring: make([]byte, lineOctets), packets: make([]packet, linePackets)}
}

// room is where the next packet may be put for [line.put]. It is nil where the line is full.
func (l *line) room() []byte {
	if l.count == len(l.packets) {
		return nil
	}
	if l.count == 0 {
		l.tail = 0
		return l.ring[:largest]
	}
	head := l.packets[l.first].at
	if l.tail > head {
		if l.tail+largest <= len(l.ring) {
			return l.ring[l.tail : l.tail+largest]
		}
		l.tail = 0 // leaves what is left at the end unused
	}
	if l.tail+largest < head { // equal would look like an empty ring
		return l.ring[l.tail : l.tail+largest]
	}
	return nil
}

// put takes the packet of that size that is in room, or drops it.
func (l *line) put(now time.Duration, size int) {
	due, carried := l.admit(now, size)
	if !carried {
		l.drop(size)
		return
	}
	l.packets[(l.first+l.count)%len(l.packets)] = packet{at: l.tail, size: size, due: due}
	l.count++
	l.tail += size
}

// admit says when a packet comes out, if at all.
func (l *line) admit(now time.Duration, size int) (due time.Duration, carried bool) {
	if l.cut || l.Loss > 0 && l.random() < l.Loss {
		return 0, false
	}
	sent := now
	if l.Rate > 0 {
		if l.free-now > backlog {
			return 0, false
		}
		l.free = max(l.free, now) + time.Duration(float64(octets(size))/float64(l.Rate)*float64(time.Second))
		sent = l.free
	}
	due = sent + l.Delay
	if l.Jitter > 0 {
		due += time.Duration((2*l.random() - 1) * float64(l.Jitter))
	}
	l.last = max(l.last, due)
	return l.last, true
}

// next is the packet that comes out first, and when.
func (l *line) next() (data []byte, due time.Duration, ok bool) {
	if l.count == 0 {
		return nil, 0, false
	}
	p := l.packets[l.first]
	return l.ring[p.at : p.at+p.size], p.due, true
}

// took removes the packet that comes out first, which was carried or not.
func (l *line) took(now time.Duration, carried bool) {
	size, late := l.packets[l.first].size, now-l.packets[l.first].due
	l.first = (l.first + 1) % len(l.packets)
	l.count--
	if !carried {
		l.drop(size)
		return
	}
	l.traffic.Packets++
	l.traffic.Octets += int64(octets(size))
	l.traffic.Late += late
	l.traffic.Latest = max(l.traffic.Latest, late)
}

func (l *line) drop(size int) {
	l.traffic.DroppedPackets++
	l.traffic.DroppedOctets += int64(octets(size))
}

// octets is what a packet has on the link.
func octets(size int) int { return max(0, size-virtioHeader) }

// set changes the link from the next packet on. Those that are under way keep their times,
// and none overtakes them.
func (l *line) set(s Settings) {
	l.Settings = s
	l.free = 0
}
