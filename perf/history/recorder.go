package history

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// flushEvery bounds what a history lacks when the tool is killed.
	flushEvery = time.Second
	bufferSize = 256 << 10
)

// A Recorder writes a history. It is safe for concurrent use. A client that records
// waits for the disk, so what is not written yet is bounded by its buffer.
type Recorder struct {
	began  time.Time
	stop   chan struct{}
	ended  chan struct{}
	closer []io.Closer

	mu   sync.Mutex
	to   *bufio.Writer
	zip  *gzip.Writer // between the buffer and the file, or nil
	json *json.Encoder
	err  error // the first one; nothing is written after it
}

// Create begins a history in a file that must not be there yet. One whose name ends with
// .gz is compressed.
func Create(path string) (*Recorder, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(path, zipped) {
		return newRecorder(f, nil, f), nil
	}
	zip, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return newRecorder(zip, zip, zip, f), nil
}

// NewRecorder begins a history on a writer.
func NewRecorder(w io.Writer) *Recorder { return newRecorder(w, nil) }

func newRecorder(w io.Writer, zip *gzip.Writer, closer ...io.Closer) *Recorder {
	r := &Recorder{
		began: time.Now(), stop: make(chan struct{}), ended: make(chan struct{}), closer: closer,
		to: bufio.NewWriterSize(w, bufferSize), zip: zip,
	}
	r.json = json.NewEncoder(r.to)
	r.json.SetEscapeHTML(false)
	go r.flushNowAndThen()
	return r
}

func (r *Recorder) flushNowAndThen() {
	defer close(r.ended)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-tick.C:
			r.mu.Lock()
			r.flush()
			r.mu.Unlock()
		}
	}
}

func (r *Recorder) flush() {
	if r.err == nil {
		r.err = r.to.Flush()
	}
	if r.err == nil && r.zip != nil {
		r.err = r.zip.Flush()
	}
}

// Now is the time to put into From, before an operation begins.
func (r *Recorder) Now() time.Duration { return time.Since(r.began) }

// Record appends an operation that has just ended. It sets the time of that itself, and
// in turn, so that a history is in the order of its completions: whoever reads an entry
// has read all that ended before it. Later than it was is on the safe side, as the
// server owes nothing to those who cannot know yet.
func (r *Recorder) Record(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.To = r.Now()
	if e.Op == Run || e.Op == Nemesis || e.Op == Final {
		e.From = e.To
	}
	if r.err == nil {
		r.err = r.json.Encode(e)
	}
}

// Err is the error that has ended the writing, if one has.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Close writes what is left. Nothing may be recorded after.
func (r *Recorder) Close() error {
	close(r.stop)
	<-r.ended
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	err := r.err
	for _, c := range r.closer {
		err = errors.Join(err, c.Close())
	}
	return err
}
