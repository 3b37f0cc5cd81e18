package cassandratest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"restante/cassandra/cassandratest"
)

// another runs one test of this binary in another process, with changes to the
// environment.
func another(t *testing.T, test string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+test+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	return cmd
}

// output runs cmd and reports whether it succeeded.
func output(t *testing.T, cmd *exec.Cmd) (text string, ok bool) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), err == nil
}

// emptyMachine is the environment of a machine that has nothing and knows no
// shared cluster.
func emptyMachine(t *testing.T) []string {
	home := t.TempDir()
	return []string{
		"PATH=", "JAVA_HOME=", "DOCKER_HOST=unix:///nonexistent", "RESTANTE_CASSANDRA_HOSTS=", "RESTANTE_REQUIRE_CASSANDRA=",
		"HOME=" + home, "XDG_CACHE_HOME=" + home, "XDG_RUNTIME_DIR=" + home,
	}
}

const anyTest = "TestAnInsertOlderThanADeleteStaysDeleted"

func TestProcessesShareOneCluster(t *testing.T) {
	c := cassandratest.Start(t)
	want := fmt.Sprintf("hosts %v", c.Hosts())
	text, ok := output(t, another(t, anyTest))
	if !ok || !strings.Contains(text, "--- PASS: "+anyTest) || !strings.Contains(text, want) {
		t.Errorf("the other process passed: %t, want it to say %q:\n%s", ok, want, text)
	}
}

func TestHostsOfTheEnvironmentComeFirst(t *testing.T) {
	hosts := strings.Join(cassandratest.Start(t).Hosts(), ",")
	text, ok := output(t, another(t, anyTest, append(emptyMachine(t), "RESTANTE_CASSANDRA_HOSTS="+hosts)...))
	if !ok || !strings.Contains(text, "--- PASS: "+anyTest) || !strings.Contains(text, hosts) {
		t.Errorf("the other process passed: %t, want hosts %s:\n%s", ok, hosts, text)
	}
}

func TestAMachineWithoutCassandra(t *testing.T) {
	for _, test := range []string{anyTest, "TestTwoDatacenters"} {
		t.Run(test+" is skipped and says what would help", func(t *testing.T) {
			text, ok := output(t, another(t, test, emptyMachine(t)...))
			if !ok || !strings.Contains(text, "--- SKIP: "+test) || !strings.Contains(text, "install Java 17 and Maven") {
				t.Errorf("passed: %t:\n%s", ok, text)
			}
		})
		t.Run(test+" fails where Cassandra is required", func(t *testing.T) {
			text, ok := output(t, another(t, test, append(emptyMachine(t), "RESTANTE_REQUIRE_CASSANDRA=1")...))
			if ok || !strings.Contains(text, "--- FAIL: "+test) || !strings.Contains(text, "install Java 17 and Maven") {
				t.Errorf("passed: %t:\n%s", ok, text)
			}
		})
	}
}

func TestHostsThatAreNoneAreNamed(t *testing.T) {
	text, ok := output(t, another(t, anyTest, append(emptyMachine(t), "RESTANTE_CASSANDRA_HOSTS=localhost")...))
	if ok || !strings.Contains(text, "RESTANTE_CASSANDRA_HOSTS: want host:port") {
		t.Errorf("passed: %t:\n%s", ok, text)
	}
}
