package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A client is a program that fetches mail.
type client struct {
	name string
	// program and debianPackage are what to look for and what to install.
	program       string
	debianPackage string
	// never says why the client does not know a way.
	never map[way]string
	// fetch does one run of the program, as at one press of its button, and
	// returns what it has stored in that run, freed of what it is documented to
	// add.
	fetch func(ctx context.Context, e errand) ([][]byte, error)
}

// An errand is what a client is told.
type errand struct {
	way        way
	host, port string
	address    string
	password   string
	trusted    string // certificate of the server, PEM
	keep       bool   // leave mail on the server
	web        string // proxy that leads to the domain: the client finds the server there
	home       string // the client's; what is there stays from run to run
}

// all are the clients there are.
func all(b *bird) []client {
	return []client{
		{name: "curl", program: "curl", debianPackage: "curl", fetch: fetchCurl},
		{name: "fetchmail", program: "fetchmail", debianPackage: "fetchmail", fetch: fetchFetchmail},
		{name: "mpop", program: "mpop", debianPackage: "mpop", fetch: fetchMpop},
		{
			name: "getmail", program: "getmail", debianPackage: "getmail6", fetch: fetchGetmail,
			never: map[way]string{stls: "getmail has TLS from the first octet, or none"},
		},
		{name: "thunderbird", program: "thunderbird", debianPackage: birdPackages, fetch: b.fetch},
	}
}

// choose takes the named clients and perhaps the temporary mailbox, or all.
func choose(clients []client, names []string) (chosen []client, temporary bool, err error) {
	if len(names) == 0 {
		return clients, true, nil
	}
	for _, name := range names {
		if name == onlyTemporary {
			temporary = true
			continue
		}
		before := len(chosen)
		for _, c := range clients {
			if c.name == name {
				chosen = append(chosen, c)
			}
		}
		if len(chosen) == before {
			return nil, false, fmt.Errorf("no client %q", name)
		}
	}
	return chosen, temporary, nil
}

// versions prints what each program calls itself.
func versions(ctx context.Context, clients []client, temporary bool, home string, out io.Writer) {
	programs := []string{"swaks"}
	for _, c := range clients {
		programs = append(programs, c.program)
	}
	if temporary && !slices.Contains(programs, "thunderbird") {
		programs = append(programs, "thunderbird")
	}
	for _, name := range programs {
		// Some end with a code that is not zero. That one is missing is told later.
		text, _ := program{name: name, args: []string{"--version"}, home: home}.run(ctx)
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(out, "%s: %s\n", name, strings.TrimSpace(line))
	}
}

// account is the address that belongs to one client, way and purpose.
func account(c client, w way, purpose, domain string) string {
	return strings.ToLower(c.name + "-" + w.name + "-" + purpose + "@" + domain)
}
