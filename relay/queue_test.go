package relay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/relaytest"
)

func TestAMessageIsDeliveredAndItsContentReleased(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		id := r.submit("barney")
		r.wantEvents(id, "accepted attempt delivered")
		if got := a.got(); len(got) != 1 || got[0].message != id || !got[0].taken {
			t.Errorf("the service got %+v", got)
		}
		if !r.gone(id) {
			t.Error("the content is still there")
		}
		if got := r.List(relay.Filter{}, relay.Place{}, 10); len(got) != 0 {
			t.Errorf("still queued: %+v", got)
		}
	})
}

func TestNothingIsHandedOverBeforeTheAttemptIsInTheJournal(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
			if c.Has(relay.Attempt) {
				return relaytest.Fail
			}
			return nil
		})
		id := r.submit("barney")
		time.Sleep(5 * time.Minute)
		if got := a.got(); len(got) != 0 {
			t.Fatalf("the service got %+v", got)
		}
		r.journal.Inject(nil)
		time.Sleep(2 * time.Second)
		r.wantEvents(id, "accepted attempt delivered")
	})
}

func TestAnOutcomeIsWrittenAsSoonAsTheJournalIsBack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
			if c.Has(relay.Delivered) {
				return relaytest.Hang
			}
			return nil
		})
		id := r.submit("barney")
		time.Sleep(9 * time.Minute)
		r.wantEvents(id, "accepted attempt")
		r.journal.Inject(nil)
		time.Sleep(10 * time.Second)
		r.wantEvents(id, "accepted attempt delivered")
		if n := len(a.got()); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

func TestEachRecipientHasItsOwnOutcome(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").answer = func(_ relay.Mail, i int) relay.Outcome {
			return [...]relay.Outcome{
				{Result: relay.Success}, {Result: relay.BadRecipient, Text: "no such user"}, {Result: relay.Temporary, Text: "busy"},
			}[i]
		}
		id := r.submit("one", "two", "three")
		r.wantEvents(id, "accepted attempt attempt(1) attempt(2) delivered failed(1) deferred(2)")
		if got := r.notices.of(id); !slices.Equal(got, []string{"failed 1 no such user"}) {
			t.Errorf("the sender heard %q", got)
		}
		if r.gone(id) {
			t.Error("the content is gone, though one recipient needs it")
		}
	})
}

func TestTheLogTellsWhatBecameOfEachRecipient(t *testing.T) {
	var log bytes.Buffer
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").answer = func(_ relay.Mail, i int) relay.Outcome {
			return [...]relay.Outcome{
				{Result: relay.Success, Code: 250, Text: "ok"},
				{Result: relay.BadRecipient, Code: 550, Enhanced: "5.1.1", Text: "no such user"},
				{Result: relay.Temporary, Code: 451, Enhanced: "4.3.0", Text: "busy"},
			}[i]
		}
		id := r.submit("one", "two", "three")
		synctest.Wait()
		r.end()
		for _, want := range []string{
			`level=INFO msg="mail handed over" message=` + id.String() + ` to=one@example.net service=a result=success code=250 enhanced="" text=ok attempts=1 age=0s` + "\n",
			`level=INFO msg="mail given up" message=` + id.String() + ` to=two@example.net service=a result="bad recipient" code=550 enhanced=5.1.1 text="no such user" attempts=1 age=0s` + "\n",
			`level=INFO msg="mail deferred" message=` + id.String() + ` to=three@example.net service=a result=temporary code=451 enhanced=4.3.0 text=busy attempts=1 age=0s next=2000-01-01T00:0`,
		} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("the log has not %q, but\n%s", want, log.String())
			}
		}
	}, func(o *relay.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
}

func TestTheSenderIsToldBeforeARecipientIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").says(relay.BadRecipient, "no such user")
		r.notices.setFail(errors.New("no"))
		id := r.submit("barney")
		r.wantEvents(id, "accepted attempt deferred")
		r.notices.setFail(nil)
		time.Sleep(6 * time.Minute)
		r.wantEvents(id, "accepted attempt deferred failed")
		if got := r.notices.of(id); !slices.Equal(got, []string{"failed 0 no such user"}) {
			t.Errorf("the sender heard %q", got)
		}
	})
}

// What a service has refused is not asked again because the sender could not be told: not
// by this process, and not by the next. The others are tried as ever.
func TestARefusalWhoseSenderCannotBeToldStands(t *testing.T) {
	for name, restarts := range map[string]bool{"the process goes on": false, "another does": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				a := r.pool.add("a")
				a.answer = func(_ relay.Mail, i int) relay.Outcome {
					return []relay.Outcome{{Result: relay.BadRecipient, Text: "no such user"}, {Result: relay.Temporary, Text: "busy"}}[i]
				}
				r.notices.setFail(errors.New("no"))
				id := r.submitAs(relay.Submission{Class: relay.High}, "one", "two")
				time.Sleep(2 * time.Hour)
				if restarts {
					r.restart()
				}
				r.pool.change(func() { a.down = true }) // so that the message waits for a service
				time.Sleep(6 * time.Hour)
				for _, s := range a.got()[1:] {
					if !slices.Equal(s.recipients, []int{1}) {
						t.Errorf("handed over for %v", s.recipients)
					}
				}
				if n := len(a.got()); n < 4 {
					t.Errorf("the other recipient was tried %d times", n)
				}
				r.notices.setFail(nil)
				time.Sleep(6 * time.Minute)
				if got := r.notices.of(id); !slices.Contains(got, "failed 0 no such user") || slices.Contains(got, "delayed 0 no such user") {
					t.Errorf("the sender heard %q", got)
				}
				if got := r.List(relay.Filter{}, relay.Place{}, 10); len(got) != 1 || got[0].Entry.Recipient != 1 {
					t.Errorf("listed: %+v", got)
				}
				r.notices.setFail(errors.New("no"))
				time.Sleep(24 * time.Hour)
				r.notices.setFail(nil)
				time.Sleep(6 * time.Minute)
				if got := r.notices.of(id); len(got) != 3 || !r.gone(id) {
					t.Errorf("the sender heard %q; content gone: %v", got, r.gone(id))
				}
			})
		})
	}
}

