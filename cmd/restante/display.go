package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/term"

	"restante/app"
)

// A display shows progress: on a terminal as one line that changes, elsewhere as a
// line now and then.
type display struct {
	out   io.Writer
	width func() int // of the terminal; nil: there is none

	mu    sync.Mutex
	step  int       // that was shown
	at    time.Time // when it was
	shown bool      // a line stands there
}

// plainInterval is how often a step has a line where there is no terminal.
const plainInterval = 10 * time.Second

func newDisplay(out io.Writer) *display {
	d := &display{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		d.width = func() int {
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 80
			}
			return width
		}
	}
	return d
}

func (d *display) show(p app.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.width == nil && p.Step == d.step && time.Since(d.at) < plainInterval {
		return
	}
	d.step, d.at = p.Step, time.Now()
	line := fmt.Sprintf("%d/%d %s %.1f%%: %s rows, %s a second; found %s",
		p.Step, p.Steps, p.Table, 100*p.Ring, grouped(p.Rows), grouped(int64(p.Rate)), p.Found)
	if d.width == nil {
		fmt.Fprintln(d.out, line)
		return
	}
	d.erase()
	// What is wider than the terminal could not be erased.
	fmt.Fprint(d.out, line[:max(0, min(len(line), d.width()-1))])
	d.shown = true
}

// grouped is a number that is read at a glance.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// clear makes place for other lines.
func (d *display) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
}

func (d *display) erase() {
	if d.shown {
		fmt.Fprint(d.out, "\r\x1b[K")
		d.shown = false
	}
}

// Write is for a log.
func (d *display) Write(line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	return d.out.Write(line)
}

// end leaves the last line as it is.
func (d *display) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shown {
		fmt.Fprintln(d.out)
		d.shown = false
	}
}
