package embedded

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// What Pebble may use.
const (
	memTableSize = 8 << 20 // the log is cut, and a table written, this often
	cacheSize    = 32 << 20
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
		CacheSize:          cacheSize,
		MemTableSize:       memTableSize,
		MaxOpenFiles:       maxOpenFiles,
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
	}
}
