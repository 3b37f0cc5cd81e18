// Package browser drives Chromium: a window is looked at, clicked and typed into as
// a person would, and tells what it asked the network for.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/chromedp/chromedp"
)

// ErrMissing tells that the machine has no Chromium.
var ErrMissing = errors.New("browser: no Chromium: on Debian it needs apt install chromium")

// Find is the program: what RESTANTE_CHROMIUM names, else the first of the usual
// names that PATH has.
func Find() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"}
	if given := os.Getenv("RESTANTE_CHROMIUM"); given != "" {
		names = []string{given}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrMissing
}

// startTimeout is how long Chromium may take to start, on a machine that does
// something else too.
const startTimeout = time.Minute

// A Browser is a Chromium without a window on a screen.
type Browser struct {
	ctx    context.Context
	cancel []context.CancelFunc
}

// Start starts a Chromium that ends with ctx or by Close.
func Start(ctx context.Context) (*Browser, error) {
	path, err := Find()
	if err != nil {
		return nil, err
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path),
		chromedp.Flag("hide-scrollbars", false), chromedp.Flag("lang", "en-GB"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to sandbox what root shows
	}
	b := &Browser{}
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	b.cancel = append(b.cancel, stop)
	ctx, stop = chromedp.NewContext(ctx)
	b.ctx, b.cancel = ctx, append(b.cancel, stop)

	started := make(chan error, 1)
	go func() { started <- chromedp.Do(ctx) }()
	select {
	case err = <-started:
	case <-time.After(startTimeout):
		err = fmt.Errorf("not within %s", startTimeout)
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("browser: start %s: %w", path, err)
	}
	return b, nil
}

// Close ends the program and waits until it is gone.
func (b *Browser) Close() {
	for _, cancel := range slices.Backward(b.cancel) {
		cancel()
	}
}
