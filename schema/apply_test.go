package schema

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a cluster of one node in memory, which notes what it is asked.
type fake struct {
	keyspaces map[string]map[string]string
	applied   map[string]string
	steps     []string // define STATEMENT, agree, record NAME, done NAME NOW
	fail      string   // the step that fails, by its beginning
	hang      string   // the step that never ends
}

func newFake() *fake {
	return &fake{keyspaces: map[string]map[string]string{}, applied: map[string]string{}}
}

var errFake = errors.New("the cluster does not want to")

func (f *fake) step(ctx context.Context, step string) error {
	f.steps = append(f.steps, step)
	if f.hang != "" && strings.HasPrefix(step, f.hang) {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.fail != "" && strings.HasPrefix(step, f.fail) {
		return errFake
	}
	return nil
}

func (f *fake) Keyspace(ctx context.Context, name string) (map[string]string, error) {
	return f.keyspaces[name], f.step(ctx, "keyspace")
}

func (f *fake) Define(ctx context.Context, statement string) error {
	err := f.step(ctx, "define "+statement)
	if keyspace, isKeyspace := strings.CutPrefix(statement, "CREATE KEYSPACE IF NOT EXISTS "); err == nil && isKeyspace {
		name, _, _ := strings.Cut(keyspace, " ")
		f.keyspaces[name] = map[string]string{"class": networkTopology, "dc1": "3", "dc2": "2"}
	}
	return err
}

func (f *fake) Agree(ctx context.Context) error { return f.step(ctx, "agree") }

func (f *fake) Applied(ctx context.Context, _ string) (map[string]string, error) {
	return maps.Clone(f.applied), f.step(ctx, "applied")
}

func (f *fake) Record(ctx context.Context, _ string, c Change) error {
	err := f.step(ctx, "record "+c.Name)
	if err == nil {
		f.applied[c.Name] = c.Digest
	}
	return err
}

func (f *fake) done(c Change, now bool) {
	f.steps = append(f.steps, fmt.Sprintf("done %s %t", c.Name, now))
}

// definitions are the statements that changed the schema.
func (f *fake) definitions() []string {
	return slices.DeleteFunc(slices.Clone(f.steps), func(s string) bool { return !strings.HasPrefix(s, "define ") })
}

var wanted = Replication{"dc1": 3, "dc2": 2}

func TestEachChangeIsAppliedAgreedOnAndThenRecorded(t *testing.T) {
	f := newFake()
	if err := Apply(t.Context(), f, "mail", wanted, f.done); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"agree",
		"keyspace",
		"define CREATE KEYSPACE IF NOT EXISTS mail WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3, 'dc2': 2}",
		"agree",
		"keyspace",
		"applied",
	}
	for _, c := range Changes() {
		for _, s := range c.statements {
			if !strings.Contains(s.in("mail"), "IF NOT EXISTS mail.") {
				t.Errorf("not in the keyspace: %s", s.in("mail"))
			}
			want = append(want, "define "+s.in("mail"), "agree")
		}
		want = append(want, "record "+c.Name, "done "+c.Name+" true")
	}
	if !slices.Equal(f.steps, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(f.steps, "\n"), strings.Join(want, "\n"))
	}
	if err := Check("mail", f.applied); err != nil {
		t.Errorf("after all was applied: %v", err)
	}
}

func TestWhatWasAppliedIsNotAppliedAgain(t *testing.T) {
	f := newFake()
	if err := Apply(t.Context(), f, "mail", wanted, f.done); err != nil {
		t.Fatal(err)
	}
	f.steps = nil
	if err := Apply(t.Context(), f, "mail", nil, f.done); err != nil {
		t.Fatal(err)
	}
	want := []string{"agree", "keyspace", "applied"}
	for _, c := range Changes() {
		want = append(want, "done "+c.Name+" false")
	}
	if !slices.Equal(f.steps, want) {
		t.Errorf("got %q, want %q", f.steps, want)
	}
}

func TestAnApplicationThatWasCutOffGoesOn(t *testing.T) {
	all := newFake()
	if err := Apply(t.Context(), all, "mail", wanted, all.done); err != nil {
		t.Fatal(err)
	}
	for _, step := range all.definitions() {
		f := newFake()
		f.fail = step
		if err := Apply(t.Context(), f, "mail", wanted, f.done); !errors.Is(err, errFake) {
			t.Fatalf("%s: got %v", step, err)
		}
		if last := f.steps[len(f.steps)-1]; last != step {
			t.Errorf("%s failed, and then came %s", step, last)
		}
		f.fail, f.steps = "", nil
		if err := Apply(t.Context(), f, "mail", wanted, f.done); err != nil {
			t.Fatal(err)
		}
		if len(f.definitions()) == 0 || !maps.Equal(f.applied, all.applied) {
			t.Errorf("%s failed, and then was applied %v", step, f.applied)
		}
	}
}

