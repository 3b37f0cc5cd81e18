package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script for the shell to evaluate. It is made from the command
// line's own description, so it knows every command and flag.
func (c completionCommand) Run(k *kong.Kong, std streams) error {
	var b strings.Builder
	switch c.Shell {
	case "fish":
		fish(&b, k.Model.Node)
	case "zsh":
		b.WriteString("#compdef restante\nautoload -U +X bashcompinit && bashcompinit\n")
		bash(&b, k.Model.Node)
	default:
		bash(&b, k.Model.Node)
	}
	_, err := io.WriteString(std.out, b.String())
	return err
}

// bash writes a function that finds the commands already typed and offers what
// may follow them.
func bash(w io.Writer, root *kong.Node) {
	fmt.Fprint(w, `_restante() {
  local word current="${COMP_WORDS[COMP_CWORD]}" path="" words=""
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
`)
	walk(root, nil, func(n *kong.Node, path []string) {
		if len(path) > 0 {
			at := strings.Join(path, " ")
			fmt.Fprintf(w, "      %q) path=%q ;;\n", " "+at, " "+at)
		}
	})
	fmt.Fprint(w, "    esac\n  done\n  case \"$path\" in\n")
	walk(root, nil, func(n *kong.Node, path []string) {
		at := ""
		if len(path) > 0 {
			at = " " + strings.Join(path, " ")
		}
		fmt.Fprintf(w, "    %q) words=%q ;;\n", at, strings.Join(follows(n), " "))
	})
	fmt.Fprint(w, `  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ "${#COMPREPLY[@]}" = 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -F _restante restante
`)
}

// fish writes one line for each thing that may be typed.
func fish(w io.Writer, root *kong.Node) {
	walk(root, nil, func(n *kong.Node, path []string) {
		condition := "__fish_use_subcommand"
		if len(path) > 0 {
			condition = "__fish_seen_subcommand_from " + path[len(path)-1]
		}
		for _, child := range n.Children {
			fmt.Fprintf(w, "complete -c restante -f -n %s -a %s -d %s\n", quote(condition), child.Name, quote(child.Help))
		}
		for _, flag := range n.Flags {
			fmt.Fprintf(w, "complete -c restante -n %s -l %s -d %s\n", quote(condition), flag.Name, quote(flag.Help))
		}
	})
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `\'`) + "'" }

// walk visits every command with the words that lead to it.
func walk(n *kong.Node, path []string, visit func(*kong.Node, []string)) {
	visit(n, path)
	for _, child := range n.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			walk(child, append(path[:len(path):len(path)], child.Name), visit)
		}
	}
}

// follows is what may be typed after a command.
func follows(n *kong.Node) (words []string) {
	for _, child := range n.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			words = append(words, child.Name)
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, flag := range group {
			words = append(words, "--"+flag.Name)
			if flag.Negated || flag.Tag.Negatable != "" {
				words = append(words, "--no-"+flag.Name)
			}
		}
	}
	return words
}
