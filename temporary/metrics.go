package temporary

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	made, removed, expired, evicted prometheus.Counter // mailboxes
	trimmed                         prometheus.Counter // messages
	untrimmed, abandoned            prometheus.Counter
	live, watchers                  prometheus.GaugeFunc
}

func newMetrics(m *Mailboxes) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "restante_temporary_" + name, Help: help})
	}
	gauge := func(name, help string, value func() int) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "restante_temporary_" + name, Help: help},
			func() float64 { return float64(value()) })
	}
	return &metrics{
		made:      counter("mailboxes_made_total", "Temporary mailboxes that were made."),
		removed:   counter("mailboxes_removed_total", "Temporary mailboxes that were removed before their time."),
		expired:   counter("mailboxes_expired_total", "Temporary mailboxes whose time was over."),
		evicted:   counter("mailboxes_evicted_total", "Temporary mailboxes that were removed to make room for others."),
		trimmed:   counter("messages_trimmed_total", "Messages removed from mailboxes that had more than they show."),
		untrimmed: counter("trims_put_off_total", "Full mailboxes left as they are until the next delivery, as too many waited."),
		abandoned: counter("leftovers_abandoned_total", "Removed mailboxes whose mail is left to expire, as too many waited."),
		live:      gauge("mailboxes_live", "Temporary mailboxes that have not ended; of those that others made, only what was there at the start of the only server.", m.living.len),
		watchers:  gauge("watchers", "Clients that wait for a change of a mailbox.", m.watched.len),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.made, m.removed, m.expired, m.evicted, m.trimmed, m.untrimmed, m.abandoned, m.live, m.watchers}
}
