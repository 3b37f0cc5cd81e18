package peer

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"restante/perf/proc"
	"restante/perf/scenario"
	"restante/perf/wire"
)

// exercise delivers to a server and reads it back, over a restart by kill -9.
func exercise(t *testing.T, name string) {
	kind, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := TempDir("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	settings := Settings{Dir: dir, Users: 2}
	s, err := kind.Start(context.Background(), settings)
	if errors.Is(err, ErrNotInstalled) {
		t.Logf("%s is not installed, which is fine", name)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	load := scenario.Load{Address: s.LMTP, Connections: 2, Count: 20, Users: 2, Pattern: Pattern, Password: Password, Options: wire.Options{}}
	if err := okay(scenario.Measure(context.Background(), "deliver", scenario.Deliver{Load: load, LMTP: true, Size: 4096, From: Sender}, s.PIDs()...)); err != nil {
		t.Error(err)
	}
	if err := s.Kill(); err != nil {
		t.Error(err)
	}
	if s, err = kind.Start(context.Background(), settings); err != nil {
		t.Fatal(err)
	}
	load.Address, load.Count = s.POP3, 4
	if err := okay(scenario.Measure(context.Background(), "session", scenario.Session{Load: load, Messages: 10}, s.PIDs()...)); err != nil {
		t.Error(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func okay(r scenario.Result, err error) error {
	if err == nil && r.Errors > 0 {
		err = errors.New(r.Faults[0])
	}
	return err
}

func TestDovecotServesAndKeepsMail(t *testing.T) {
	for _, name := range []string{"dovecot-maildir", "dovecot-sdbox"} {
		t.Run(name, func(t *testing.T) { exercise(t, name) })
	}
}

func TestPostfixHandsOverAndLeavesNothingRunning(t *testing.T) {
	dir, err := TempDir("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s, err := startPostfix(t.Context(), Settings{Dir: dir})
	if errors.Is(err, ErrNotInstalled) {
		t.Log("postfix or dovecot is not installed, which is fine")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	ids, err := proc.System{}.Members(s.PIDs()...)
	if err != nil {
		t.Error(err)
	}
	load := scenario.Load{Address: s.SMTP, Connections: 2, Count: 10, Users: 1, Pattern: Pattern, Password: Password}
	if err := okay(scenario.Measure(t.Context(), "deliver", scenario.Deliver{Load: load, Size: 4096, From: Sender}, s.PIDs()...)); err != nil {
		t.Error(err)
	}
	load.Address, load.Connections, load.Count = s.POP3, 1, 1
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := okay(scenario.Measure(t.Context(), "session", scenario.Session{Load: load, Messages: 10}))
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Error("not handed over:", err)
			break
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if n, err := (proc.System{}).Living(ids...); n > 0 || err != nil {
		t.Errorf("%d of %d processes live, %v", n, len(ids), err)
	}
}

func TestAnUnknownServerIsNamed(t *testing.T) {
	if _, err := Find("sendmail"); err == nil {
		t.Error("there is a sendmail")
	}
}
