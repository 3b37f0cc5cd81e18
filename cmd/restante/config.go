package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// settings is a configuration file: a value for each flag it names, as it is written
// there. What YAML would make of it may be something else: 00451 is a number with an
// octal digit too many, and a password.
type settings map[string]yaml.Node

// yamlFile reads a configuration file. Its keys are the names of flags; Validate
// refuses any other.
func yamlFile(r io.Reader) (kong.Resolver, error) {
	s := settings{}
	if err := yaml.NewDecoder(r).Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return s, nil
}

// Validate reports a key that is no flag, for a misspelt limit is no limit.
func (s settings) Validate(app *kong.Application) error {
	var flags []string
	var collect func(n *kong.Node)
	collect = func(n *kong.Node) {
		for _, f := range n.Flags {
			if !onlyNow(f) {
				flags = append(flags, f.Name)
			}
		}
		for _, child := range n.Children {
			collect(child)
		}
	}
	collect(app.Node)
	for key, value := range s {
		if !slices.Contains(flags, key) {
			return fmt.Errorf("unknown setting %q", key)
		}
		if _, err := spelt(&value); err != nil {
			return fmt.Errorf("setting %q %w", key, err)
		}
	}
	return nil
}

// Resolve is the value of a flag, as the command line would spell it.
func (s settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := s[flag.Name]
	if !ok || slices.ContainsFunc(flag.Envs, isSet) {
		return nil, nil
	}
	return spelt(&value)
}

// spelt is a value as the command line would spell it, or a list of such.
func spelt(n *yaml.Node) (any, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.SequenceNode {
		return speltScalar(n)
	}
	texts := make([]any, len(n.Content))
	for i, e := range n.Content {
		var err error
		if texts[i], err = speltScalar(e); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

func speltScalar(n *yaml.Node) (any, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return nil, errors.New("needs a value or a list")
	}
	return n.Value, nil
}

// onlyNow reports whether a flag says something that holds for one run, and so is
// no setting: neither a key of the file nor a variable of the environment.
func onlyNow(flag *kong.Flag) bool { return flag.Tag.Has("now") }

func isSet(env string) bool {
	_, ok := os.LookupEnv(env)
	return ok
}
