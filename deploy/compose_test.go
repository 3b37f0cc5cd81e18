package deploy_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A composition is a compose file, with what it extends in place.
type composition struct {
	Services map[string]service
	Networks map[string]struct {
		Internal bool
		IPAM     struct {
			Config []struct{ Subnet netip.Prefix }
		}
	}
	Volumes map[string]any
}

type service struct {
	Image       string
	Command     []string
	Environment map[string]string
	Networks    any
	Ports       []string
	Volumes     []string
	MemLimit    string                                `yaml:"mem_limit"`
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck struct{ Test []string }
}

var compositions = map[string]struct{ nodes, servers int }{
	"compose/compose.yaml": {3, 2},
	"compose/small.yaml":   {1, 1},
}

func compose(t *testing.T, name string) composition {
	t.Helper()
	return as[composition](t, extended(t, documents(t, name)[0]))
}

// extended puts the services that others extend in their place.
func extended(t *testing.T, file map[string]any) map[string]any {
	t.Helper()
	common := documents(t, "compose/common.yaml")[0]
	var full func(in map[string]any, s any) map[string]any
	full = func(in map[string]any, s any) map[string]any {
		own := s.(map[string]any)
		base, ok := own["extends"].(map[string]any)
		if !ok {
			return own
		}
		if base["file"] == "common.yaml" {
			in = common
		}
		merged := merge(full(in, in["services"].(map[string]any)[base["service"].(string)]), own)
		delete(merged, "extends")
		return merged
	}
	services := map[string]any{}
	for name, s := range file["services"].(map[string]any) {
		services[name] = full(file, s)
	}
	file = maps.Clone(file)
	file["services"] = services
	return file
}

// merge is base with what over says otherwise.
func merge(base, over map[string]any) map[string]any {
	m := maps.Clone(base)
	for key, v := range over {
		if both, ok := m[key].(map[string]any); ok {
			v = merge(both, v.(map[string]any))
		}
		m[key] = v
	}
	return m
}

// value is what a command line gives a flag.
func (s service) value(flag string) string {
	for _, arg := range s.Command {
		if v, ok := strings.CutPrefix(arg, "--"+flag+"="); ok {
			return v
		}
	}
	return ""
}

func TestComposeStartsWhatTheProgramKnows(t *testing.T) {
	for file := range compositions {
		for name, s := range compose(t, file).Services {
			if strings.HasPrefix(s.Image, "restante:") {
				commandLine{s.Command, slices.Collect(maps.Keys(s.Environment))}.check(t, file+": "+name, nil)
			}
		}
	}
}

func TestComposePublishesOnLoopbackAlone(t *testing.T) {
	for file := range compositions {
		taken := map[string]string{}
		for name, s := range compose(t, file).Services {
			for _, port := range s.Ports {
				parts := strings.Split(port, ":")
				if len(parts) != 3 || !netip.MustParseAddr(parts[0]).IsLoopback() {
					t.Errorf("%s: %s publishes %s", file, name, port)
					continue
				}
				if other := taken[parts[1]]; other != "" {
					t.Errorf("%s: %s and %s publish %s", file, name, other, parts[1])
				}
				taken[parts[1]] = name
				if !slices.ContainsFunc(slices.Collect(maps.Values(s.Environment)), func(v string) bool { return strings.HasSuffix(v, ":"+parts[2]) }) {
					t.Errorf("%s: nothing of %s listens on %s", file, name, parts[2])
				}
			}
		}
		if len(taken) == 0 {
			t.Errorf("%s publishes nothing", file)
		}
	}
}

func TestComposeReplicatesToTheNodesThatThereAre(t *testing.T) {
	for file, size := range compositions {
		c := compose(t, file)
		want := fmt.Sprintf("dc1:%d,dc2:%d", size.nodes, size.nodes)
		if got := c.Services["schema"].value("cassandra-replication"); got != want {
			t.Errorf("%s: replication %s, want %s", file, got, want)
		}
		for dc := 1; dc <= 2; dc++ {
			racks := map[string]bool{}
			for i := 1; i <= size.nodes; i++ {
				node := fmt.Sprintf("dc%d-cassandra-%d", dc, i)
				s, ok := c.Services[node]
				if !ok || s.Environment["CASSANDRA_DC"] != fmt.Sprintf("dc%d", dc) {
					t.Errorf("%s: %s is in data centre %q", file, node, s.Environment["CASSANDRA_DC"])
				}
				racks[s.Environment["CASSANDRA_RACK"]] = true
				if c.Services["schema"].DependsOn[node].Condition != "service_healthy" {
					t.Errorf("%s: the schema does not await %s", file, node)
				}
			}
			// Each replica in a rack of its own, or the nodes would not share alike.
			if len(racks) != size.nodes {
				t.Errorf("%s: dc%d has racks %v", file, dc, racks)
			}
		}
	}
}

