package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"restante/rest"
)

type accountCommand struct {
	adminFlags `embed:""`

	Add     addCommand     `cmd:"" help:"Make an account."`
	Import  importCommand  `cmd:"" help:"Make an account for each line address:password or address:hash of a file."`
	Passwd  passwdCommand  `cmd:"" help:"Change the password of an account."`
	List    listCommand    `cmd:"" help:"List accounts and aliases."`
	Remove  removeCommand  `cmd:"" help:"Remove an account and its mail."`
	Alias   aliasCommand   `cmd:"" help:"Make an address lead to others. @example.org stands for every address that has no account."`
	Unalias unaliasCommand `cmd:"" help:"Remove an alias."`
}

// newPassword is how a password is given.
type newPassword struct {
	Generate bool `help:"Make up a password and print it."`
}

// read asks for a password at a terminal, and else takes the first line of the
// input.
func (p newPassword) read(std streams) (string, error) {
	if p.Generate {
		return strings.ToLower(rand.Text()[:20]), nil
	}
	if in, ok := std.in.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		return askTwice(in, std.err)
	}
	line, err := bufio.NewReader(io.LimitReader(std.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", usageError{errors.New("no password: give one on the standard input, or --generate")}
	}
	return line, nil
}

// show prints a password that was made up, once it holds.
func (p newPassword) show(std streams, password string) error {
	if !p.Generate {
		return nil
	}
	_, err := fmt.Fprintln(std.out, password)
	return err
}

func askTwice(in *os.File, out io.Writer) (string, error) {
	var answers [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(out, prompt)
		answer, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(out)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		answers[i] = string(answer)
	}
	if answers[0] != answers[1] {
		return "", errors.New("the two are not the same")
	}
	return answers[0], nil
}

type addCommand struct {
	Address     string `arg:"" help:"Address of the account."`
	Hash        string `help:"Hash of the password (argon2id in PHC form, or bcrypt) instead of a password."`
	newPassword `embed:""`
}

// Run makes the account.
func (c *addCommand) Run(ctx context.Context, account *accountCommand, std streams) error {
	client, err := account.client()
	if err != nil {
		return err
	}
	if c.Hash != "" {
		_, err = client.AddHash(ctx, c.Address, c.Hash)
		return err
	}
	password, err := c.read(std)
	if err != nil {
		return err
	}
	if _, err := client.Add(ctx, c.Address, password); err != nil {
		return err
	}
	return c.show(std, password)
}

type importCommand struct {
	File string `arg:"" default:"-" help:"The file; - is the standard input."`
}

// Run makes the accounts. Lines that fail are named, and the rest is made.
func (c *importCommand) Run(ctx context.Context, account *accountCommand, std streams) error {
	client, err := account.client()
	if err != nil {
		return err
	}
	in := std.in
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return usageError{err}
		}
		defer file.Close()
		in = file
	}
	made, failed, err := client.Import(ctx, in, func(ev rest.ImportEvent) {
		if ev.Error != "" && ev.Line > 0 {
			fmt.Fprintf(std.err, "line %d: %s: %s\n", ev.Line, ev.Address, ev.Error)
		}
	})
	fmt.Fprintf(std.out, "%d accounts made, %d lines failed\n", made, failed)
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d lines failed", failed)
	}
	return err
}

type passwdCommand struct {
	Address     string `arg:"" help:"Address of the account."`
	newPassword `embed:""`
}

// Run changes the password. It holds from the next login on.
func (c *passwdCommand) Run(ctx context.Context, account *accountCommand, std streams) error {
	client, err := account.client()
	if err != nil {
		return err
	}
	password, err := c.read(std)
	if err != nil {
		return err
	}
	if err := client.SetPassword(ctx, c.Address, password); err != nil {
		return err
	}
	return c.show(std, password)
}

type listCommand struct {
	Domain string `arg:"" optional:"" help:"Only addresses of this domain."`
}

// Run prints a line for each account and alias.
func (c *listCommand) Run(ctx context.Context, account *accountCommand, std streams) error {
	client, err := account.client()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	for a, err := range client.List(ctx, c.Domain) {
		if err != nil {
			return errors.Join(err, table.Flush())
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", a.Address, a.Kind, strings.Join(a.Targets, ", "))
	}
	return table.Flush()
}

type removeCommand struct {
	Address []string `arg:"" help:"Addresses of accounts."`
}

// Run removes accounts with their mail.
func (c *removeCommand) Run(ctx context.Context, account *accountCommand) error {
	client, err := account.client()
	if err != nil {
		return err
	}
	return each(c.Address, func(a string) error { return client.Remove(ctx, a) })
}

type aliasCommand struct {
	Address string   `arg:"" help:"The alias, or @example.org."`
	Targets []string `arg:"" help:"Where it leads."`
}

// Run makes or replaces an alias.
func (c *aliasCommand) Run(ctx context.Context, account *accountCommand) error {
	client, err := account.client()
	if err != nil {
		return err
	}
	_, err = client.SetAlias(ctx, c.Address, c.Targets...)
	return err
}

type unaliasCommand struct {
	Address []string `arg:"" help:"Aliases."`
}

// Run removes aliases.
func (c *unaliasCommand) Run(ctx context.Context, account *accountCommand) error {
	client, err := account.client()
	if err != nil {
		return err
	}
	return each(c.Address, func(a string) error { return client.RemoveAlias(ctx, a) })
}

// each does what it can, and reports all that failed.
func each(addresses []string, do func(string) error) error {
	var errs []error
	for _, a := range addresses {
		if err := do(a); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a, err))
		}
	}
	return errors.Join(errs...)
}
