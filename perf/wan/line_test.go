package wan

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// give puts a packet of a size on a line, which its number begins.
func give(l *line, now time.Duration, number, size int) bool {
	room := l.room()
	if room == nil {
		return false
	}
	binary.BigEndian.PutUint32(room, uint32(number))
	l.put(now, size)
	return true
}

// arrivals are when packets come out, of those that do by then.
func arrivals(l *line, until time.Duration) (numbers []int, at []time.Duration) {
	for {
		data, due, ok := l.next()
		if !ok || due > until {
			return numbers, at
		}
		numbers, at = append(numbers, int(binary.BigEndian.Uint32(data))), append(at, due)
		l.took(due, true)
	}
}

const ms = time.Millisecond

func TestAPacketComesOutAfterTheDelay(t *testing.T) {
	l := newLine(Settings{Delay: 10 * ms})
	for i, now := range []time.Duration{0, 3 * ms, 3 * ms} {
		give(l, now, i, 100)
	}
	if _, at := arrivals(l, 9*ms); at != nil {
		t.Errorf("packets come out at %v already", at)
	}
	if _, at := arrivals(l, 20*ms); !slices.Equal(at, []time.Duration{10 * ms, 13 * ms, 13 * ms}) {
		t.Errorf("packets come out at %v", at)
	}
}

func TestNoPacketOvertakesAnother(t *testing.T) {
	l := newLine(Settings{Delay: 10 * ms, Jitter: 10 * ms})
	random := rand.New(rand.NewPCG(1, 2))
	l.random = random.Float64
	const count = 1000
	for i := range count {
		if i == count/2 {
			l.set(Settings{})
		}
		give(l, time.Duration(i)*ms/10, i, 100)
	}
	numbers, at := arrivals(l, time.Hour)
	if len(numbers) != count || !slices.IsSorted(numbers) || !slices.IsSorted(at) {
		t.Errorf("%d packets come out at %v", len(numbers), at)
	}
	spread := map[time.Duration]bool{}
	for i := range count / 2 {
		d := at[i] - time.Duration(i)*ms/10
		if d < 0 || d > 20*ms {
			t.Errorf("packet %d took %v", i, d)
		}
		spread[d.Round(ms)] = true
	}
	if len(spread) < 5 {
		t.Errorf("all take %v", spread)
	}
}

func TestPacketsWaitForASlowLineAndAreDroppedWhereTheQueueIsFull(t *testing.T) {
	l := newLine(Settings{Delay: 10 * ms, Rate: 1_000_000}) // 1,000 octets take 1 ms
	for i := range 500 {
		give(l, 0, i, 1000+virtioHeader)
	}
	numbers, at := arrivals(l, time.Hour)
	if at[0] != 11*ms || at[1] != 12*ms {
		t.Errorf("the first come out at %v and %v", at[0], at[1])
	}
	if want := int(backlog/ms) + 1; len(numbers) != want || l.traffic.DroppedPackets != int64(500-want) {
		t.Errorf("%d packets come out and %d are dropped", len(numbers), l.traffic.DroppedPackets)
	}
	if give(l, time.Second, 0, 1000+virtioHeader); l.count != 1 {
		t.Error("a packet that comes when the queue is empty is dropped")
	}
}

func TestALineTellsHowLatePacketsAre(t *testing.T) {
	l := newLine(Settings{Delay: 10 * ms})
	for i, late := range []time.Duration{0, 3 * ms, ms} {
		give(l, 0, i, 100)
		l.took(10*ms+late, true)
	}
	if l.traffic.Late != 4*ms || l.traffic.Latest != 3*ms {
		t.Errorf("traffic is %+v", l.traffic)
	}
}

func TestALineThatIsCutCountsWhatItDrops(t *testing.T) {
	l := newLine(Settings{})
	l.cut = true
	give(l, 0, 0, 100+virtioHeader)
	if want := (Traffic{DroppedPackets: 1, DroppedOctets: 100}); l.count != 0 || l.traffic != want {
		t.Errorf("traffic is %+v", l.traffic)
	}
}

// What goes in comes out, while the ring goes round many times and is full now and then.
func TestPacketsOfAnySizeComeOutAsTheyWentIn(t *testing.T) {
	l := newLine(Settings{Delay: 10 * ms})
	l.ring = make([]byte, 5*largest)
	random := rand.New(rand.NewPCG(3, 4))
	var kept, got []int
	full := 0
	for i := range 20_000 {
		now := time.Duration(i) * ms / 4
		if give(l, now, i, 4+random.IntN(largest-4)) {
			kept = append(kept, i)
		} else {
			full++
		}
		if i%3 == 0 {
			numbers, _ := arrivals(l, now)
			got = append(got, numbers...)
		}
	}
	numbers, _ := arrivals(l, time.Hour)
	if got = append(got, numbers...); !slices.Equal(got, kept) {
		t.Errorf("%d packets come out of %d", len(got), len(kept))
	}
	if full == 0 || len(kept) < 1000 {
		t.Errorf("%d packets found no room, and %d did", full, len(kept))
	}
}

func TestALineThatHasNoRoomForAnotherPacketSaysSo(t *testing.T) {
	l := newLine(Settings{Delay: time.Hour})
	for i := range linePackets {
		if !give(l, 0, i, 100) {
			t.Fatalf("no room for packet %d", i)
		}
	}
	if give(l, 0, 0, 100) {
		t.Error("there is room for one more")
	}
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, s := range []Settings{{Delay: -1}, {Jitter: 1}, {Rate: -1}, {Loss: -0.1}, {Loss: 1.1}} {
		if s.check() == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
	if err := (Settings{Delay: ms, Jitter: ms, Loss: 1, Rate: 1}).check(); err != nil {
		t.Error(err)
	}
}

func TestANetworkTakesAddressesThatNobodyHas(t *testing.T) {
	taken := []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.77.3.0/24"),
		netip.MustParsePrefix("10.78.0.0/15"), netip.MustParsePrefix("192.0.2.0/24"),
	}
	if got, err := choose(taken); err != nil || got != netip.MustParsePrefix("10.80.0.0/16") {
		t.Errorf("chose %v, %v", got, err)
	}
	if _, err := choose([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); err == nil {
		t.Error("chose where all is taken")
	}
}

func TestDevicesHaveNamesThatTheKernelTakes(t *testing.T) {
	p := Plan{pid: 4_194_304, prefix: networks()[0]} // the largest there is
	if name := p.outside(2); len(name) > 15 {
		t.Errorf("%s has %d characters", name, len(name))
	}
	if !ours.MatchString(p.namespace(1)) {
		t.Errorf("the next network does not know %s for one of ours", p.namespace(1))
	}
	if c := strings.Join(p.Commands(), "\n"); !strings.Contains(c, "netns add restante-4194304-dc2") {
		t.Errorf("the commands are\n%s", c)
	}
}
