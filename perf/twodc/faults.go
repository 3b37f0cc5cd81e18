package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"restante/perf/faults"
	"restante/perf/history"
	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/rig"
)

// faultsRun is the trial in which everything breaks.
type faultsRun struct {
	faults.Trial  `embed:""`
	history.Rules `embed:""`

	Only    string `help:"Only kinds of trouble whose name this regular expression matches." placeholder:"REGEXP"`
	List    bool   `help:"List the kinds of trouble."`
	History string `default:"history.jsonl.gz" help:"Write what clients saw to FILE, which must not be there yet; perf/history/check judges it again." placeholder:"FILE" type:"path"`
}

// A brokenRecord is the verdict on one run, as a line of the results.
type brokenRecord struct {
	report.Run

	Verdict *history.Verdict `json:"verdict"`
}

func (f *faultsRun) Run(ctx context.Context, s *settings, out io.Writer) error {
	kinds, err := rig.Choose(rig.Choice{Only: f.Only, List: f.List}, out, faults.Kinds())
	if err != nil || f.List {
		return err
	}
	steps := []string{fmt.Sprintf("mail at %v/s into each data centre for %v, and troubles one after another:", f.Rate, f.For)}
	for _, k := range kinds {
		steps = append(steps, "  "+k.Name)
	}
	steps = append(steps, "all is healed, and every message read once more in both data centres; the history is judged")
	if _, err := os.Stat(f.History); err == nil && !s.Plan {
		return fmt.Errorf("--history %s: %w", f.History, fs.ErrExist) // before minutes are spent
	}
	return s.play(ctx, out, steps, func(ctx context.Context, st *stage) error { return f.on(ctx, st, kinds) })
}

// on plays the trial on a stage and judges it, also where it was ended early.
func (f *faultsRun) on(ctx context.Context, st *stage, kinds []faults.Kind) error {
	system := &breakable{stage: st, disks: map[string]*smallDisk{}}
	if slices.ContainsFunc(kinds, func(k faults.Kind) bool { return k.Name == faults.SkewedClock }) {
		st.say("building a server whose clock can be wrong")
		if err := st.rig.BuildSkewed(ctx, st.dir); err != nil {
			return err
		}
	}
	h, err := history.Create(f.History)
	if err != nil {
		return err
	}
	t := f.Trial
	t.Kinds, t.Progress, t.Note = kinds, st.out, strings.Join(os.Args[1:], " ")
	t.Maildrops, t.Pattern, t.Password, t.Sender = st.Users, peer.Pattern, peer.Password, peer.Sender
	err = errors.Join(t.Run(ctx, system, h), system.close(), h.Close())
	verdict, broken := history.CheckFile(f.History, f.Rules, st.out)
	if verdict != nil {
		err = errors.Join(err, report.Append(st.JSON, brokenRecord{Run: report.NewRun("faults", st.version()), Verdict: verdict}))
	}
	if err == nil && broken == nil {
		err = st.noPaxos(ctx)
	}
	return errors.Join(err, broken)
}
