package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"

	"restante/auth"
	"restante/mailbox"
)

// firstStart makes an account on an embedded store that has none in any domain, so that the first
// mail can be sent at once, and tells at every start where the server listens. A
// cluster belongs to several servers, of which none may surprise the others with an
// account, and it may be away.
func (a *App) firstStart(ctx context.Context) error {
	if a.config.Store != embeddedStore {
		a.printPorts()
		return nil
	}
	for _, domain := range a.config.Domains {
		for _, err := range a.store.Addresses().List(ctx, domain) {
			if err != nil {
				return fmt.Errorf("look for accounts: %w", err)
			}
			a.printPorts()
			return nil
		}
	}

	user := mailbox.Address{Local: "user", Domain: a.config.Domains[0]}
	password := strings.ToLower(rand.Text()[:16])
	secret, err := auth.Hash(password)
	if err != nil {
		return fmt.Errorf("make the first account: %w", err)
	}
	if _, err := a.directory.Create(ctx, user, mailbox.Route{Kind: mailbox.Account, Secret: secret}); err != nil {
		return fmt.Errorf("make the first account: %w", err)
	}
	postmaster := mailbox.Route{Kind: mailbox.Alias, Targets: []mailbox.Address{user}}
	if _, err := a.directory.Create(ctx, a.directory.Postmaster(), postmaster); err != nil {
		return fmt.Errorf("make an alias for postmaster: %w", err)
	}
	a.printPorts()
	a.printWelcome(user, password)
	return nil
}

// printPorts lists what is open, with the real port where 0 was asked for.
func (a *App) printPorts() {
	var b strings.Builder
	from := a.config.Data
	if c := a.config.Cassandra; a.config.Store == cassandraStore {
		from = fmt.Sprintf("keyspace %s of Cassandra, data centre %s", c.Keyspace, c.Datacenter)
	}
	fmt.Fprintf(&b, "restante serves %s from %s\n", strings.Join(a.config.Domains, ", "), from)
	for _, p := range a.ports {
		fmt.Fprintf(&b, "  %-12s %s\n", p.flag, p.net.Addr())
	}
	fmt.Fprint(a.out, b.String())
}

// printWelcome says how to send the new account a mail and read it, in lines to
// copy. It is the only place where the password is ever shown.
func (a *App) printWelcome(user mailbox.Address, password string) {
	var b strings.Builder
	fmt.Fprintf(&b, "\nA first account was made:  %s  password  %s\n", user, password)
	if in := a.addr("smtp"); in != nil {
		fmt.Fprintf(&b, "\nSend it a mail:\n")
		fmt.Fprintf(&b, "  printf 'From: me@example.org\\nTo: %s\\nSubject: Hello\\n\\nHello!\\n' | curl --crlf smtp://%s --mail-from me@example.org --mail-rcpt %s -T -\n", user, in, user)
		fmt.Fprintf(&b, "  swaks --server %s --to %s --header 'Subject: Hello'\n", in, user)
	}
	if out := a.addr("pop3"); out != nil {
		fmt.Fprintf(&b, "\nRead it:\n")
		fmt.Fprintf(&b, "  curl pop3://%s/1 -u %s:%s\n", out, user, password)
		host, port, err := net.SplitHostPort(out.String())
		if err == nil {
			fmt.Fprintf(&b, "  Thunderbird: POP3, server %s, port %s, security STARTTLS (certificate self-signed) or none, user name %s\n", host, port, user)
		}
	}
	if page := a.addr("http"); page != nil {
		fmt.Fprintf(&b, "\nA temporary address, in a browser or for a program:\n")
		fmt.Fprintf(&b, "  http://%s/\n", page)
		fmt.Fprintf(&b, "  curl -X POST http://%s/mailboxes\n", page)
	}
	fmt.Fprintf(&b, "\nMore accounts:\n  restante account add fred@%s --data %s\n", user.Domain, a.config.Data)
	if a.config.TLSCert == "" {
		fmt.Fprintf(&b, "The certificate is self-signed: --tls-cert and --tls-key give a real one.\n")
	}
	fmt.Fprintln(a.out, b.String())
}

// addr is the address of a listener, or nil when it is off.
func (a *App) addr(flag string) net.Addr {
	for _, p := range a.ports {
		if p.flag == flag {
			return p.net.Addr()
		}
	}
	return nil
}
