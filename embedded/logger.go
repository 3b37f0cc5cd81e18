package embedded

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// logger carries Pebble's messages to the log of the program: what is routine
// at debug level.
type logger struct {
	log   *slog.Logger
	guard *guard
}

var _ pebble.Logger = logger{}

func (l logger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebble: " + fmt.Sprintf(format, args...))
	}
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Warn("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf is called where Pebble cannot go on. It returns, which Pebble does not
// expect; but the guard keeps everything from the disk that comes after it.
func (l logger) Fatalf(format string, args ...any) {
	l.guard.stop(fmt.Errorf("pebble: "+format, args...))
}