func TestTheTimeOfARefusalWhoseSenderCannotBeToldMayEnd(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").says(relay.BadRecipient, "no such user")
		r.notices.setFail(errors.New("no"))
		id := r.submitAs(relay.Submission{Class: relay.High}, "barney")
		time.Sleep(30 * time.Hour)
		r.notices.setFail(nil)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if got := r.notices.all; len(got) != 1 || got[0].Expired || !r.gone(id) {
			t.Errorf("the sender heard %+v; content gone: %v", got, r.gone(id))
		}
	})
}

// A message for many is one message to its sender too.
func TestOneNoticeTellsOfAllRecipients(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").answer = func(_ relay.Mail, i int) relay.Outcome {
			return relay.Outcome{Result: []relay.Result{relay.Temporary, relay.BadRecipient}[i%2], Text: "no"}
		}
		var to []string
		for i := range 60 {
			to = append(to, fmt.Sprint("u", i))
		}
		r.submitAs(relay.Submission{Class: relay.High}, to...)
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		var got []string
		for _, n := range r.notices.all {
			got = append(got, fmt.Sprintf("%v for %d", n.Action, len(n.Recipients)))
		}
		if want := []string{"failed for 25", "failed for 5", "delayed for 30", "failed for 30"}; !slices.Equal(got, want) {
			t.Errorf("the sender heard %q, want %q", got, want)
		}
	})
}

func TestSuccessIsToldToWhoAsksForIt(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a")
		id := r.submitAs(relay.Submission{Notify: []relay.Notify{relay.NotifySuccess, 0}}, "one", "two")
		r.wantEvents(id, "accepted attempt attempt(1) delivered delivered(1)")
		if got := r.notices.of(id); !slices.Equal(got, []string{"relayed 0 ok"}) {
			t.Errorf("the sender heard %q", got)
		}
	})
}

func TestAnotherServiceIsAskedAtOnce(t *testing.T) {
	for _, result := range []relay.Result{relay.Temporary, relay.Throttled, relay.AccountFault, relay.Transport, relay.BadMessage} {
		t.Run(result.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				a, b := r.pool.add("a").says(result, "no"), r.pool.add("b")
				id := r.submit("barney")
				r.wantEvents(id, "accepted attempt delivered")
				if len(a.got()) != 1 || len(b.got()) != 1 {
					t.Errorf("a was asked %d times, b %d", len(a.got()), len(b.got()))
				}
			})
		})
	}
}

func TestThreeServicesAreAskedInOneAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var all []*service
		for _, name := range []string{"a", "b", "c", "d"} {
			all = append(all, r.pool.add(name).says(relay.Temporary, "no "+name))
		}
		id := r.submit("barney")
		r.wantEvents(id, "accepted attempt deferred")
		if n := len(all[0].got()) + len(all[1].got()) + len(all[2].got()); n != 3 || len(all[3].got()) != 0 {
			t.Errorf("three were asked %d times, the fourth %d", n, len(all[3].got()))
		}
		listed := r.List(relay.Filter{}, relay.Place{}, 10)
		if len(listed) != 1 || listed[0].Service != "c" || listed[0].Outcome.Text != "no c" {
			t.Errorf("listed: %+v", listed)
		}
	})
}

func TestAnAttemptWaitsForRoomAtTheNextService(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.pool.add("a"), r.pool.add("b")
		a.takes, b.takes = time.Second, 5*time.Second
		a.says(relay.Transport, "reset")
		b.room = 1
		var ids []mailbox.MessageID
		for range 5 {
			ids = append(ids, r.submit("barney"))
		}
		time.Sleep(27 * time.Second)
		for _, id := range ids {
			r.wantEvents(id, "accepted attempt delivered")
		}
	})
}

func TestAContentThatAllServicesRefuseFails(t *testing.T) {
	for _, services := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(services), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				var all []*service
				for i := range services {
					all = append(all, r.pool.add(fmt.Sprint(i)).says(relay.BadMessage, "spam"))
				}
				id := r.submit("barney")
				r.wantEvents(id, "accepted attempt failed")
				if got := r.notices.of(id); !slices.Equal(got, []string{"failed 0 spam"}) {
					t.Errorf("the sender heard %q", got)
				}
				if services == 3 && len(all[2].got()) > 0 {
					t.Error("a third service was asked")
				}
			})
		})
	}
}

// What a next hop is known not to take, it was not asked about.
func TestAContentFailsForRefusalsThatWereUttered(t *testing.T) {
	known := relay.Outcome{Result: relay.BadMessage, Text: "would lose it", Unasked: true}
	refused, later, taken := relay.Outcome{Result: relay.BadMessage, Text: "spam"}, relay.Outcome{Result: relay.Temporary, Text: "later"}, relay.Outcome{Text: "ok"}
	for name, c := range map[string]struct {
		say  []relay.Outcome
		want string
	}{
		"another takes it":                 {[]relay.Outcome{known, known, taken}, "accepted attempt delivered"},
		"one refuses it and another takes": {[]relay.Outcome{known, refused, known, taken}, "accepted attempt delivered"},
		"who is not asked takes no turn":   {[]relay.Outcome{known, known, known, known, taken}, "accepted attempt delivered"},
		"nobody is left":                   {[]relay.Outcome{known, known}, "accepted attempt failed"},
		"who was asked refuses":            {[]relay.Outcome{refused, known}, "accepted attempt failed"},
		"both who were asked refuse":       {[]relay.Outcome{known, refused, known, refused, taken}, "accepted attempt failed"},
		"who was asked may take it":        {[]relay.Outcome{later, known}, "accepted attempt deferred"},
		"who is asked last may take it":    {[]relay.Outcome{known, later}, "accepted attempt deferred"},
		"nobody is reached": {
			[]relay.Outcome{known, {Result: relay.Transport, Text: "reset"}}, "accepted attempt deferred",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				for i, o := range c.say {
					s := r.pool.add(fmt.Sprint(i))
					s.answer = func(relay.Mail, int) relay.Outcome { return o }
				}
				r.wantEvents(r.submit("barney"), c.want)
			})
		})
	}
}

