package embedded

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// What Pebble may use.
const (
	memTableSize = 4 << 20  // the log is cut, and a table written, this often
	blockCache   = 16 << 20 // for blocks of tables and bodies
	maxOpenFiles = 500

	// Values of this size and more go to files of their own, which compactions
	// leave alone: the bodies of messages are written twice in their life.
	minSeparated = 1 << 10
)

func (s *Store) pebbleOptions(o Options) *pebble.Options {
	opts := &pebble.Options{
		FS:                 s.guard,
		Lock:               s.lock,
		Logger:             logger{s.log, s.guard},
		EventListener:      s.events(),
		FormatMajorVersion: pebble.FormatValueSeparation,
		// Pebble takes the memory of its two memtables out of the cache.
		CacheSize:    blockCache + 2*int64(o.memTableSize),
		MemTableSize: o.memTableSize,
		MaxOpenFiles: maxOpenFiles,
		// No writer waits for a compaction, which may never come once writing
		// has ended. There is little to compact where bodies are apart.
		L0StopWritesThreshold: 1000,
	}
	opts.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		return pebble.ValueSeparationPolicy{
			Enabled:               true,
			MinimumSize:           minSeparated,
			MaxBlobReferenceDepth: 10,
			RewriteMinimumAge:     time.Minute,
			TargetGarbageRatio:    0.3,
		}
	}
	for i := range opts.Levels {
		// Most look-ups are for what is not there: a removal, a row.
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	return opts
}

// events counts what Pebble does, and makes known what an operator must know.
func (s *Store) events() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			s.metrics.backgroundErrors.Inc()
			s.log.Error("store could not tidy up; it tries again", "err", err)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			s.metrics.corruptions.Inc()
			s.log.Error("store is corrupt", "path", info.Path, "err", info.Details)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			s.metrics.stalls.Inc()
			s.stall.begin()
			s.log.Debug("store holds writers back", "reason", info.Reason)
		},
		WriteStallEnd: s.stall.end,
		FlushEnd: func(info pebble.FlushInfo) {
			if !s.patience.lasts(info.Err) {
				s.guard.stop(fmt.Errorf("flush fails again and again: %w", info.Err))
			}
		},
	}
}

// A patience ends when something has failed for too long without a success in
// between: writers wait for a flush, and would wait for ever.
type patience struct {
	limit time.Duration
	since atomic.Pointer[time.Time] // the first failure in a row
}

// flushPatience is how long flushes may fail.
const flushPatience = 30 * time.Second

// lasts notes an outcome, nil for a success, and reports whether there is
// patience left.
func (p *patience) lasts(err error) bool {
	if err == nil {
		p.since.Store(nil)
		return true
	}
	now := time.Now()
	p.since.CompareAndSwap(nil, &now)
	since := p.since.Load()
	return since == nil || now.Sub(*since) < p.limit
}
