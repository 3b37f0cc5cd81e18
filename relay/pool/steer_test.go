package pool_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
)

func TestTheOperatorSteersAllProcesses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t, static("a", "b"))
		here.warm()
		for name, do := range map[string]func() (pool.Status, error){
			"draining": func() (pool.Status, error) { return here.Drain(t.Context(), "a") },
			"up":       func() (pool.Status, error) { return there.Resume(t.Context(), "a") },
			"maintenance": func() (pool.Status, error) {
				on := true
				return there.Patch(t.Context(), "a", -1, pool.Patch{Maintenance: &on})
			},
		} {
			if _, err := do(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1100 * time.Millisecond)
			for _, s := range []*site{here, there} {
				if got := s.status("a").State.String(); got != name {
					t.Errorf("%s; want %s", got, name)
				}
			}
		}
	})
}

func TestAServiceThatDrainsFinishesWhatItHas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		a := s.register(agent("a"))
		a.forSeconds(3)
		k := s.pick()
		if _, err := s.Drain(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		s.refused(relay.ErrNoService)
		if !a.beat().Drain {
			t.Error("it is not told")
		}
		if o := k.Send(t.Context(), mail(1)); o[0].Result != relay.Success {
			t.Errorf("%+v", o)
		}
		if st := s.status("a"); st.Sending != 0 || st.State != pool.Draining {
			t.Errorf("%d are sent, and it is %s", st.Sending, st.State)
		}
		again := s.register(agent("a")) // what the operator said outlasts it
		again.forSeconds(3)
		s.is("a", pool.Draining)
		if _, err := s.Resume(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		s.is("a", pool.Up)
	})
}

func TestAPatchGoesOverTheDocument(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t)
		a := here.register(agent("a"))
		a.forSeconds(40)
		before := here.status("a")
		weight, priority, senders, tags := 250.0, 3, []string{"Example.COM"}, []string{"north"}
		patch := pool.Patch{Weight: &weight, Priority: &priority, Senders: &senders, Tags: &tags, Limits: &pool.Limits{Concurrency: 2}}
		after, err := here.Patch(t.Context(), "a", before.Revision, patch)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
		a.beat()
		for _, s := range []*site{here, there} {
			st := s.status("a")
			d := st.Document
			if d.Weight != 250 || d.Priority != 3 || !slices.Equal(d.Senders, []string{"example.com"}) || !slices.Equal(d.Tags, tags) || st.Room != 2 || st.Revision != after.Revision {
				t.Errorf("%+v", st)
			}
			s.refused(relay.ErrNoService)
			s.pick(func(w *relay.Want) { w.Domain = "example.com" }).Release()
		}
		if _, err := here.Patch(t.Context(), "a", before.Revision, patch); !errors.Is(err, pool.ErrRevision) {
			t.Errorf("%v; want ErrRevision", err)
		}
		if _, err := there.Patch(t.Context(), "a", after.Revision, pool.Patch{}); err != nil {
			t.Error(err)
		}
		for _, wrong := range []float64{-1, 1e9} {
			if _, err := here.Patch(t.Context(), "a", -1, pool.Patch{Weight: &wrong}); !errors.Is(err, pool.ErrInvalid) {
				t.Errorf("%v; want ErrInvalid", err)
			}
		}
		if _, err := here.Patch(t.Context(), "a", -1, pool.Patch{Limits: &pool.Limits{Octets: -1}}); !errors.Is(err, pool.ErrInvalid) {
			t.Errorf("%v; want ErrInvalid", err)
		}
		if _, err := here.Patch(t.Context(), "nobody", -1, pool.Patch{}); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("%v; want ErrNotFound", err)
		}
	})
}

func TestAResetIsForAllProcesses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t, static("a"))
		here.warm()
		for _, s := range []*site{here, there} {
			s.results("a", 1, relay.AccountFault)
			s.is("a", pool.Misconfigured)
		}
		if _, err := there.Reset(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		there.is("a", pool.Up)
		time.Sleep(1100 * time.Millisecond)
		here.is("a", pool.Up)
		here.results("a", 1, relay.AccountFault)
		time.Sleep(time.Minute)
		here.is("a", pool.Misconfigured) // the reset before does not undo it again
	})
}

func TestAServiceThatIsTrippedIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a", "b"))
		s.warm()
		if _, err := s.Trip("a"); err != nil {
			t.Fatal(err)
		}
		s.is("a", pool.Down)
		time.Sleep(5500 * time.Millisecond)
		s.is("a", pool.Trial)
		for range 100 {
			s.send()
		}
		s.is("a", pool.Up)
	})
}

func TestAServiceThatIsRemovedIsGoneEverywhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there, _ := sharing(t, static("configured"))
		a := here.register(agent("a"))
		a.forSeconds(3)
		if err := there.Remove(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
		if _, err := a.try(); !errors.Is(err, pool.ErrUnregistered) {
			t.Errorf("%v; want ErrUnregistered", err)
		}
		if _, err := here.Service("a"); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("%v; want ErrNotFound", err)
		}
		if err := here.Remove(t.Context(), "a"); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("%v; want ErrNotFound", err)
		}
		if err := here.Remove(t.Context(), "configured"); !errors.Is(err, pool.ErrStatic) {
			t.Errorf("%v; want ErrStatic", err)
		}
	})
}

func TestTransitionsAreToldInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		kept, next, stop, err := s.Subscribe()
		if err != nil || len(kept) != 0 {
			t.Fatal(kept, err)
		}
		s.register(agent("a")).forSeconds(2)
		time.Sleep(5 * time.Second)
		if err := s.Remove(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var got []string
		for range len(next) {
			tr := <-next
			if tr.Seq != uint64(len(got)+1) || tr.At.IsZero() || tr.Reason == "" {
				t.Errorf("%+v", tr)
			}
			line := tr.Service + " " + tr.From.String() + " " + tr.To.String()
			if tr.Removed {
				line += " removed"
			}
			got = append(got, strings.TrimSpace(line))
		}
		want := []string{"a probing up", "probing up", "a up down", "up down", "a down down removed"}
		if !slices.Equal(got, want) {
			t.Errorf("%q; want %q", got, want)
		}
		again, _, stopAgain, err := s.Subscribe()
		if err != nil || len(again) != len(want) {
			t.Errorf("%d are kept, %v; want %d", len(again), err, len(want))
		}
		stop()
		stop()
		stopAgain()
	})
}

func TestASlowSubscriberIsCutOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, static("a", "b"))
		s.warm()
		_, slow, stop, err := s.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		for range 600 {
			if _, err := s.Drain(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Resume(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for range slow { // it is closed
			n++
		}
		kept, _, stop2, err := s.Subscribe()
		if err != nil || n != 256 || len(kept) != 256 {
			t.Errorf("%d were told, %d are kept, %v; want 256 each", n, len(kept), err)
		}
		stop2()
		for range 64 {
			_, _, stop, err := s.Subscribe()
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
		}
		if _, _, _, err := s.Subscribe(); !errors.Is(err, pool.ErrRate) {
			t.Errorf("%v; want ErrRate", err)
		}
	})
}

func TestServicesAreMeasured(t *testing.T) {
	bubble(t, func(t *testing.T) {
		registry := prometheus.NewPedanticRegistry()
		s := newSite(t, func(o *pool.Options) { o.Registerer = registry })
		a := s.register(agent("a"))
		a.forSeconds(40)
		s.fake("a").set(func(f *fake) { f.takes = 100 * time.Millisecond })
		for range 4 {
			s.send()
			a.beat()
		}
		s.results("a", 1, relay.BadRecipient)
		if st := s.status("a"); st.Results["success"] != 4 || st.Results["bad recipient"] != 1 || st.Minute != 5 || st.P50 != 100*time.Millisecond || st.P99 != 100*time.Millisecond {
			t.Errorf("%+v", st)
		}
		want := []string{
			`restante_relay_pool_down{} 0`,
			`restante_relay_service_outcomes_total{result="bad recipient",service="a"} 1`,
			`restante_relay_service_outcomes_total{result="success",service="a"} 4`,
			`restante_relay_service_sending{service="a"} 0`,
			`restante_relay_service_state{service="a",state="up"} 1`,
			`restante_relay_service_weight{service="a"} 100`,
		}
		got := series(t, registry)
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("no %s in %q", line, got)
			}
		}
		if err := s.Remove(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		for _, line := range series(t, registry) {
			if strings.Contains(line, `service="a"`) {
				t.Errorf("%s of a service that is gone", line)
			}
		}
	})
}

// series are the counters and gauges, one a line.
func series(t *testing.T, registry *prometheus.Registry) (lines []string) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			lines = append(lines, fmt.Sprintf("%s{%s} %v", f.GetName(), strings.Join(labels, ","), m.GetCounter().GetValue()+m.GetGauge().GetValue()))
		}
	}
	return lines
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	opens := (&fakes{byName: map[string]*fake{}}).open
	fails := func(pool.Document) (relay.Provider, error) { return nil, errors.New("no") }
	for name, o := range map[string]pool.Options{
		"nothing opens":        {},
		"no scheduler":         {Open: opens, Scheduler: "first come"},
		"no scheduler there":   {Open: opens, Schedulers: map[string]string{"a.example": "first come"}},
		"short life":           {Open: opens, TTL: time.Second},
		"the same name":        {Open: opens, Static: []pool.Document{{Name: "a", Kind: "smtp"}, {Name: "a", Kind: "smtp"}}},
		"not valid":            {Open: opens, Static: []pool.Document{{Name: "A", Kind: "smtp"}}},
		"cannot be opened":     {Open: fails, Static: []pool.Document{{Name: "a", Kind: "smtp"}}},
		"too many":             {Open: opens, MaxServices: 1, Static: make([]pool.Document, 2)},
		"negative":             {Open: opens, Concurrency: -1},
		"token, not digest":    {Open: opens, Enrolments: []pool.Enrolment{{Digest: "secret"}}},
		"pattern that is none": {Open: opens, Enrolments: []pool.Enrolment{{Digest: pool.Digest("x"), Names: "[a"}}},
	} {
		if _, err := pool.New(o); err == nil {
			t.Errorf("%s: no failure", name)
		}
	}
}
