package wan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// permitted reports whether this machine permits networks. Where it has to, a test fails
// for want of one.
func permitted(t testing.TB) bool {
	t.Helper()
	err := Permitted()
	switch {
	case err == nil:
		return true
	case os.Getenv("RESTANTE_REQUIRE_NAMESPACES") == "1":
		t.Fatal(err)
	}
	t.Logf("%v, which is fine", err)
	return false
}

// network makes one for a test.
func network(t testing.TB, s Settings) *Network {
	t.Helper()
	n, err := Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// echo serves in a namespace what comes there, from sockets of that namespace.
func echo(t testing.TB, p Place, address string) {
	t.Helper()
	var l net.Listener
	err := inside(p.Namespace, func() (err error) {
		l, err = net.Listen("tcp4", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
}

// dial connects from within a namespace, or from this one where there is none.
func dial(t testing.TB, namespace, address string) *net.TCPConn {
	t.Helper()
	c, err := try(namespace, address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

func try(namespace, address string, timeout time.Duration) (c net.Conn, err error) {
	connect := func() error {
		c, err = net.DialTimeout("tcp4", address, timeout)
		return err
	}
	if namespace == "" {
		err = connect()
	} else {
		err = inside(namespace, connect)
	}
	return c, err
}

// roundTrip is the shortest of some.
func roundTrip(t *testing.T, c net.Conn, tries int) time.Duration {
	t.Helper()
	shortest := time.Hour
	for range tries {
		start := time.Now()
		if err := exchange(c, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		shortest = min(shortest, time.Since(start))
	}
	return shortest
}

func exchange(c net.Conn, timeout time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("ping")); err != nil {
		return err
	}
	var b [4]byte
	_, err := io.ReadFull(c, b[:])
	return err
}

func TestALinkDelaysWhatGoesFromOneDatacentreToTheOther(t *testing.T) {
	if !permitted(t) {
		return
	}
	const delay = 20 * time.Millisecond
	n := network(t, Settings{Delay: delay})
	far := n.Places[1]
	echo(t, far, far.Node(3)+":7000")
	address, loopback := far.Server(1)
	echo(t, far, loopback+":2110")

	across := roundTrip(t, dial(t, n.Places[0].Namespace, far.Node(3)+":7000"), 5)
	if across < 2*delay || across > 3*delay {
		t.Errorf("over the link and back: %v, want about %v", across, 2*delay)
	}
	if d := roundTrip(t, dial(t, n.Places[0].Namespace, address+":2110"), 5); d < 2*delay {
		t.Errorf("over the link to a server: %v, want about %v", d, 2*delay)
	}
	for _, direct := range []string{far.Node(3) + ":7000", address + ":2110"} {
		if d := roundTrip(t, dial(t, "", direct), 20); d > delay {
			t.Errorf("from outside to %s: %v, want no delay", direct, d)
		}
	}
	if err := n.Set(t.Context(), Settings{}); err != nil {
		t.Fatal(err)
	}
	if d := roundTrip(t, dial(t, n.Places[0].Namespace, far.Node(3)+":7000"), 20); d > delay {
		t.Errorf("over a link that has no delay any more: %v", d)
	}
}

func TestALinkThatIsCutCarriesNothingUntilItIsMended(t *testing.T) {
	if !permitted(t) {
		return
	}
	n := network(t, Settings{})
	far := n.Places[1]
	echo(t, far, far.Node(1)+":7000")
	c := dial(t, n.Places[0].Namespace, far.Node(1)+":7000")
	roundTrip(t, c, 1)
	for _, ways := range [][]Way{nil, {Forth}, {Back}} {
		if err := n.Cut(t.Context(), ways...); err != nil {
			t.Fatal(err)
		}
		if err := exchange(c, 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("cut %v: %v", ways, err)
		}
		if err := n.Mend(t.Context()); err != nil {
			t.Fatal(err)
		}
		c = dial(t, n.Places[0].Namespace, far.Node(1)+":7000")
		roundTrip(t, c, 1)
	}
	traffic, err := n.Traffic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", traffic)
	for way, each := range traffic {
		if each.Packets == 0 || each.Octets == 0 || each.DroppedPackets == 0 {
			t.Errorf("way %d: %+v", way, each)
		}
	}
}

func TestALinkIsMendedAlsoForOneWhoIsInAHurry(t *testing.T) {
	if !permitted(t) {
		return
	}
	n := network(t, Settings{})
	far := n.Places[1]
	echo(t, far, far.Node(1)+":7000")
	c := dial(t, n.Places[0].Namespace, far.Node(1)+":7000")
	if err := n.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Mend(ended); err != nil {
		t.Error(err)
	}
	if err := n.Set(ended, Settings{Delay: time.Millisecond}); err != nil {
		t.Error(err)
	}
	if d := roundTrip(t, c, 3); d < 2*time.Millisecond {
		t.Errorf("over a link that was given a delay: %v", d)
	}
}

func TestALinkLosesAsManyPacketsAsItIsTold(t *testing.T) {
	if !permitted(t) {
		return
	}
	n := network(t, Settings{Loss: 0.2})
	near, far := n.Places[0], n.Places[1]
	var in net.PacketConn
	err := inside(far.Namespace, func() (err error) {
		in, err = net.ListenPacket("udp4", far.Node(1)+":9")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	var out net.Conn
	err = inside(near.Namespace, func() (err error) {
		out, err = net.Dial("udp4", far.Node(1)+":9")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	const sent = 2000
	for range sent {
		if _, err := out.Write([]byte("letter")); err != nil {
			t.Fatal(err)
		}
	}
	var traffic Traffic
	for deadline := time.Now().Add(5 * time.Second); traffic.Packets+traffic.DroppedPackets < sent && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		both, err := n.Traffic(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		traffic = both[Forth]
	}
	// Four standard deviations are 0.036.
	if lost := float64(traffic.DroppedPackets) / sent; lost < 0.164 || lost > 0.236 {
		t.Errorf("%.3f of the packets are lost: %+v", lost, traffic)
	}
}

func TestALinkIsAsFastAsItIsTold(t *testing.T) {
	if !permitted(t) {
		return
	}
	const rate, size = 4 << 20, 2 << 20
	n := network(t, Settings{Delay: time.Millisecond, Rate: rate})
	far := n.Places[1]
	echo(t, far, far.Node(1)+":7000")
	c := dial(t, n.Places[0].Namespace, far.Node(1)+":7000")
	start := time.Now()
	go func() {
		_, _ = c.Write(make([]byte, size))
		_ = c.CloseWrite()
	}()
	if err := c.SetDeadline(start.Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.Copy(io.Discard, c); got != size || err != nil {
		t.Fatalf("%d octets came back, %v", got, err)
	}
	if took := time.Since(start); took < size*time.Second/rate || took > 6*size*time.Second/rate {
		t.Errorf("%d octets at %d a second took %v", size, rate, took)
	}
}

// victimVariable makes the test binary a tool that makes a network and waits to be killed.
const victimVariable = "RESTANTE_PERF_WAN_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVariable); dir != "" {
		n, err := Start(context.Background(), Settings{})
		if err == nil {
			err = n.Remove(context.Background(), dir)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n.PID())
		time.Sleep(time.Minute)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func victim(t *testing.T, dir string) (cmd *exec.Cmd, plan Plan) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(self)
	cmd.Env = append(os.Environ(), victimVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscan(out, &plan.pid); err != nil {
		t.Fatal(err)
	}
	return cmd, plan
}

// left is what there is of a network.
func left(t *testing.T, p Plan) string {
	t.Helper()
	var found []string
	for dc := 1; dc <= Datacenters; dc++ {
		if _, err := os.Stat("/run/netns/" + p.namespace(dc)); err == nil {
			found = append(found, p.namespace(dc))
		}
		if _, err := net.InterfaceByName(p.outside(dc)); err == nil {
			found = append(found, p.outside(dc))
		}
	}
	return strings.Join(found, ", ")
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10s until %s", what)
		}
	}
}

func TestANetworkGoesWithAToolThatIsKilled(t *testing.T) {
	if !permitted(t) {
		return
	}
	dir := t.TempDir() + "/data"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	tool, plan := victim(t, dir)
	if left(t, plan) == "" {
		t.Error("there is no network")
	}
	if err := tool.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = tool.Wait() // it was killed
	await(t, "the network is gone", func() bool {
		_, err := os.Stat(dir)
		return left(t, plan) == "" && errors.Is(err, os.ErrNotExist)
	})
}

func TestANetworkWhoseLinkIsKilledTellsThatAndIsRemoved(t *testing.T) {
	if !permitted(t) {
		return
	}
	n, err := Start(t.Context(), Settings{})
	if err != nil {
		t.Fatal(err)
	}
	plan := Plan{pid: n.PID()}
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-n.Exited():
	case <-time.After(10 * time.Second):
		t.Error("nobody is told")
	}
	if err := n.Cut(t.Context()); err == nil {
		t.Error("a link that is gone was cut")
	}
	if err := n.Close(); err == nil {
		t.Error("it was closed as if nothing had happened")
	}
	if what := left(t, plan); what != "" {
		t.Errorf("%s is left", what)
	}
}

func TestWhatAKilledLinkLeavesIsRemovedByTheNext(t *testing.T) {
	if !permitted(t) {
		return
	}
	tool, plan := victim(t, t.TempDir())
	link, err := os.FindProcess(plan.pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(link.Kill(), tool.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	_ = tool.Wait()
	if left(t, plan) == "" {
		t.Error("it left nothing behind to be removed")
	}
	await(t, "the next network removes what is left", func() bool {
		n, err := Start(t.Context(), Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		return left(t, plan) == ""
	})
}
