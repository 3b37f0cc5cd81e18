package deploy_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/cassandra"
	"restante/internal/freeport"
)

// A server is the program at work on an empty store.
type server struct{ smtp, admin, token string }

// serve starts the program. It ends with the test.
func serve(t *testing.T, flags ...string) server {
	t.Helper()
	addrs, release, err := freeport.Hold(2)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := server{smtp: addrs[0], admin: addrs[1], token: "the-token-of-a-test"}
	args := []string{"serve", "--data", dir, "--admin-token", s.token, "--smtp", s.smtp, "--admin", s.admin, "--log-level", "warn"}
	for _, listener := range []string{"submission", "submissions", "pop3", "pop3s", "http"} {
		args = append(args, "--"+listener, "127.0.0.1:0")
	}
	cmd := exec.Command(built(t), append(args, flags...)...)
	cmd.Env, cmd.Stderr = []string{}, os.Stderr
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	for end := time.Now().Add(time.Minute); ; {
		r, err := http.Get("http://" + s.admin + "/healthz")
		if err == nil {
			r.Body.Close()
			return s
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond) // a port has nothing to wait on
	}
}

// deliver sends a mail. It does not ask for TLS, as smtp.SendMail would, for nobody has
// signed the certificate.
func (s server) deliver(t *testing.T, to string) {
	t.Helper()
	c, err := smtp.Dial(s.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	content, err := func() (io.WriteCloser, error) {
		if err := c.Mail("me@example.org"); err != nil {
			return nil, err
		}
		if err := c.Rcpt(to); err != nil {
			return nil, err
		}
		return c.Data()
	}()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(content, "Subject: x\r\n\r\nx\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := content.Close(); err != nil {
		t.Fatal(err)
	}
}

// metrics are the labels of each metric that a server shows.
func (s server) metrics(t *testing.T) map[string][]string {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+s.token)
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", r.Status, err)
	}
	shown := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if m := regexp.MustCompile(`^([a-z]\w*)(?:\{(.*)\})? `).FindStringSubmatch(line); m != nil {
			shown[m[1]] = append(shown[m[1]], labelsOf(m[2])...)
		}
	}
	return shown
}

var assignment = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)

// labelsOf are the names in the braces of a metric or of a query.
func labelsOf(braces string) []string {
	var names []string
	for _, m := range assignment.FindAllStringSubmatch(braces, -1) {
		names = append(names, m[1])
	}
	return names
}

// exposed is what servers show: on the embedded store one that has had a mail, and has a
// service to send by; and what the other store would show, which needs no cluster to say
// so.
func exposed(t *testing.T) map[string][]string {
	t.Helper()
	services := filepath.Join(t.TempDir(), "services.yaml")
	if err := os.WriteFile(services, []byte("services: [{name: fake, provider: 'fake://'}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--relay-services", services)
	s.deliver(t, "user@localhost.localdomain")
	shown := s.metrics(t)
	maps.Copy(shown, ofCassandra(t))
	return shown
}

// ofCassandra are the metrics of a store whose cluster is away, from their descriptions.
func ofCassandra(t *testing.T) map[string][]string {
	t.Helper()
	r := prometheus.NewRegistry()
	store, err := cassandra.Open(t.Context(), cassandra.Options{
		Hosts: []string{"127.0.0.1:1"}, Keyspace: "restante", Datacenter: "dc1", Registerer: r, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Sweep(t.Context(), cassandra.SweepOptions{}); err == nil {
		t.Error("swept a cluster that is away")
	}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		r.Describe(descriptions)
		close(descriptions)
	}()
	shown := map[string][]string{}
	for d := range descriptions {
		m := regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{([^}]*)\}`).FindStringSubmatch(d.String())
		labels := strings.Split(m[2], ",")
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			if suffix == "" || strings.HasSuffix(m[1], "_seconds") {
				shown[m[1]+suffix] = labels
			}
		}
	}
	return shown
}

// Labels that Prometheus adds itself.
var scraped = []string{"instance", "job", "le"}

var (
	selector = regexp.MustCompile(`\b((?:restante|process|go)_\w+)(?:\{([^}]*)\})?`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// checkQuery reports metrics and labels in a query that no server shows.
func checkQuery(t *testing.T, where, query string, shown map[string][]string) {
	t.Helper()
	of := slices.Clone(scraped)
	found := selector.FindAllStringSubmatch(query, -1)
	for _, m := range found {
		labels, ok := shown[m[1]]
		if !ok {
			t.Errorf("%s: no server shows %s", where, m[1])
			continue
		}
		of = append(of, labels...)
		for _, l := range labelsOf(m[2]) {
			if !slices.Contains(labels, l) && !slices.Contains(scraped, l) {
				t.Errorf("%s: %s has no label %s", where, m[1], l)
			}
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(query, -1) {
		for l := range strings.SplitSeq(m[1], ",") {
			if !slices.Contains(of, strings.TrimSpace(l)) {
				t.Errorf("%s: nothing in %s has a label %s", where, query, l)
			}
		}
	}
	if len(found) == 0 && !strings.HasPrefix(query, "up{") {
		t.Errorf("%s: no metric in %s", where, query)
	}
}

func TestTheDashboardAndTheAlertsNameMetricsThatThereAre(t *testing.T) {
	shown := exposed(t)
	text, err := os.ReadFile("grafana/restante.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	queries, ids := 0, map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("two panels are %d", p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			queries++
			checkQuery(t, p.Title, target.Expr, shown)
		}
	}
	type rule struct{ Alert, Expr string }
	rules := as[struct{ Groups []struct{ Rules []rule } }](t, documents(t, "prometheus/restante-rules.yaml")[0])
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			queries++
			checkQuery(t, r.Alert, r.Expr, shown)
		}
	}
	if queries < 30 {
		t.Errorf("found %d queries", queries)
	}
}
