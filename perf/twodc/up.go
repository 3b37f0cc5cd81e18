package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// up brings everything up, for a person to try things with.
type up struct{}

func (up) Run(ctx context.Context, s *settings, out io.Writer) error {
	return s.play(ctx, out, []string{"wait for an interrupt"}, func(ctx context.Context, st *stage) error {
		if err := st.describe(); err != nil {
			return err
		}
		st.say("interrupt to end it")
		<-ctx.Done()
		return nil
	})
}

// describe tells where everything is.
func (s *stage) describe() error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, n := range s.rig.Nodes {
		_, _ = fmt.Fprintf(w, "Cassandra\t%s\tCQL %s\t%s\n", n.Name, n.Address, n.Dir)
	}
	for _, each := range s.servers {
		_, _ = fmt.Fprintf(w, "Restante\t%s\tSMTP %s, POP3 %s, admin %s\t%s\n", each.Name, each.SMTP, each.POP3, each.Admin, each.Log())
	}
	for _, p := range s.network.Places {
		_, _ = fmt.Fprintf(w, "inside\t%s\t%s\n", p.Name(), strings.Join(p.Enter(), " "))
	}
	return w.Flush()
}
