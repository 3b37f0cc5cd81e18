package embedded

import (
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"restante/mailbox"
)

// How long the free space of the disk is taken as known.
const roomLasts = time.Second

// Each octet of a write lands on the disk in the log and again in a table, and
// a compaction may hold a third copy for a while.
const writeAmplification = 3

// A room refuses writes while the disk has less than minFree octets to spare.
// What is kept free is for Pebble, to which a full disk is fatal, and for
// removals, which make room in the end.
type room struct {
	fs      vfs.FS
	dir     string
	minFree uint64
	now     func() time.Time

	mu      sync.Mutex
	checked time.Time
	spare   int64 // what may be written before the disk is asked again
	free    uint64
}

// take asks for room for n octets. It fails with mailbox.ErrFull.
func (r *room) take(n int) error {
	need := int64(n) * writeAmplification
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.spare < need || r.checked.IsZero() || now.Sub(r.checked).Abs() >= roomLasts {
		usage, err := r.fs.GetDiskUsage(r.dir)
		if err != nil {
			return nil // no file system that can fill up, or none that says so
		}
		r.checked, r.free = now, usage.AvailBytes
		r.spare = int64(min(usage.AvailBytes, 1<<62)) - int64(r.minFree)
	}
	if r.spare < need {
		return fmt.Errorf("embedded: %d octets free on the disk of %s, %d are kept free: %w",
			r.free, r.dir, r.minFree, mailbox.ErrFull)
	}
	r.spare -= need
	return nil
}