func TestAContentThatOneServiceRefusesWaitsForAnother(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").says(relay.BadMessage, "too large")
		b := r.pool.add("b")
		b.room, b.takes = 1, 2*time.Minute
		r.submit("first")
		synctest.Wait() // it has b
		second := r.submit("barney")
		time.Sleep(time.Minute)
		r.wantEvents(second, "accepted attempt deferred")
		time.Sleep(20 * time.Minute)
		if got := r.notices.of(second); len(got) != 0 || !r.gone(second) {
			t.Errorf("the sender heard %q; content gone: %v", got, r.gone(second))
		}
	})
}

func TestMailWaitsForAServiceWithoutAnAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		a.down = true
		var ids []mailbox.MessageID
		for range 200 {
			ids = append(ids, r.submit("barney"))
		}
		time.Sleep(time.Minute)
		for _, id := range ids {
			r.wantEvents(id, "accepted")
		}
		if n := len(r.pool.wants); n > 20 {
			t.Errorf("the pool was asked %d times", n)
		}
		r.pool.change(func() { a.down = false })
		for _, id := range ids {
			r.wantEvents(id, "accepted attempt delivered")
		}
	})
}

func TestAnAttemptThatReachesNobodyDoesNotCount(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.pool.add("a").says(relay.Transport, "refused"), r.pool.add("b").says(relay.Transport, "refused")
		id := r.submit("one", "two")
		synctest.Wait()
		r.pool.change(func() { a.down, b.down = true, true })
		for _, e := range r.List(relay.Filter{}, relay.Place{}, 10) {
			if wait := time.Until(e.Next); e.Attempts != 0 || e.State != relay.QueueDeferred || wait < 1400*time.Millisecond || wait > 2600*time.Millisecond {
				t.Errorf("%d attempts count; %v for %v; want none, and about 2 s", e.Attempts, e.State, wait)
			}
		}
		r.restart() // what does not count is in the journal
		time.Sleep(time.Hour)
		r.wantEvents(id, "accepted attempt attempt(1) deferred deferred(1)")

		a.says(relay.Temporary, "busy")
		r.pool.change(func() { a.down, b.down = false, false })
		synctest.Wait()
		for _, e := range r.List(relay.Filter{}, relay.Place{}, 10) {
			if wait := time.Until(e.Next); e.Attempts != 1 || wait < 54*time.Second || wait > 66*time.Second {
				t.Errorf("%d attempts count, the next is in %v; want one, and the first step", e.Attempts, wait)
			}
		}
	})
}

// A message at which services break down must not be handed to them all the time.
func TestAttemptsThatReachNobodyAreFew(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a").says(relay.Transport, "reset")
		r.submit("barney")
		time.Sleep(time.Hour)
		got := a.got()
		if n := len(got); n < 10 || n > 20 {
			t.Errorf("%d attempts in an hour", n)
		}
		for i := range got[1:] {
			if pause := got[i+1].at.Sub(got[i].at); pause < 1400*time.Millisecond<<min(i, 5) {
				t.Errorf("attempt %d came after %v", i+2, pause)
			}
		}
		if e := r.List(relay.Filter{}, relay.Place{}, 1); len(e) != 1 || e[0].Attempts != len(got)-10 {
			t.Errorf("%d attempts were made; listed: %+v", len(got), e)
		}
	})
}

func TestOneRecipientThatWasReachedCountsAlone(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").answer = func(_ relay.Mail, i int) relay.Outcome {
			return relay.Outcome{Result: []relay.Result{relay.Temporary, relay.Transport}[i], Text: "no"}
		}
		r.submit("one", "two")
		synctest.Wait()
		e := r.List(relay.Filter{}, relay.Place{}, 10)
		if len(e) != 2 || e[0].Attempts != 1 || e[1].Attempts != 0 || !e[1].Next.Before(e[0].Next) {
			t.Errorf("listed: %+v", e)
		}
	})
}

func TestMailThatNobodyTakesHoldsUpNoOther(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").sender = "example.org"
		other := mailbox.Address{Local: "wilma", Domain: "example.com"}
		waits := r.submitAs(relay.Submission{Account: other, From: other}, "barney")
		goes := r.submit("barney")
		r.wantEvents(goes, "accepted attempt delivered")
		r.wantEvents(waits, "accepted")
	})
}

func TestTheNextAttemptIsDueAsThePolicySays(t *testing.T) {
	for class, pauses := range map[relay.Class][]time.Duration{
		relay.Normal: {time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 6 * time.Hour},
		relay.High:   {10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, time.Hour},
	} {
		t.Run(fmt.Sprint(class), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				a := r.pool.add("a").says(relay.Temporary, "no")
				r.submitAs(relay.Submission{Class: class}, "barney")
				time.Sleep(30 * time.Hour)
				got := a.got()
				if len(got) <= len(pauses) {
					t.Fatalf("%d attempts", len(got))
				}
				for i, pause := range pauses {
					waited := got[i+1].at.Sub(got[i].at)
					if waited < pause*9/10 || waited > pause*11/10+time.Millisecond {
						t.Errorf("waited %v after attempt %d, want %v", waited, i+1, pause)
					}
				}
			})
		})
	}
}

