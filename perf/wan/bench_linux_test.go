package wan

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// ticks is the processor time that the link has used, in ticks of 10 ms.
func ticks(b *testing.B, n *Network) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.PID()))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

func BenchmarkRoundTrip(b *testing.B) {
	if !permitted(b) {
		return
	}
	for _, delay := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
		b.Run(delay.String(), func(b *testing.B) {
			n := network(b, Settings{Delay: delay})
			far := n.Places[1]
			echo(b, far, far.Node(1)+":7000")
			c := dial(b, n.Places[0].Namespace, far.Node(1)+":7000")
			var all []time.Duration
			for b.Loop() {
				start := time.Now()
				if err := exchange(c, 5*time.Second); err != nil {
					b.Fatal(err)
				}
				all = append(all, time.Since(start))
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "µs-p50")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "µs-p99")
		})
	}
}

// BenchmarkCarry measures one connection, as fast as it can and at a rate of its own, for
// what the link itself costs.
func BenchmarkCarry(b *testing.B) {
	if !permitted(b) {
		return
	}
	for _, c := range []struct {
		name  string
		link  Settings
		pause time.Duration // behind each 64 KiB
	}{
		{"as fast as it can", Settings{}, 0},
		{"as fast as it can, 10 ms", Settings{Delay: 10 * time.Millisecond}, 0},
		{"20 MB a second, 1 ms", Settings{Delay: time.Millisecond}, 3276 * time.Microsecond},
		{"20 MB a second, 1 ms, packets of 1500", Settings{Delay: time.Millisecond, Rate: 1 << 30}, 3276 * time.Microsecond},
	} {
		b.Run(c.name, func(b *testing.B) {
			n := network(b, c.link)
			near, far := n.Places[0], n.Places[1]
			var l net.Listener
			if err := inside(far.Namespace, func() (err error) {
				l, err = net.Listen("tcp4", far.Node(1)+":7000")
				return err
			}); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			done := make(chan struct{})
			go func() {
				defer close(done)
				if in, err := l.Accept(); err == nil {
					_, _ = io.Copy(io.Discard, in)
					_ = in.Close()
				}
			}()
			out := dial(b, near.Namespace, far.Node(1)+":7000")
			chunk := make([]byte, 64<<10)
			before, start := ticks(b, n), time.Now()
			next := start
			for b.Loop() {
				if _, err := out.Write(chunk); err != nil {
					b.Fatal(err)
				}
				next = next.Add(c.pause)
				time.Sleep(time.Until(next))
			}
			used, took := ticks(b, n)-before, time.Since(start)
			b.SetBytes(int64(len(chunk)))
			b.ReportMetric(100*float64(used)/float64(took), "%cpu")
			_ = out.Close()
			<-done
		})
	}
}
