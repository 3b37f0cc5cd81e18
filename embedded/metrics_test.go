package embedded

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
)

// TestMetricsCountWhatHappens gathers while the store is open, and finds nothing
// when it is closed.
func TestMetricsCountWhatHappens(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	s := openStore(t, Options{Registerer: registry})
	drop := mailbox.MaildropID{1}
	if err := put(t.Context(), s, new(mailbox.MessageIDs).Next(), []byte("x"), drop); err != nil {
		t.Fatal(err)
	}
	mustList(t, s, drop)
	mustList(t, s, drop)
	ids := new(mailbox.MessageIDs)
	if err := submit(t.Context(), s, openSegment(t, s, ids), ids.Next(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	if got["restante_embedded_listings_total"] != 2 || got["restante_embedded_log_sync_seconds"] == 0 || got["restante_embedded_disk_bytes"] == 0 || got["restante_embedded_journal_events_total"] != 1 {
		t.Errorf("metrics: %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("after Close: %v, %v", families, err)
	}
}
