package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"restante/perf/mission"
	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/scenario"
	"restante/perf/wire"
)

// composed has a command play on containers that run, instead of on a stage.
type composed struct {
	Compose string `help:"Play on the servers of this compose file, which are up, instead: for who is not root. What needs the processes, or the link, is left out." placeholder:"FILE" type:"existingfile"`
}

// play is that of the settings, or plays on the containers.
func (c composed) play(ctx context.Context, s settings, out io.Writer, steps []string, work func(context.Context, *stage) error) error {
	if c.Compose == "" {
		return s.play(ctx, out, steps, work)
	}
	containers, err := readContainers(c.Compose)
	if err != nil {
		return err
	}
	if s.Plan {
		return containers.tell(out, steps)
	}
	st := &stage{settings: s, containers: containers, out: out}
	version, err := containers.restante(ctx, "", "version")
	if err != nil {
		return err
	}
	containers.version, _, _ = strings.Cut(version, "\n")
	st.say("%d servers of %s: %s", len(containers.targets), c.Compose, containers.version)
	st.say("left out: processors, memory and disks, statements, the link and its delay")
	if err := containers.accounts(ctx, s.Users); err != nil {
		return err
	}
	return work(ctx, st)
}

// containers are the servers of a compose file, which are reached by the ports that it
// publishes.
type containers struct {
	file    string
	domain  string
	targets []scenario.Target
	version string // once they were asked
}

// A composeService is one in a compose file, as far as is asked.
type composeService struct {
	Extends     struct{ File, Service string }
	Environment map[string]string
	Ports       []string // HOST:PORT:PORT
}

func composeServices(file string) (map[string]composeService, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all struct{ Services map[string]composeService }
	if err := yaml.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all.Services, nil
}

// mostExtended is how many services may be behind one, which no file comes near to.
const mostExtended = 8

// environmentOf is that of a service, and of those that it extends.
func environmentOf(file string, services map[string]composeService, name string) (map[string]string, error) {
	environment := map[string]string{}
	for range mostExtended {
		s, ok := services[name]
		if !ok {
			return nil, fmt.Errorf("%s has no service %q", file, name)
		}
		for variable, value := range s.Environment {
			if _, known := environment[variable]; !known {
				environment[variable] = value
			}
		}
		if s.Extends.Service == "" {
			return environment, nil
		}
		name = s.Extends.Service
		if s.Extends.File == "" {
			continue
		}
		file = filepath.Join(filepath.Dir(file), s.Extends.File)
		var err error
		if services, err = composeServices(file); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("it extends too many others")
}

// published is where this machine reaches what listens on an address in the container.
func (s composeService) published(listens string) string {
	_, port, _ := strings.Cut(listens, ":")
	for _, p := range s.Ports {
		if at, ok := strings.CutSuffix(p, ":"+port); ok && port != "" {
			return at
		}
	}
	return ""
}

func readContainers(file string) (*containers, error) {
	services, err := composeServices(file)
	if err != nil {
		return nil, err
	}
	c := &containers{file: file}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		environment, err := environmentOf(file, services, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, name, err)
		}
		if environment["RESTANTE_SMTP"] == "" {
			continue // it is no server
		}
		at := services[name]
		t := scenario.Target{Name: name, SMTP: at.published(environment["RESTANTE_SMTP"]), POP3: at.published(environment["RESTANTE_POP3"])}
		if t.SMTP == "" || t.POP3 == "" {
			return nil, fmt.Errorf("%s: %s does not publish both SMTP and POP3", file, name)
		}
		t.Datacenter, _, _ = strings.Cut(name, "-")
		c.domain, c.targets = environment["RESTANTE_DOMAIN"], append(c.targets, t)
	}
	if len(c.targets) == 0 {
		return nil, fmt.Errorf("%s has no server", file)
	}
	return c, nil
}

// tell prints what would be done.
func (c *containers) tell(out io.Writer, steps []string) error {
	var lines []string
	for _, t := range c.targets {
		lines = append(lines, fmt.Sprintf("Restante %s: SMTP %s, POP3 %s with STLS", t.Name, t.SMTP, t.POP3))
	}
	for _, line := range append(lines, steps...) {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// restante carries out a command of the program inside the first server, and returns what
// it prints.
func (c *containers) restante(ctx context.Context, input string, words ...string) (string, error) {
	args := append([]string{"compose", "-f", c.file, "exec", "-T", c.targets[0].Name, "restante"}, words...)
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stdin = strings.NewReader(input)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("speak to containers: %w", err)
	}
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return string(out), nil
}

func (c *containers) pattern() string { return "user%d@" + c.domain }

// accounts makes those of so many users that are not there yet.
func (c *containers) accounts(ctx context.Context, users int) error {
	listed, err := c.restante(ctx, "", "account", "list", c.domain)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for line := range strings.Lines(listed) {
		if address := strings.Fields(line); len(address) > 0 {
			there[address[0]] = true
		}
	}
	var missing strings.Builder
	for i := range users {
		if address := fmt.Sprintf(c.pattern(), i); !there[address] {
			fmt.Fprintf(&missing, "%s:%s\n", address, peer.Password)
		}
	}
	if missing.Len() == 0 {
		return nil
	}
	_, err = c.restante(ctx, missing.String(), "account", "import", "-")
	return err
}

// party is what the servers are to their clients. They take passwords under TLS alone.
func (c *containers) party(users int) mission.Party {
	return mission.Party{
		Name: report.Ours, Version: c.version + ", " + filepath.Base(c.file), Targets: c.targets, Security: wire.Upgrade,
		Users: users, Pattern: c.pattern(), Password: peer.Password,
	}
}