func TestComposeHasTwoDataCentresThatAreAlike(t *testing.T) {
	// What differs are names and addresses.
	as1 := strings.NewReplacer("dc2", "dc1", "172.28.2.", "172.28.1.", "172.28.0.2", "172.28.0.1", "127.0.0.1:12", "127.0.0.1:11")
	node := regexp.MustCompile(`--node=\d+`)
	order := regexp.MustCompile(`DependsOn:map\[[^]]*\]`) // nodes join in turn
	plain := func(s service) string {
		s.DependsOn = nil
		return order.ReplaceAllString(node.ReplaceAllString(as1.Replace(fmt.Sprintf("%+v", s)), ""), "")
	}
	for file, size := range compositions {
		c := compose(t, file)
		if want := 2*(size.nodes+size.servers) + 1; len(c.Services) != want {
			t.Errorf("%s has %d services, want %d", file, len(c.Services), want)
		}
		for name, s := range c.Services {
			other, ok := strings.CutPrefix(name, "dc1-")
			if !ok {
				continue
			}
			if a, b := plain(s), plain(c.Services["dc2-"+other]); a != b {
				t.Errorf("%s: dc1-%s and dc2-%s differ:\n%s\n%s", file, other, other, a, b)
			}
		}
	}
}

// Seeds and nodes have addresses in the networks that they are on, and servers reach
// no node of the other data centre.
func TestComposeLinksTheDataCentresByCassandraAlone(t *testing.T) {
	for file := range compositions {
		c := compose(t, file)
		if !c.Networks["link"].Internal {
			t.Errorf("%s: the link leads elsewhere", file)
		}
		addresses := map[string]bool{}
		for name, s := range c.Services {
			dc, _, _ := strings.Cut(name, "-")
			if !strings.Contains(name, "cassandra") {
				if nets := fmt.Sprint(s.Networks); nets != "[dc1]" && nets != "[dc2]" || dc != "schema" && nets != "["+dc+"]" {
					t.Errorf("%s: %s is on %s", file, name, nets)
				}
				continue
			}
			on := as[map[string]struct {
				IP netip.Addr `yaml:"ipv4_address"`
			}](t, s.Networks)
			for network, want := range map[string]string{"link": s.Environment["CASSANDRA_LISTEN_ADDRESS"], dc: s.Environment["CASSANDRA_BROADCAST_RPC_ADDRESS"]} {
				ip := on[network].IP
				if !ip.IsValid() || ip.String() != want || !c.Networks[network].IPAM.Config[0].Subnet.Contains(ip) {
					t.Errorf("%s: %s has %s on %s, and says %s", file, name, ip, network, want)
				}
				if addresses[want] {
					t.Errorf("%s: two nodes are %s", file, want)
				}
				addresses[want] = true
			}
			if s.Environment["CASSANDRA_BROADCAST_ADDRESS"] != s.Environment["CASSANDRA_LISTEN_ADDRESS"] {
				t.Errorf("%s: %s listens elsewhere than it says", file, name)
			}
		}
		for seed := range strings.SplitSeq(c.Services["dc1-cassandra-1"].Environment["CASSANDRA_SEEDS"], ",") {
			if !addresses[seed] {
				t.Errorf("%s: no node is the seed %s", file, seed)
			}
		}
	}
}

func TestComposeServersAreToldApart(t *testing.T) {
	for file, size := range compositions {
		c := compose(t, file)
		numbers := map[string]bool{}
		for name, s := range c.Services {
			if len(s.Command) == 0 || s.Command[0] != "serve" {
				continue
			}
			numbers[s.value("node")] = true
			dc, _, _ := strings.Cut(name, "-")
			if s.value("cassandra-datacenter") != dc {
				t.Errorf("%s: %s is for data centre %s", file, name, s.value("cassandra-datacenter"))
			}
			for host := range strings.SplitSeq(s.value("cassandra-hosts"), ",") {
				if _, ok := c.Services[host]; !ok || !strings.HasPrefix(host, dc) {
					t.Errorf("%s: %s asks %s", file, name, host)
				}
			}
			if s.DependsOn["schema"].Condition != "service_completed_successfully" {
				t.Errorf("%s: %s does not await the schema", file, name)
			}
		}
		if len(numbers) != 2*size.servers {
			t.Errorf("%s: servers are numbered %v", file, numbers)
		}
	}
}

var pinned = regexp.MustCompile(`:(dev|\d+\.\d+[a-z0-9.-]*)$`)

func TestComposeBoundsAndPinsEveryContainer(t *testing.T) {
	for file := range compositions {
		c := compose(t, file)
		for name, s := range c.Services {
			if !pinned.MatchString(s.Image) {
				t.Errorf("%s: %s is of %q, any version", file, name, s.Image)
			}
			if s.MemLimit == "" {
				t.Errorf("%s: %s may take all memory", file, name)
			}
			if name != "schema" && len(s.Healthcheck.Test) == 0 {
				t.Errorf("%s: nobody knows whether %s works", file, name)
			}
			for _, v := range s.Volumes {
				volume, _, _ := strings.Cut(v, ":")
				if _, ok := c.Volumes[volume]; !ok || volume != name {
					t.Errorf("%s: %s keeps its data in %s", file, name, v)
				}
			}
			if name != "schema" && len(s.Volumes) == 0 {
				t.Errorf("%s: %s keeps nothing", file, name)
			}
		}
	}
}

func TestTheImageIsOfPinnedParts(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(string(text), -1)
	for _, stage := range stages {
		if stage[1] != "scratch" && !pinned.MatchString(stage[1]) {
			t.Errorf("%s: any version", stage[1])
		}
	}
	if len(stages) != 3 || stages[2][1] != "scratch" {
		t.Errorf("stages %v", stages)
	}
	release := regexp.MustCompile(`(?m)^go (\d+\.\d+)`)
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "golang:" + release.FindStringSubmatch(string(mod))[1] + "-"; !strings.HasPrefix(stages[0][1], want) {
		t.Errorf("built by %s, go.mod asks for %s", stages[0][1], want)
	}
}