func TestAMessageFailsWhenItsTimeIsOver(t *testing.T) {
	for class, life := range map[relay.Class]time.Duration{relay.Normal: 5 * 24 * time.Hour, relay.High: 24 * time.Hour} {
		for _, up := range []bool{true, false} {
			t.Run(fmt.Sprint(class, up), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *rig) {
					r.pool.add("a").says(relay.Temporary, "not now").down = !up
					id := r.submitAs(relay.Submission{Class: class}, "barney")
					time.Sleep(life - time.Second)
					if r.gone(id) {
						t.Error("failed before its time")
					}
					time.Sleep(2 * time.Second)
					synctest.Wait()
					if !r.gone(id) {
						t.Error("the content is still there")
					}
					said := "not now"
					if !up {
						said = "no service has taken it"
					}
					if got := r.notices.of(id); !slices.Equal(got, []string{"delayed 0 " + said, "failed 0 " + said}) {
						t.Errorf("the sender heard %q", got)
					}
				})
			})
		}
	}
}

// A process may begin with a clock that is days ahead, and take over what others accepted.
func TestNothingExpiresBeforeTheClockOfTheStoreSaysSo(t *testing.T) {
	var mu sync.Mutex
	behind, away := 10*24*time.Hour, error(nil)
	set := func(d time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		behind, away = d, err
	}
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").down = true
		id := r.submitAs(relay.Submission{Accepted: time.Now(), Expires: time.Now().Add(time.Hour)}, "barney")
		time.Sleep(2 * time.Hour)
		set(0, mailbox.ErrUnavailable)
		time.Sleep(time.Hour)
		r.wantEvents(id, "accepted")
		if got := r.notices.of(id); len(got) != 0 {
			t.Errorf("the sender heard %q", got)
		}
		set(0, nil)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if got := r.notices.of(id); len(got) != 1 || !r.gone(id) {
			t.Errorf("the sender heard %q; content gone: %v", got, r.gone(id))
		}
	}, func(o *relay.Options) {
		o.Clock = func() (time.Time, error) {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(-behind), away
		}
	})
}

// What a process has taken over whose clock is wrong must not wait until it ends.
func TestMailThatHasExpiredByOneClockAloneIsSent(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a").says(relay.Temporary, "busy")
		id := r.submitAs(relay.Submission{Accepted: time.Now(), Expires: time.Now().Add(time.Hour)}, "barney")
		time.Sleep(20 * time.Hour)
		if n := len(a.got()); n < 8 || n > 12 {
			t.Errorf("%d attempts; want the pace of others", n)
		}
		a.says(relay.Success, "ok")
		time.Sleep(7 * time.Hour)
		if !r.gone(id) {
			t.Errorf("not sent; listed: %+v", r.List(relay.Filter{}, relay.Place{}, 1))
		}
		if failed := slices.DeleteFunc(r.notices.of(id), func(n string) bool { return strings.HasPrefix(n, "delayed") }); len(failed) > 0 {
			t.Errorf("the sender heard %q", failed)
		}
	}, func(o *relay.Options) {
		o.Clock = func() (time.Time, error) { return time.Now().Add(-10 * 24 * time.Hour), nil }
	})
}

func TestAContentIsNotGivenUpByOneClockAlone(t *testing.T) {
	missing := &brokenContents{}
	missing.set(mailbox.ErrNotFound)
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a")
		id := r.submitThis(longContent, relay.Submission{}, "barney")
		time.Sleep(2 * time.Hour)
		r.wantEvents(id, "accepted")
		missing.set(nil) // it has come from the other data centre
		time.Sleep(2 * time.Minute)
		if !r.gone(id) || len(r.notices.of(id)) > 0 {
			t.Errorf("not sent; the sender heard %q", r.notices.of(id))
		}
	}, func(o *relay.Options) {
		missing.Contents = o.Contents
		o.Contents = missing
		o.Clock = func() (time.Time, error) { return time.Now().Add(-2 * time.Hour), nil }
	})
}

// The clock is set forward, or the machine was suspended: the times of ids jump, and the
// clock of the queue does not.
func TestMailIsSentAtOnceAfterTheClockWasSetForward(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a")
		id := r.submit("barney")
		r.wantEvents(id, "accepted attempt delivered")
	}, func(o *relay.Options) {
		o.IDs = &mailbox.MessageIDs{Now: func() time.Time { return time.Now().Add(8 * time.Hour) }}
	})
}

func TestTheSenderHearsOnceThatAMessageWaits(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").says(relay.Temporary, "no")
		id := r.submit("barney")
		r.notices.setFail(errors.New("no"))
		time.Sleep(4*time.Hour + time.Minute)
		r.notices.setFail(nil)
		if got := r.notices.of(id); len(got) != 0 {
			t.Errorf("the sender heard %q", got)
		}
		time.Sleep(20 * time.Hour)
		r.restart()
		time.Sleep(20 * time.Hour)
		if got := r.notices.of(id); !slices.Equal(got, []string{"delayed 0 no"}) {
			t.Errorf("the sender heard %q", got)
		}
	})
}

