package app

import (
	"fmt"
	"testing"

	"restante/cassandra/cassandratest"
)

func TestOneOfTheServersOnAClusterSweeps(t *testing.T) {
	config := withTables(t, cassandratest.Start(t))
	other := config
	other.Data = t.TempDir()
	for _, c := range []struct {
		config Config
		want   string
	}{
		{config, "0 uncommitted, 0 released, 0 unlisted, 0 leftovers"},
		{other, "nothing to do yet"},
	} {
		h := start(t, c.config)
		h.await(true)
		if stats, err := h.sweep(t.Context()); err != nil || fmt.Sprint(stats) != c.want {
			t.Errorf("swept %v, %v; want %s", stats, err, c.want)
		}
		if err := h.end(); err != nil {
			t.Error(err)
		}
	}
}
