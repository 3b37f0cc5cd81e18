package rest

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"
)

// An importReport writes the events of an import, at the latest one a second while
// something happens, so that whoever waits sees that it goes on.
type importReport struct {
	mu           sync.Mutex
	w            io.Writer
	wrote        time.Time
	made, failed int
	err          error // of the first write that failed: the client is gone
}

func (r *importReport) success() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made++
	if time.Since(r.wrote) >= importProgress {
		r.write(ImportEvent{})
	}
	return r.err
}

func (r *importReport) failure(line int, address, why string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
	r.write(ImportEvent{Line: line, Address: address, Error: why})
	return r.err
}

// end writes the last event. An import that was not whole says so.
func (r *importReport) end(whole bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := ImportEvent{Done: whole}
	if !whole {
		last.Error = "the import stopped; when it is repeated, accounts that were made are reported as existing"
	}
	r.write(last)
	return r.err
}

func (r *importReport) write(ev ImportEvent) {
	ev.Made, ev.Failed = r.made, r.failed
	if r.err == nil {
		r.err = json.NewEncoder(r.w).Encode(ev)
	}
	if f, ok := r.w.(http.Flusher); ok {
		f.Flush()
	}
	r.wrote = time.Now()
}
