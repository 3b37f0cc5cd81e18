package smtp

import (
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"
)

// A shutdown may come just before a client is waited for.
func TestAStopBeforeTheWaitEndsIt(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	w := newWire(New(Options{DataTimeout: time.Second, Log: slog.New(slog.DiscardHandler)}), far, false)
	defer w.close()
	w.stop()
	if _, err := w.in.ReadByte(); !errors.Is(err, errStopping) {
		t.Errorf("got %v, want %v", err, errStopping)
	}
}
