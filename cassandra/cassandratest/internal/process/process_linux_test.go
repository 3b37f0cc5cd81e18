package process

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestTimersOfAChildMayBeLate(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // and no unlocking: the thread ends with this goroutine, as others need not be late
	var said strings.Builder
	cmd := exec.Command("cat", "/proc/self/timerslack_ns")
	cmd.Stdout = &said
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	if got, want := strings.TrimSpace(said.String()), fmt.Sprint(Late.Nanoseconds()); got != want {
		t.Errorf("%s ns; want %s", got, want)
	}
}
