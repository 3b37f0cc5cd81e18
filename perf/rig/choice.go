package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// A Choice says which loads of a program are put on, where, and who keeps the results.
type Choice struct {
	Only string `help:"Only loads whose name this regular expression matches." placeholder:"REGEXP"`
	List bool   `help:"List the names of the loads."`
	At   string `help:"Use a server that runs, and leave it running." placeholder:"HOST:PORT"`
	JSON string `name:"json" help:"Append the results to FILE as lines of JSON." placeholder:"FILE"`
}

// Choose returns those of all loads that are chosen, of which there is one at least. Where
// they are only to be listed, they have been when it returns.
func Choose[L fmt.Stringer](c Choice, out io.Writer, all []L) ([]L, error) {
	only, err := regexp.Compile(c.Only)
	if err != nil {
		return nil, fmt.Errorf("--only: %w", err)
	}
	var chosen []L
	for _, l := range all {
		if !only.MatchString(l.String()) {
			continue
		}
		chosen = append(chosen, l)
		if c.List {
			if _, err := fmt.Fprintln(out, l); err != nil {
				return nil, err
			}
		}
	}
	if len(chosen) == 0 && !c.List {
		return nil, fmt.Errorf("--only %s: there is no such load", c.Only)
	}
	return chosen, nil
}

// PutOn puts loads on one after the other, and goes on when one has failed: it fails with
// all that did. Before them, for so long, comes the first one as a warm-up, which says how
// many of its answers were wrong: what is cold may be too slow to answer, but never wrong.
func PutOn[L fmt.Stringer](ctx context.Context, out io.Writer, loads []L, warm time.Duration, warmUp func(L) (wrong int, err error), one func(L) error) error {
	var failed []string
	if warm > 0 {
		wrong, err := warmUp(loads[0])
		switch {
		case wrong > 0:
			failed = append(failed, fmt.Sprintf("warm-up: %v", err))
		case err != nil:
			if _, err := fmt.Fprintf(out, "warm-up: %.200s\n", err.Error()); err != nil {
				return err
			}
		}
	}
	for _, l := range loads {
		err := one(l)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", l, err))
		}
	}
	if len(failed) > 0 {
		return errors.New(strings.Join(failed, "\n"))
	}
	return nil
}