func TestAProcessKnowsOfTheDelaysThatAnotherHasTold(t *testing.T) {
	for name, down := range map[string]bool{"that was tried": false, "that nobody took": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				a := r.pool.add("a").says(relay.Temporary, "no")
				a.down = down
				id := r.submit("one", "two")
				time.Sleep(4*time.Hour + time.Second)
				said := map[bool]string{true: "no service has taken it", false: "no"}[down]
				want := []string{"delayed 0 " + said, "delayed 1 " + said}
				if got := r.notices.of(id); !slices.Equal(got, want) {
					t.Fatalf("the sender heard %q", got)
				}
				r.pool.change(func() { a.down = true })
				r.restart()
				time.Sleep(time.Hour)
				if got := r.notices.of(id); !slices.Equal(got, want) {
					t.Errorf("the sender heard %q", got)
				}
				if down {
					r.wantEvents(id, "accepted deferred")
				}
				for _, e := range r.List(relay.Filter{}, relay.Place{}, 10) {
					if down && (e.Attempts != 0 || e.State != relay.QueueReady) {
						t.Errorf("listed: %+v", e)
					}
				}
				a.says(relay.Success, "ok")
				r.pool.change(func() { a.down = false })
				time.Sleep(6 * time.Hour)
				if !r.gone(id) {
					t.Error("not sent")
				}
			})
		})
	}
}

func TestAnAnswerThatNeverCameIsTreatedAsThePolicySays(t *testing.T) {
	for _, c := range []struct {
		ambiguous relay.Ambiguity
		want      string
		a, b      int // how often each is asked
	}{
		{relay.RetrySame, "accepted attempt deferred attempt2 delivered2", 2, 0},
		{relay.RetryAny, "accepted attempt deferred attempt2 delivered2", 1, 1},
		{relay.AssumeSent, "accepted attempt delivered", 1, 0},
	} {
		t.Run(fmt.Sprint(c.ambiguous), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				a := r.pool.add("a").says(relay.Ambiguous, "lost")
				id := r.submit("barney")
				synctest.Wait()
				b := r.pool.add("b")
				a.says(relay.Success, "ok")
				r.pool.change(func() {
					slices.Reverse(r.pool.services) // b is first, unless a is preferred
				})
				if c.want != "accepted attempt delivered" {
					if got := r.List(relay.Filter{State: relay.QueueHeld}, relay.Place{}, 10); len(got) != 1 {
						t.Errorf("held: %+v", got)
					}
				}
				time.Sleep(5*time.Minute + time.Second)
				r.wantEvents(id, c.want)
				if len(a.got()) != c.a || len(b.got()) != c.b {
					t.Errorf("a was asked %d times, b %d; want %d and %d", len(a.got()), len(b.got()), c.a, c.b)
				}
			}, func(o *relay.Options) {
				p := relay.DefaultPolicies()
				p[relay.Normal].Ambiguous = c.ambiguous
				o.Policies = &p
			})
		})
	}
}

// A host may take its time to look for viruses, and then deliver what nobody waits for.
func TestMailWhoseAnswersAreLostIsRepeatedLessAndLess(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a").says(relay.Ambiguous, "lost")
		r.submit("barney")
		time.Sleep(24 * time.Hour)
		got := a.got()
		if n := len(got); n < 8 || n > 12 {
			t.Errorf("%d copies", n)
		}
		for i, least := range []time.Duration{5 * time.Minute, 5 * time.Minute, 13 * time.Minute, 27 * time.Minute, 54 * time.Minute} {
			if pause := got[i+1].at.Sub(got[i].at); pause < least*9/10 {
				t.Errorf("copy %d came after %v", i+2, pause)
			}
		}
	})
}

// A message that kills who sends it is sent at the pace of the back-off, by the time of the
// last attempt: starts for other reasons do not put it off.
func TestAMessageOnWhichProcessesDieIsRepeatedAtThePaceOfTheBackOff(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
			if c.Has(relay.Delivered) || c.Has(relay.Deferred) {
				return relaytest.Fail // it dies before
			}
			return nil
		})
		r.submit("barney")
		for n := 1; n < 5; {
			time.Sleep(20 * time.Second)
			r.restart()
			n = len(a.got())
		}
		got := a.got()
		for i, least := range []time.Duration{20 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute} {
			if pause := got[i+1].at.Sub(got[i].at); pause < least*9/10 || pause > least*11/10+40*time.Second {
				t.Errorf("attempt %d came after %v, want %v", i+2, pause, least)
			}
		}
	})
}

func TestMailIsRefusedWhileTheJournalIsAway(t *testing.T) {
	for _, call := range []string{"Open", "Append"} {
		t.Run(call, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				a := r.pool.add("a")
				r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
					if c.Name == call {
						return relaytest.Lie
					}
					return nil
				})
				_, err := r.Submit(t.Context(), submission(relay.Submission{}, "barney"), strings.NewReader(content))
				if !errors.Is(err, mailbox.ErrUnavailable) {
					t.Fatalf("the error is %v", err)
				}
				r.journal.Inject(nil)
				time.Sleep(time.Minute)
				r.restart() // the message may be in the journal
				time.Sleep(24 * time.Hour)
				if got := a.got(); len(got) != 0 {
					t.Errorf("a refused message was sent: %+v", got)
				}
				if len(r.notices.all) != 0 {
					t.Errorf("the sender heard %v", r.notices.all)
				}
			})
		})
	}
}

func TestWithoutALeaseNothingIsTakenOrSent(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		a.takes = time.Second
		id := r.submit("barney")
		synctest.Wait()
		r.lease.set(false) // before the end of the content
		_, err := r.Submit(t.Context(), submission(relay.Submission{}, "barney"), strings.NewReader(content))
		if !errors.Is(err, mailbox.ErrUnavailable) || !errors.Is(err, relay.ErrLease) {
			t.Errorf("the error is %v", err)
		}
		time.Sleep(time.Hour)
		if got := a.got(); len(got) != 1 || got[0].taken {
			t.Errorf("the service got %+v", got)
		}
		r.lease.set(true)
		time.Sleep(2 * time.Second)
		r.wantEvents(id, "accepted attempt deferred attempt2 delivered2")
	})
}

