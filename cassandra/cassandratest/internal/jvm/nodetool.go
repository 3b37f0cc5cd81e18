package jvm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// How long one command of nodetool may take: Java starts for it.
const nodetoolTimeout = time.Minute

// Nodetool runs a command of Cassandra's nodetool on a node, of a layout with JMX,
// and returns what it prints.
func (e *Ensemble) Nodetool(ctx context.Context, name string, command ...string) (string, error) {
	n, err := e.node(name)
	if err != nil {
		return "", err
	}
	if n.JMXPort == 0 {
		return "", errors.New("nodetool needs a cluster with JMX")
	}
	ctx, cancel := context.WithTimeout(ctx, nodetoolTimeout)
	defer cancel()
	cmd := n.command(ctx, e.in.java, append([]string{
		"@" + filepath.Join(n.Dir, "jvm17.options"), "-Xms16m", "-Xmx128m", // it reaches into the JDK as a node does
		"-Duser.home=" + n.Dir, // where it keeps a history
		"-Dlogback.configurationFile=" + filepath.Join(n.Dir, "logback.xml"),
		"-classpath", n.Dir + string(os.PathListSeparator) + filepath.Join(e.in.jars, "*"),
		"org.apache.cassandra.tools.NodeTool", "-p", strconv.Itoa(n.JMXPort),
	}, command...)...)
	cmd.WaitDelay = time.Second
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("nodetool %s: %w: %s", strings.Join(command, " "), err, lastLines(out.String()+said.String(), 5))
	}
	return out.String(), nil
}
