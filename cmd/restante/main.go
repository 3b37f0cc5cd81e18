// Command restante is the mail-delivery server and the tools to run it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitFailure = 1 // the command could not be carried out
	exitUsage   = 2 // wrong flag, argument or setting
)

// program is the command line.
type program struct {
	Config kong.ConfigFlag `placeholder:"FILE" help:"Settings from a YAML file with the names of the flags. Flags come before environment variables, and those before the file."`

	Serve      serveCommand      `cmd:"" help:"Receive mail and hand it out. Each flag is also a key of the configuration file, and an environment variable: --pop3-idle is RESTANTE_POP3_IDLE."`
	Account    accountCommand    `cmd:"" help:"Make, change, list and remove accounts of a running server."`
	Relay      relayCommand      `cmd:"" help:"See and steer how mail of users leaves a running server."`
	RelayAgent relayAgentCommand `cmd:"" help:"Be a sending service: take mail from servers and hand it to a smarthost or a maker of mail services."`
	RelayFake  relayFakeCommand  `cmd:"" help:"Play a smarthost or a maker of mail services that fails on command, to rehearse failures."`
	DKIM       dkimCommand       `cmd:"" name:"dkim" help:"Print the DNS record of a key that signs what users send; the key is made if it is not there."`
	Schema     schemaCommand     `cmd:"" help:"Make the tables in Apache Cassandra that serve --store cassandra needs."`
	Sweep      sweepCommand      `cmd:"" help:"Delete what nobody can reach in Apache Cassandra: what half-finished work left behind. Servers do so daily."`
	Repair     repairCommand     `cmd:"" help:"Compare listings and contents in Apache Cassandra, after a disaster."`
	Completion completionCommand `cmd:"" help:"Print a completion script for a shell."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// streams are the standard ones, or a test's.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, streams{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:]))
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, std streams, args []string) (code int) {
	// kong prints help, and leaves by its Exit.
	type left struct{ code int }
	defer func() {
		if r := recover(); r != nil {
			l, ok := r.(left)
			if !ok {
				panic(r)
			}
			code = l.code
		}
	}()

	var p program
	parser, err := kong.New(&p,
		kong.Name("restante"),
		kong.Description("Mail in by SMTP, kept safe, fetched by POP3."),
		kong.Writers(std.out, std.err),
		kong.Exit(func(code int) { panic(left{code}) }),
		kong.Configuration(yamlFile),
		kong.PostBuild(environment),
		kong.ValueFormatter(helpOf),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, Tree: true}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "listen", Title: "Listeners (HOST:PORT, or off):"},
			{Key: "public", Title: "Temporary addresses and texts:"},
			{Key: "relay", Title: "Mail of users for elsewhere:"},
			{Key: "cassandra", Title: "Apache Cassandra (--store cassandra):"},
			{Key: "security", Title: "Security:"},
			{Key: "limits", Title: "Limits:"},
		}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
	)
	if err != nil {
		panic(err) // the struct tags are wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(std.err, "restante: %v\n", err)
		var parse *kong.ParseError
		if errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
			fmt.Fprintf(std.err, "restante %s --help shows what there is.\n", parse.Context.Selected().Path())
		} else {
			fmt.Fprintln(std.err, "restante --help shows what there is.")
		}
		return exitUsage
	}
	if err := command.Run(&p.Account, &p.Relay); err != nil {
		fmt.Fprintf(std.err, "restante: %v\n", err)
		var u usageError
		if errors.As(err, &u) {
			return exitUsage
		}
		return exitFailure
	}
	return 0
}

// environment gives each flag its variable: --pop3-idle is RESTANTE_POP3_IDLE.
func environment(k *kong.Kong) error {
	var name func(n *kong.Node)
	name = func(n *kong.Node) {
		for _, flag := range n.Flags {
			if flag.Name == "help" || onlyNow(flag) {
				continue
			}
			env := "RESTANTE_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
			flag.Envs = []string{env}
			flag.Tag.Envs = flag.Envs
		}
		for _, child := range n.Children {
			name(child)
		}
	}
	name(k.Model.Node)
	return nil
}

// helpOf is the help of a flag with its default.
func helpOf(v *kong.Value) string {
	if !v.HasDefault || v.IsBool() || v.Flag == nil {
		return v.Help
	}
	return v.Help + " Default: " + v.Default + "."
}

// A usageError is the caller's mistake.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

type versionCommand struct{}

// Run prints the version, the commit it was built from, and the Go release.
func (versionCommand) Run(std streams) error {
	_, err := fmt.Fprintln(std.out, version())
	return err
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "restante (unknown build)"
	}
	v := info.Main.Version
	if v == "" {
		v = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			v += " " + s.Value[:12]
		}
	}
	return fmt.Sprintf("restante %s %s", v, info.GoVersion)
}