func TestALeaseThatEndsWhileMailIsAcceptedIsAskedForAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
			if c.Has(relay.Accepted) {
				r.lease.set(false)
			}
			return nil
		})
		_, err := r.Submit(t.Context(), submission(relay.Submission{}, "barney"), strings.NewReader(content))
		if !errors.Is(err, relay.ErrLease) || !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestOnlySoMuchWaits(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.submit("one", "two")
		_, err := r.Submit(t.Context(), submission(relay.Submission{}, "three", "four"), strings.NewReader(content))
		if !errors.Is(err, mailbox.ErrFull) {
			t.Errorf("the error is %v", err)
		}
		r.submit("three")
	}, func(o *relay.Options) { o.Most = 3 })
}

func TestASubmissionWithoutRecipientsIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		_, err := r.Submit(t.Context(), submission(relay.Submission{}), strings.NewReader(content))
		if !errors.Is(err, relay.ErrBatch) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestAQueueThatDoesNotRunTakesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.end()
		_, err := r.Submit(t.Context(), submission(relay.Submission{}, "barney"), strings.NewReader(content))
		if !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestAttemptsThatRunMayEnd(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		a.takes = 5 * time.Second
		id := r.submit("barney")
		synctest.Wait()
		r.end()
		r.wantEvents(id, "accepted attempt delivered")
	})
}

func TestAnAttemptThatTakesTooLongAtTheEndIsRepeatedByTheNextLife(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		a.takes = time.Minute
		id := r.submit("barney")
		synctest.Wait()
		began := time.Now()
		r.end()
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("the end took %v", took)
		}
		r.wantEvents(id, "accepted attempt deferred")
		r.pool.change(func() { a.takes = 0 })
		r.restart()
		r.wantEvents(id, "accepted attempt deferred attempt2 delivered2")
	})
}

func TestAnAttemptWhoseProcessDiedIsRepeatedLast(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
			if c.Has(relay.Delivered) || c.Has(relay.Deferred) {
				return relaytest.Fail
			}
			return nil
		})
		open := r.submit("barney")
		synctest.Wait()
		r.pool.change(func() { a.down = true })
		fresh := r.submit("barney")
		r.end()
		r.journal.Inject(nil)
		b := r.pool.add("b")
		r.pool.change(func() {
			a.down = false
			slices.Reverse(r.pool.services)
		})
		r.restart()
		r.wantEvents(fresh, "accepted attempt delivered")
		r.wantEvents(open, "accepted attempt")
		time.Sleep(11 * time.Second)
		r.wantEvents(open, "accepted attempt attempt2 delivered2")
		if len(a.got()) != 2 || len(b.got()) != 1 {
			t.Errorf("a was asked %d times, b %d: the same is asked again", len(a.got()), len(b.got()))
		}
	})
}

func TestResumingASegmentAgainTakesInWhatAnotherWrote(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a").says(relay.Temporary, "no")
		id := r.submit("one", "two")
		synctest.Wait()
		in := r.segments()[0]
		data, err := relay.Encode(relay.DeliveredData{Service: "elsewhere"})
		if err != nil {
			t.Fatal(err)
		}
		late := relay.Event{Entry: relay.EntryID{Message: id, Recipient: 1}, Kind: relay.Delivered, Seq: 1, Writer: r.options.IDs.Next(), Data: data}
		if err := r.journal.Append(t.Context(), in, late); err != nil {
			t.Fatal(err)
		}
		if err := r.Resume(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		a.says(relay.Success, "ok")
		time.Sleep(2 * time.Minute)
		if got := a.got(); len(got) != 2 || !slices.Equal(got[1].recipients, []int{0}) {
			t.Errorf("the service got %+v", got)
		}
		if left, known := r.Left(in); left != 0 || !known {
			t.Errorf("%d left, known: %v", left, known)
		}
	})
}

func TestAnAbandonedSegmentIsLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a").says(relay.Temporary, "no")
		r.submit("barney")
		synctest.Wait()
		in := r.segments()[0]
		r.Abandon(in)
		time.Sleep(24 * time.Hour)
		if n := len(a.got()); n != 1 {
			t.Errorf("the service was asked %d times", n)
		}
		if _, known := r.Left(in); known {
			t.Error("the segment is still known")
		}
		r.submit("barney") // into another
		if n := len(r.segments()); n != 2 {
			t.Errorf("%d segments", n)
		}
	})
}

func TestASegmentIsClosedWhenNothingIsLeftInIt(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		r.submit("barney")
		time.Sleep(59 * time.Minute)
		if n := len(r.segments()); n != 1 {
			t.Fatalf("%d segments before its time", n)
		}
		time.Sleep(2 * time.Minute)
		if n := len(r.segments()); n != 0 {
			t.Fatalf("%d segments after it", n)
		}
		a.says(relay.Temporary, "no")
		r.submit("barney")
		time.Sleep(61 * time.Minute)
		if n := len(r.segments()); n != 1 {
			t.Fatalf("%d segments while something is left", n)
		}
		r.submit("barney")
		if n := len(r.segments()); n != 2 {
			t.Fatalf("%d segments, want a new one", n)
		}
	})
}

// A segment that was opened may be full, or old, before who opened it has put anything in it.
func TestAnotherSegmentIsOpenedWhereTheFirstTakesNothingAnyMore(t *testing.T) {
	var opened, asked atomic.Int32
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a")
		r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
			if c.Name == "Open" {
				opened.Add(1)
			}
			return nil
		})
		id := r.submit("barney")
		r.wantEvents(id, "accepted attempt delivered")
		if n := opened.Load(); n != 2 {
			t.Errorf("%d segments were opened", n)
		}
	}, func(o *relay.Options) {
		o.Now = func() time.Time { // it jumps when a segment was opened, as after the machine was suspended
			if opened.Load() > 0 && asked.Add(1) > 1 {
				return time.Now().Add(2 * time.Hour)
			}
			return time.Now()
		}
	})
}

