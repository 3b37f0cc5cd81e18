package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"restante/perf/peer"
)

func TestAServiceIsOutWhenItIsGivenNoMoreMail(t *testing.T) {
	began := time.Now().Add(-time.Minute)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	seen := func(s int, state string, given bool) sighting {
		return sighting{at: at(s), node: "1", service: "a", state: state, given: given, beat: at(s - 1)}
	}
	for _, c := range []struct {
		name    string
		seen    []sighting
		out, up int // after began; the beat is a second before up
	}{
		{"at once", []sighting{seen(0, "probing", false), seen(1, "up", true), seen(11, "down", false), seen(32, "probing", false), seen(33, "up", true)}, 11, 33},
		{"with a trial", []sighting{seen(1, "up", true), seen(11, "down", false), seen(14, "trial", true), seen(15, "down", false), seen(33, "up", true)}, 15, 33},
		{"never", []sighting{seen(1, "up", true), seen(11, "suspect", true), seen(33, "up", true)}, 30, 33},
		{"before", []sighting{seen(1, "up", true), seen(5, "down", false), seen(33, "up", true)}, 10, 33},
	} {
		other := seen(12, "up", true)
		other.service = "b"
		w := &watch{seen: append(c.seen, other)}
		if out := w.out("1", "a", window{at(10), at(30)}); !out.Equal(at(c.out)) {
			t.Errorf("%s: out after %v, want %d s", c.name, out.Sub(began), c.out)
		}
		if _, up := w.back("1", "a", at(30)); !up.Equal(at(c.up)) {
			t.Errorf("%s: up after %v, want %d s", c.name, up.Sub(began), c.up)
		}
	}
	w := &watch{}
	if beat, up := w.back("1", "b", began.Add(-time.Hour)); up.Sub(beat) < time.Hour {
		t.Errorf("a service that is not there is up after %v", up.Sub(beat))
	}
}

func TestAWatchNotesWhatChanges(t *testing.T) {
	answers := make(chan string, 3)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/services" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s with %q", r.URL, r.Header.Get("Authorization"))
		}
		_, _ = w.Write([]byte(<-answers))
	}))
	defer server.Close()
	const up = `{"services":[{"document":{"name":"a"},"state":"up","last_beat_ms":20,"weight":100}]}`
	answers <- up
	answers <- up
	answers <- strings.Replace(strings.Replace(up, "up", "down", 1), `"weight":100`, `"weight":0`, 1)
	n := &node{Server: &peer.Server{Admin: strings.TrimPrefix(server.URL, "http://")}, name: "1", token: "secret"}
	w, last := &watch{}, make(map[string]sighting)
	for range 3 {
		w.look(context.Background(), n, last)
	}
	if len(w.seen) != 2 || !w.seen[0].given || w.seen[0].state != "up" || w.seen[1].given || w.seen[1].state != "down" || w.seen[0].beat.IsZero() {
		t.Errorf("seen %+v", w.seen)
	}
}
