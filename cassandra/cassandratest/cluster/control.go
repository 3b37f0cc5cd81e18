package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"restante/cassandra/cassandratest/internal/jvm"
	"restante/cassandra/cassandratest/internal/keeper"
)

// nodes are what a conversation is about.
type nodes interface {
	Do(op jvm.Op, node string, options ...string) error
	Nodetool(node string, command ...string) (string, error)
}

// operations are what may be asked for.
var operations = []jvm.Op{jvm.StartNode, jvm.StopNode, jvm.KillNode, jvm.FreezeNode, jvm.ThawNode, jvm.CheckNode, jvm.WipeNode}

// An answer is one line of JSON: that of a request, which failed where there is an
// Error.
type answer struct {
	Error  string `json:"error,omitempty"`
	Output string `json:"output,omitempty"` // of nodetool
}

// An input is what one side of a conversation says, line by line.
type input struct {
	lines chan string
	ended chan struct{}
	err   error // how it ended
}

// listen reads an input until it ends, or the process.
func listen(in io.Reader) *input {
	i := &input{lines: make(chan string), ended: make(chan struct{})}
	go func() {
		defer close(i.ended)
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			i.lines <- scanner.Text()
		}
		i.err = scanner.Err()
	}()
	return i
}

// converse describes the cluster in one line of JSON, its nodes with Name, Datacenter,
// Address and Dir, and its own Dir. Then each line of input is an operation and a node, such
// as
//
//	kill dc1-2
//
// and is answered by a line when it is done. The operations are start, stop, kill,
// freeze, thaw, wipe, which takes the data of a node that does not run, and check, which
// fails where the node does not run; and nodetool, with its command behind the node,
// where the cluster has JMX. Behind the node to start may be options for Java. The end of the input, or a
// signal, ends the conversation.
func converse(c nodes, about keeper.Cluster, in *input, out io.Writer, signals <-chan os.Signal) error {
	answers := json.NewEncoder(out)
	if err := answers.Encode(about); err != nil {
		return err
	}
	for {
		select {
		case <-signals:
			return nil
		case <-in.ended:
			return in.err
		case line := <-in.lines:
			var a answer
			var err error
			if a.Output, err = carryOut(c, line); err != nil {
				a.Error = err.Error()
			}
			if err := answers.Encode(a); err != nil {
				return err
			}
		}
	}
}

func carryOut(c nodes, line string) (output string, err error) {
	words := strings.Fields(line)
	switch {
	case len(words) > 2 && words[0] == "nodetool":
		return c.Nodetool(words[1], words[2:]...)
	case len(words) > 2 && words[0] == string(jvm.StartNode):
		return "", c.Do(jvm.StartNode, words[1], words[2:]...)
	case len(words) == 2 && slices.Contains(operations, jvm.Op(words[0])):
		return "", c.Do(jvm.Op(words[0]), words[1])
	}
	return "", fmt.Errorf("%q is not an operation and a node", line)
}