func TestAContentThatCannotBeReadIsNoAttempt(t *testing.T) {
	broken := &brokenContents{}
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		broken.set(mailbox.ErrUnavailable)
		id := r.submitThis(longContent, relay.Submission{}, "barney")
		time.Sleep(5 * time.Minute)
		r.wantEvents(id, "accepted")
		broken.set(nil)
		time.Sleep(2 * time.Minute)
		r.wantEvents(id, "accepted attempt delivered")
		if n := len(a.got()); n != 1 {
			t.Errorf("sent %d times", n)
		}

		broken.set(mailbox.ErrNotFound)
		id = r.submitThis(longContent, relay.Submission{}, "barney")
		time.Sleep(59 * time.Minute)
		r.wantEvents(id, "accepted")
		time.Sleep(3 * time.Minute)
		if got := r.notices.of(id); !slices.Equal(got, []string{"failed 0 the content was lost"}) {
			t.Errorf("the sender heard %q", got)
		}
	}, func(o *relay.Options) { broken.Contents = o.Contents; o.Contents = broken })
}

func TestAContentIsNotLostThatAnotherProcessHasSent(t *testing.T) {
	broken := &brokenContents{}
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a")
		broken.set(mailbox.ErrNotFound)
		id := r.submitThis(longContent, relay.Submission{}, "barney", "betty")
		data, err := relay.Encode(relay.DeliveredData{Service: "elsewhere"})
		if err != nil {
			t.Fatal(err)
		}
		late := relay.Event{Entry: relay.EntryID{Message: id}, Kind: relay.Delivered, Seq: 1, Writer: r.options.IDs.Next(), Data: data}
		if err := r.journal.Append(t.Context(), r.segments()[0], late); err != nil {
			t.Fatal(err)
		}
		time.Sleep(62 * time.Minute)
		if got := r.notices.of(id); !slices.Equal(got, []string{"failed 1 the content was lost"}) {
			t.Errorf("the sender heard %q", got)
		}
		if counts, _ := r.Count(); len(counts) > 0 {
			t.Errorf("left in the queue: %+v", counts)
		}
	}, func(o *relay.Options) { broken.Contents = o.Contents; o.Contents = broken })
}

func TestAMessageForManyGoesInParts(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		var to []string
		for i := range 120 {
			to = append(to, fmt.Sprint("u", i))
		}
		id := r.submit(to...)
		synctest.Wait()
		seen := make(map[int]int)
		for _, s := range a.got() {
			if n := len(s.recipients); n > 50 {
				t.Errorf("%d recipients at once", n)
			}
			for _, i := range s.recipients {
				seen[i]++
			}
		}
		if len(seen) != 120 || !r.gone(id) {
			t.Errorf("%d recipients were reached", len(seen))
		}
		for i, n := range seen {
			if n != 1 {
				t.Errorf("recipient %d was reached %d times", i, n)
			}
		}
	})
}

func TestAMessageThatNoServiceTakesIsPutOffForAllItsRecipientsTogether(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").plain = true
		id := r.submitAs(relay.Submission{Signed: true}, "one", "two", "three")
		r.wantEvents(id, "accepted deferred deferred(1) deferred(2)")
		if n := len(r.pool.wants); n != 1 {
			t.Errorf("the pool was asked %d times", n)
		}
	})
}

// A service that rests may take what another would lose.
func TestMailDoesNotFailWhileAServiceRests(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").answer = func(relay.Mail, int) relay.Outcome {
			return relay.Outcome{Result: relay.BadMessage, Text: "would lose it", Unasked: true}
		}
		b := r.pool.add("b")
		b.down, b.rests = true, true
		id := r.submit("barney")
		r.wantEvents(id, "accepted attempt deferred")
		r.pool.change(func() { b.down = false })
		time.Sleep(5 * time.Second)
		r.wantEvents(id, "accepted attempt deferred attempt2 delivered2")
		if got := r.notices.of(id); len(got) > 0 {
			t.Errorf("the sender heard %q", got)
		}
	})
}

// Mail that waits for a service which takes it holds up none of the same sender's that
// others take, and leaves soon when that service is back.
func TestMailForAServiceThatRestsWaitsBesideOthers(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.pool.add("a"), r.pool.add("b")
		r.pool.change(func() { a.plain, b.down, b.rests = true, true, true })
		a.room, a.takes = 1, time.Second
		var waits, goes []mailbox.MessageID
		for range 5 {
			waits = append(waits, r.submitAs(relay.Submission{Signed: true}, "barney"))
			goes = append(goes, r.submitAs(relay.Submission{}, "barney"))
		}
		time.Sleep(50 * time.Minute)
		for i := range waits {
			r.wantEvents(waits[i], "accepted")
			r.wantEvents(goes[i], "accepted attempt delivered")
		}
		if n := len(r.pool.wants); n > 1000 {
			t.Errorf("the pool was asked %d times", n)
		}
		r.pool.change(func() { b.down = false })
		time.Sleep(time.Minute)
		for _, id := range waits {
			r.wantEvents(id, "accepted attempt delivered")
		}
	})
}

func TestMailThatNoServiceTakesIsPutOff(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a")
		unfit := &unfitPool{pool: r.pool}
		r.end()
		r.options.Pool = unfit
		r.start()
		id := r.submit("barney")
		r.wantEvents(id, "accepted deferred")
		unfit.fits.Store(true)
		time.Sleep(2 * time.Minute)
		r.wantEvents(id, "accepted deferred attempt2 delivered2")
	})
}

