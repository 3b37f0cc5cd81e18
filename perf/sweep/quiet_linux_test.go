package sweep

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"
)

func TestWhatIsIdleIsNotWaitedForLong(t *testing.T) {
	asleep := exec.Command("sleep", "60")
	if err := asleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = asleep.Process.Kill()
		_ = asleep.Wait()
	}()
	if err := Quiet(0, time.Hour, asleep.Process.Pid)(t.Context()); err != nil {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Quiet(0, time.Hour, asleep.Process.Pid)(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("after an interrupt: %v", err)
	}
}

func TestWhatIsNeverIdleIsWaitedForOnlySoLong(t *testing.T) {
	busy := exec.Command("sh", "-c", "while :; do :; done")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := Quiet(-1, time.Second, busy.Process.Pid)(t.Context()); err != nil || time.Since(began) < time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	_ = busy.Process.Kill()
	_ = busy.Wait()
	if err := Quiet(0, time.Hour, busy.Process.Pid)(t.Context()); err == nil {
		t.Error("a process that is gone is waited for")
	}
}
