package jvm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"restante/cassandra/cassandratest/internal/process"
)

// ErrAbsent is wrapped where the machine lacks Java 17, or lacks Maven while the
// jars have yet to be fetched.
var ErrAbsent = errors.New("not on this machine")

// How long Maven may take to fetch 100 jars, 66 MiB, and itself 25 MiB more.
const fetchTimeout = 4 * time.Minute

// copyDependencies is the goal that resolves config/pom.xml; without its version
// Maven would take whichever is newest that day.
const copyDependencies = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

var java17 = regexp.MustCompile(`version "17[."]`)

// An Installation is what it takes to run nodes.
type Installation struct {
	java string // the executable
	jars string // the directory
}

// Install finds Java 17 and the jars of Cassandra under cache, where it fetches
// them from Maven Central the first time. Processes that call it at the same
// time fetch once.
func Install(ctx context.Context, cache string) (Installation, error) {
	java, err := findJava(ctx)
	if err != nil {
		return Installation{}, err
	}
	pom, err := config.ReadFile("config/pom.xml")
	if err != nil {
		return Installation{}, err
	}
	sum := sha256.Sum256(pom)
	jars := filepath.Join(cache, "jars-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return Installation{}, err
	}
	lock, err := process.Lock(ctx, jars+".lock")
	if err != nil {
		return Installation{}, err
	}
	defer func() { _ = lock.Close() }()
	if _, err := os.Stat(jars); err == nil {
		return Installation{java, jars}, nil
	}
	if err := fetch(ctx, pom, jars); err != nil {
		return Installation{}, err
	}
	return Installation{java, jars}, nil
}

// findJava looks for Java 17 in JAVA_HOME, then on the PATH. Cassandra 5.0 does
// not start on a newer one.
func findJava(ctx context.Context) (string, error) {
	candidates := []string{"java"}
	if home := os.Getenv("JAVA_HOME"); home != "" {
		candidates = []string{filepath.Join(home, "bin", "java"), "java"}
	}
	for _, name := range candidates {
		java, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
		if err == nil && java17.Match(out) {
			return java, nil
		}
	}
	return "", fmt.Errorf("java 17 in JAVA_HOME or on the PATH: %w", ErrAbsent)
}

// fetch fills the directory jars, which appears only when it is complete.
func fetch(ctx context.Context, pom []byte, jars string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("mvn on the PATH, to fetch Cassandra's jars: %w", ErrAbsent)
	}
	dir, err := os.MkdirTemp(filepath.Dir(jars), "fetch-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(file, pom, 0o600); err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	got := filepath.Join(dir, "jars")
	cmd := exec.CommandContext(ctx, mvn, "--batch-mode", "--quiet", "--no-transfer-progress", "-Dstyle.color=never",
		"--file", file, copyDependencies, "-DincludeScope=runtime", "-DoutputDirectory="+got)
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch Cassandra's jars with mvn: %w: %s", err, lastLines(string(out), 5))
	}
	return os.Rename(got, jars)
}

// agent is the jar of the memory meter: memtables cannot count without it.
func (in Installation) agent() (string, error) {
	found, err := filepath.Glob(filepath.Join(in.jars, "jamm-*.jar"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%d jamm jars in %s, want 1: remove the directory and try again", len(found), in.jars)
	}
	return found[0], nil
}

// lastLines is the end of a text.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