func TestUrgentMailGoesFirstAndNoneStarves(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		a.room, a.takes, a.down = 1, time.Second, true
		class := make(map[mailbox.MessageID]relay.Class)
		for range 100 {
			for _, c := range []relay.Class{relay.Bulk, relay.Normal, relay.High} {
				class[r.submitAs(relay.Submission{Class: c}, "barney")] = c
			}
		}
		r.pool.change(func() { a.down = false })
		time.Sleep(131 * time.Second)
		counts := make(map[relay.Class]int)
		for _, s := range a.got()[:130] {
			counts[class[s.message]]++
		}
		if counts[relay.High] < 78 || counts[relay.Normal] < 38 || counts[relay.Bulk] < 9 {
			t.Errorf("of the first 130 there are %v of each class", counts)
		}
	})
}

func TestASenderWithMuchMailDoesNotHoldUpAnother(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		a.room, a.takes, a.down = 1, time.Second, true
		for range 100 {
			r.submit("barney")
		}
		other := mailbox.Address{Local: "wilma", Domain: "example.com"}
		id := r.submitAs(relay.Submission{Account: other, From: other}, "barney")
		r.pool.change(func() { a.down = false })
		time.Sleep(4 * time.Second)
		r.wantEvents(id, "accepted attempt delivered")
	})
}

func TestOnlySoManyAttemptsRunAtATime(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		a.takes = time.Minute
		a.says(relay.Temporary, "no")
		for range 200 {
			r.submit("barney")
		}
		synctest.Wait()
		if n := len(a.got()); n != 64 {
			t.Errorf("%d attempts run", n)
		}
		time.Sleep(5 * time.Minute) // some are due while others run
		if n := len(a.got()); n < 200 {
			t.Errorf("%d attempts have run", n)
		}
	})
}

func TestTheOperatorSeesAndSteers(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a").says(relay.Temporary, "no")
		b := r.pool.add("b").says(relay.Temporary, "no")
		first := r.submit("one", "two")
		time.Sleep(10 * time.Second)
		second := r.submitAs(relay.Submission{Class: relay.High}, "three")
		synctest.Wait()

		var paged []relay.EntryID
		for after := (relay.Place{}); ; {
			page := r.List(relay.Filter{}, after, 1)
			if len(page) == 0 {
				break
			}
			paged = append(paged, page[0].Entry)
			after = relay.Place{Segment: page[0].Segment, Entry: page[0].Entry}
		}
		want := []relay.EntryID{{Message: first, Recipient: 0}, {Message: first, Recipient: 1}, {Message: second, Recipient: 0}}
		if !slices.Equal(paged, want) {
			t.Errorf("paged: %v, want %v", paged, want)
		}
		for filter, n := range map[relay.Filter]int{
			{Domain: "example.net"}: 3, {Domain: "example.com"}: 0, {Sender: "example.org"}: 3, {Sender: "example.com"}: 0,
			{Age: 5 * time.Second}: 2, {State: relay.QueueDeferred}: 3, {State: relay.QueueReady}: 0, {State: relay.QueueHeld}: 0,
		} {
			if got := r.List(filter, relay.Place{}, 10); len(got) != n {
				t.Errorf("%+v: %d entries, want %d", filter, len(got), n)
			}
		}
		counts, oldest := r.Count()
		if counts[relay.Normal][relay.QueueDeferred] != 2 || counts[relay.High][relay.QueueDeferred] != 1 || !oldest.Equal(first.Time()) {
			t.Errorf("counts %v, oldest %v", counts, oldest)
		}

		if err := r.Cancel(t.Context(), want[0], "wilma"); err != nil {
			t.Error(err)
		}
		if err := r.Cancel(t.Context(), want[0], "wilma"); !errors.Is(err, relay.ErrNotQueued) {
			t.Errorf("the error is %v", err)
		}
		b.says(relay.Success, "ok")
		if err := r.Reroute(want[1], "b"); err != nil {
			t.Error(err)
		}
		r.wantEvents(first, "accepted attempt attempt(1) deferred deferred(1) cancelled attempt(1)2 delivered(1)2")
		if n := len(a.got()); n != 2 {
			t.Errorf("the other service was asked %d times", n)
		}
		if !r.gone(first) {
			t.Error("the content is still there")
		}
		if err := r.Retry(want[2]); err != nil {
			t.Error(err)
		}
		r.wantEvents(second, "accepted attempt deferred attempt2 delivered2")
		if err := r.Retry(want[2]); !errors.Is(err, relay.ErrNotQueued) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestWhatIsBeingSentCannotBeCancelled(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a").takes = time.Minute
		id := r.submit("barney")
		synctest.Wait()
		if err := r.Cancel(t.Context(), relay.EntryID{Message: id}, "wilma"); !errors.Is(err, relay.ErrSending) {
			t.Errorf("the error is %v", err)
		}
		if got := r.List(relay.Filter{State: relay.QueueSending}, relay.Place{}, 10); len(got) != 1 {
			t.Errorf("being sent: %+v", got)
		}
		time.Sleep(2 * time.Minute)
		r.wantEvents(id, "accepted attempt delivered")
	})
}

// brokenContents are some that cannot be opened for a while.
type brokenContents struct {
	mailbox.Contents
	mu  sync.Mutex
	err error
}

func (b *brokenContents) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *brokenContents) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	return b.Contents.Open(ctx, m)
}

// An unfitPool has services that take no mail like this, until it is said to fit.
type unfitPool struct {
	*pool
	fits atomic.Bool
}

func (p *unfitPool) Pick(w relay.Want) (relay.Picked, error) {
	if p.fits.Load() {
		return p.pool.Pick(w)
	}
	return nil, relay.ErrUnfit
}
