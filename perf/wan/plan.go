package wan

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// A Plan is what Start makes of the machine.
type Plan struct {
	pid    int
	prefix netip.Prefix // of all addresses
}

// networks are the prefixes that a network may have.
func networks() []netip.Prefix {
	var all []netip.Prefix
	for second := byte(77); second < 109; second++ {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, second, 0, 0}), 16))
	}
	return all
}

// choose is the first of the networks that no route of this machine leads to.
func choose(routes []netip.Prefix) (netip.Prefix, error) {
next:
	for _, p := range networks() {
		for _, r := range routes {
			if r.Bits() > 0 && r.Overlaps(p) {
				continue next
			}
		}
		return p, nil
	}
	return netip.Prefix{}, fmt.Errorf("this machine has routes to all of %v", networks())
}

// Dry is a plan for any machine, to be shown.
func Dry() Plan { return Plan{prefix: networks()[0]} }

const namespacePrefix = "restante-"

func (p Plan) namespace(dc int) string {
	if p.pid == 0 {
		return namespacePrefix + fmt.Sprintf("PID-dc%d", dc)
	}
	return namespacePrefix + fmt.Sprintf("%d-dc%d", p.pid, dc)
}

// outside is how this machine's end of the way into a data centre is called. Names of
// devices have 15 characters at most.
func (p Plan) outside(dc int) string {
	if p.pid == 0 {
		return fmt.Sprintf("restPID-%d", dc)
	}
	return fmt.Sprintf("rest%d-%d", p.pid, dc)
}

// ours are the names of namespaces, with the process that they belong to.
var ours = regexp.MustCompile(`^` + namespacePrefix + `(\d+)-dc\d$`)

func (p Plan) network() string {
	b := p.prefix.Addr().As4()
	return fmt.Sprintf("%d.%d", b[0], b[1])
}

// Places are the data centres.
func (p Plan) Places() [Datacenters]Place {
	var places [Datacenters]Place
	for i := range places {
		places[i] = Place{Datacenter: i + 1, Namespace: p.namespace(i + 1), network: p.network()}
	}
	return places
}

// namespaces are commands of ip(8) that make the namespaces and the direct ways into them.
// All addresses of a data centre are its own, whoever listens there.
func (p Plan) namespaces() []string {
	var c []string
	for dc := 1; dc <= Datacenters; dc++ {
		ns, out, own, way := p.namespace(dc), p.outside(dc), fmt.Sprintf("%s.%d", p.network(), dc), fmt.Sprintf("%s.%d", p.network(), 128+dc)
		c = append(c,
			"netns add "+ns,
			"-n "+ns+" link set lo up",
			"-n "+ns+" route add local "+own+".0/24 dev lo",
			"link add "+out+" type veth peer name outside netns "+ns,
			"address add "+way+".1/30 dev "+out,
			"link set "+out+" up",
			"-n "+ns+" address add "+way+".2/30 dev outside",
			"-n "+ns+" link set outside up",
			"route add "+own+".0/24 via "+way+".2",
		)
	}
	return c
}

// link are commands of ip(8) that lead from each data centre to the other, when the devices
// are there. A queue that is short would drop what comes while the link sleeps.
func (p Plan) link() []string {
	var c []string
	for dc := 1; dc <= Datacenters; dc++ {
		ns := p.namespace(dc)
		c = append(c,
			"-n "+ns+" link set "+device+" up txqueuelen 10000",
			fmt.Sprintf("-n %s route add %s.%d.0/24 dev %s src %s.%d.1", ns, p.network(), 3-dc, device, p.network(), dc),
		)
	}
	return c
}

// servers are the rules of nft(8) by which the addresses of servers lead to loopback.
func (p Plan) servers(place Place) string {
	var pairs []string
	for n := 1; n <= Servers; n++ {
		address, loopback := place.Server(n)
		pairs = append(pairs, address+" : "+loopback)
	}
	return "table ip restante { chain servers { type nat hook prerouting priority dstnat; dnat to ip daddr map { " +
		strings.Join(pairs, ", ") + " }; }; }"
}

// removal are commands of ip(8) that remove everything. Each may fail where it is gone.
func (p Plan) removal() []string {
	var c []string
	for dc := 1; dc <= Datacenters; dc++ {
		c = append(c, "link delete "+p.outside(dc), "netns delete "+p.namespace(dc))
	}
	return c
}

// Commands are what makes the network, as a person would type it, but for the devices of
// the link: those are there while the process is that carries the packets, and the last of
// the commands are for then.
func (p Plan) Commands() []string {
	var c []string
	for _, line := range p.namespaces() {
		c = append(c, "ip "+line)
	}
	for _, place := range p.Places() {
		enter := strings.Join(place.Enter(), " ")
		c = append(c,
			enter+" sysctl net.ipv4.conf.all.route_localnet=1",
			enter+" nft '"+p.servers(place)+"'",
		)
	}
	for _, line := range p.link() {
		c = append(c, "ip "+line)
	}
	return c
}

// device is how the end of the link is called in each namespace.
const device = "wan0"
