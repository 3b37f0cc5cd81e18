package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"restante/perf/history"
	"restante/perf/peer"
	"restante/perf/scenario"
)

// alone is one Restante on its embedded store: a system without a database, of which only
// the server can get into trouble.
type alone struct {
	System   // nil: nothing else is called
	settings peer.Settings
	server   *peer.Server
}

func (a *alone) start(ctx context.Context) (err error) {
	kind, err := peer.Find("restante")
	if err != nil {
		return err
	}
	a.server, err = kind.Start(ctx, a.settings)
	return err
}

func (a *alone) Servers() []scenario.Target {
	return []scenario.Target{{Name: "a", Datacenter: "dc1", SMTP: a.server.SMTP, POP3: a.server.POP3}}
}

func (a *alone) KillServer(context.Context, string) error   { return a.server.Kill() }
func (a *alone) FreezeServer(context.Context, string) error { return a.server.Freeze() }
func (a *alone) ThawServer(context.Context, string) error   { return a.server.Thaw() }
func (a *alone) Healthy(context.Context) error              { return nil }
func (a *alone) StartServer(ctx context.Context, _ string, _ time.Duration) error {
	return a.start(ctx)
}

func TestRestanteKeepsItsWordWhenItIsKilledAndFrozen(t *testing.T) {
	dir := t.TempDir()
	binary, err := peer.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	// An address of loopback that nobody else has, so that the ports are the same after a kill.
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
	trial := short(t)
	trial.Password, trial.For, trial.Seed = peer.Password, 4*time.Second, 3
	trial.Kinds = []Kind{
		{"kill a server", 2, []time.Duration{100 * time.Millisecond}, server(System.KillServer, startServer)},
		{"freeze a server", 1, []time.Duration{300 * time.Millisecond}, server(System.FreezeServer, System.ThawServer)},
	}
	// On a busy machine a trial may be over before it has shown anything.
	for ; trial.For <= 4*longest; trial.For *= 2 {
		dir := filepath.Join(dir, trial.For.String())
		v := playAlone(t, trial, dir, peer.Settings{
			Dir: filepath.Join(dir, "server"), Users: trial.Maildrops, Binary: binary, Place: peer.Place{Listen: host, Reach: host},
		})
		if v.Acknowledged > 0 && v.Removed > 0 && v.Unknown > 0 && len(v.Spells) > 0 {
			return
		}
	}
	t.Error("the trials have shown nothing")
}

// playAlone plays a trial with a server of its own, which has to keep its word.
func playAlone(t *testing.T, trial Trial, dir string, s peer.Settings) *history.Verdict {
	a := &alone{settings: s}
	if err := a.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "history.gz")
	h, err := history.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(trial.Run(t.Context(), a, h), a.server.Stop(), h.Close()); err != nil {
		t.Fatal(err)
	}
	v, err := history.CheckFile(path, history.Rules{Lag: time.Second, Heal: time.Second}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return v
}