func TestAChangeIsNotRecordedBeforeTheNodesAgree(t *testing.T) {
	// They agree at the start, on the keyspace, and on the table of the first change.
	for agree, recorded := range []int{0, 0, 0, 1} {
		f := &late{fake: newFake(), agree: agree}
		if err := Apply(t.Context(), f, "mail", wanted, f.done); !errors.Is(err, errFake) {
			t.Errorf("got %v", err)
		}
		if len(f.applied) != recorded {
			t.Errorf("the nodes agreed %d times, and recorded is %v", agree, f.applied)
		}
		if agree == 0 && len(f.definitions()) > 0 {
			t.Errorf("the nodes did not agree, and then came %q", f.definitions())
		}
	}
}

// late is a cluster whose nodes agree so many times and no more.
type late struct {
	*fake
	agree int
}

func (l *late) Agree(context.Context) error {
	if l.agree--; l.agree < 0 {
		return errFake
	}
	return nil
}

func TestNoStepIsAwaitedForEver(t *testing.T) {
	for step, most := range map[string]time.Duration{
		"agree":                  agreeTimeout,
		"keyspace":               statementTimeout,
		"define CREATE KEYSPACE": statementTimeout,
		"define CREATE TABLE":    statementTimeout,
		"applied":                statementTimeout,
		"record":                 statementTimeout,
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.hang = step
			began := time.Now()
			err := Apply(t.Context(), f, "mail", wanted, f.done)
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != most {
				t.Errorf("%s: got %v after %s, want it to end after %s", step, err, took, most)
			}
		})
	}
}

func TestAChangeThatWasEditedIsRefusedBeforeAnythingIsDone(t *testing.T) {
	f := newFake()
	f.keyspaces["mail"] = map[string]string{"class": networkTopology, "dc1": "3", "dc2": "2"}
	last := Changes()[len(Changes())-1]
	f.applied[last.Name] = "another"
	err := Apply(t.Context(), f, "mail", wanted, f.done)
	var changed *ChangedError
	if !errors.As(err, &changed) || len(f.definitions()) > 0 {
		t.Errorf("got %v after %q", err, f.steps)
	}
	for _, c := range Changes() {
		if c.Name != last.Name {
			f.applied[c.Name] = c.Digest
		}
	}
	err = Check("mail", f.applied)
	if want := last.Name + " was changed after it was applied to keyspace mail"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error that says %q", err, want)
	}
}

func TestAKeyspaceWithAnotherReplicationIsLeftAlone(t *testing.T) {
	f := newFake()
	f.keyspaces["mail"] = map[string]string{"class": networkTopology, "dc1": "3"}
	err := Apply(t.Context(), f, "mail", wanted, f.done)
	var other *ReplicationError
	if !errors.As(err, &other) || len(f.definitions()) > 0 {
		t.Fatalf("got %v after %q", err, f.steps)
	}
	for _, want := range []string{
		"replicated as dc1:3 and not as dc1:3,dc2:2",
		"ALTER KEYSPACE mail WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3, 'dc2': 2};",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
	if err := Apply(t.Context(), f, "mail", nil, f.done); err != nil {
		t.Errorf("without a wish: %v", err)
	}
}

func TestAKeyspaceThatSomebodyElseJustMadeIsLookedAtAgain(t *testing.T) {
	f := newFake()
	err := Apply(t.Context(), f, "mail", Replication{"dc1": 1}, f.done) // the fake makes another
	var other *ReplicationError
	if !errors.As(err, &other) || other.Is != "dc1:3,dc2:2" {
		t.Errorf("got %v", err)
	}
}

func TestAKeyspaceIsNotMadeWithoutAReplication(t *testing.T) {
	f := newFake()
	if err := Apply(t.Context(), f, "mail", nil, f.done); !errors.Is(err, ErrNoReplication) || len(f.definitions()) > 0 {
		t.Errorf("got %v after %q", err, f.steps)
	}
	if err := Apply(t.Context(), f, "Mail", wanted, f.done); err == nil || !strings.Contains(err.Error(), "not the name of a keyspace") {
		t.Errorf("got %v", err)
	}
}

func TestTheMissingChangesAreNamed(t *testing.T) {
	applied := map[string]string{"9999-later": "of a later version"}
	for _, c := range Changes()[:len(Changes())-2] {
		applied[c.Name] = c.Digest
	}
	err := Check("mail", applied)
	var missing *MissingError
	if !errors.As(err, &missing) || len(missing.Changes) != 2 {
		t.Fatalf("got %v", err)
	}
	last := Changes()[len(Changes())-1]
	for _, want := range []string{"keyspace mail lacks ", last.Name, "restante schema apply"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
	missing.Datacenter = "dc2"
	if got, want := missing.Error(), "schema: data centre dc2 does not have what is in keyspace mail: run nodetool rebuild on its nodes"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := (&MissingError{Keyspace: "mail"}).Error(), "schema: keyspace mail does not exist: run restante schema apply"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
