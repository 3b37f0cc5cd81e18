package rig

import (
	"testing"
	"time"
)

func TestCassandraIsWarmedUpUnlessSomethingElseIsSaid(t *testing.T) {
	none, short := time.Duration(0), time.Second
	for _, c := range []struct {
		service Service
		want    time.Duration
	}{
		{Service{Store: "embedded"}, 0},
		{Service{Store: "embedded", Warm: &short}, short},
		{Service{Store: "cassandra"}, time.Minute},
		{Service{Store: "cassandra", Warm: &none}, 0},
	} {
		if got := c.service.WarmUp(); got != c.want {
			t.Errorf("on %s: %v, want %v", c.service.Store, got, c.want)
		}
	}
}
