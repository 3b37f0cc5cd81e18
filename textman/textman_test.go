package textman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// start makes a service on stores.
func start(t testing.TB, stores mailboxtest.Stores, change ...func(*Options)) *Service {
	t.Helper()
	o := Options{
		Domain:     "text.example",
		Maildrops:  stores.Maildrops,
		Contents:   stores.Contents,
		Deliveries: stores.Deliveries(),
		Log:        slog.New(slog.DiscardHandler),
		IDFile:     filepath.Join(t.TempDir(), "ids"),
	}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func post(t *testing.T, s *Service, user, text string, timeout time.Duration) Text {
	t.Helper()
	id, err := s.Post(t.Context(), user, text, timeout)
	if err != nil {
		t.Fatalf("post %q for %s: %v", text, user, err)
	}
	return Text{id, text}
}

func takes(t *testing.T, s *Service, user string, want ...Text) {
	t.Helper()
	got, err := s.Take(t.Context(), user)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s takes %v, %v; want %v", user, got, err, want)
	}
}

// listed are the lines of a user's maildrop.
func listed(t *testing.T, stores mailboxtest.Stores, user string) []mailbox.Message {
	t.Helper()
	list, err := stores.Maildrops.List(t.Context(), dropFor(t, user))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func dropFor(t *testing.T, user string) mailbox.MaildropID {
	t.Helper()
	a, err := mailbox.TextAddress(user, "text.example")
	if err != nil {
		t.Fatal(err)
	}
	return dropOf(a)
}

func TestTextsAreTakenOnceAndTheNewestFirst(t *testing.T) {
	s := start(t, mailboxtest.Memory())
	takes(t, s, "fred")
	first, second := post(t, s, "fred", "first", time.Minute), post(t, s, "fred", "second\n", time.Minute)
	other := post(t, s, "Fred", "for another", time.Minute)
	takes(t, s, "fred", second, first)
	takes(t, s, "fred")
	takes(t, s, "Fred", other)
}

func TestLookingForTextsTakesNone(t *testing.T) {
	s := start(t, mailboxtest.Memory())
	looks := func(want bool) {
		t.Helper()
		if waiting, err := s.Waiting(t.Context(), "fred"); err != nil || waiting != want {
			t.Errorf("Waiting = %t, %v; want %t", waiting, err, want)
		}
	}
	looks(false)
	text := post(t, s, "fred", "text", time.Minute)
	looks(true)
	takes(t, s, "fred", text)
	looks(false)
	var invalid *InvalidError
	if _, err := s.Waiting(t.Context(), "1"); !errors.As(err, &invalid) {
		t.Errorf("Waiting: %v", err)
	}
}

func TestATextIsThereUntilItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, mailboxtest.Memory())
		short, long := post(t, s, "fred", "short", time.Second), post(t, s, "wilma", "long", 7*24*time.Hour)
		post(t, s, "pebbles", "gone", time.Second)
		time.Sleep(time.Second - 1)
		takes(t, s, "fred", short)
		time.Sleep(1)
		takes(t, s, "pebbles")
		time.Sleep(7*24*time.Hour - time.Second - 1)
		takes(t, s, "wilma", long)
	})
}

func TestWhatIsWrongIsSaidAllAtOnce(t *testing.T) {
	s := start(t, mailboxtest.Memory())
	for name, c := range map[string]struct {
		user, text string
		timeout    time.Duration
		want       InvalidError
	}{
		"nothing":           {"", "", 0, InvalidError{"must not be empty", "must not be empty", "must be from 1 to 604800 seconds"}},
		"all digits":        {"123", "x", time.Minute, InvalidError{User: "must not be all digits"}},
		"a long name":       {strings.Repeat("x", 65), "x", time.Minute, InvalidError{User: "is too long"}},
		"a long text":       {"fred", strings.Repeat("x", MaxText+1), time.Minute, InvalidError{Text: "must not be longer than 65536 octets"}},
		"octets":            {"fred", "\xff", time.Minute, InvalidError{Text: "must be UTF-8"}},
		"less than 1 s":     {"fred", "x", time.Second - 1, InvalidError{Timeout: "must be from 1 to 604800 seconds"}},
		"more than 7 days":  {"fred", "x", 7*24*time.Hour + 1, InvalidError{Timeout: "must be from 1 to 604800 seconds"}},
		"a negative time":   {"fred", "x", -time.Minute, InvalidError{Timeout: "must be from 1 to 604800 seconds"}},
		"more than one":     {"1", "x", 0, InvalidError{User: "must not be all digits", Timeout: "must be from 1 to 604800 seconds"}},
		"and other digits ": {"١٢٣", "", time.Minute, InvalidError{Text: "must not be empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Post(t.Context(), c.user, c.text, c.timeout)
			var invalid *InvalidError
			if !errors.As(err, &invalid) || *invalid != c.want {
				t.Errorf("Post: %v; want %v", err, &c.want)
			}
		})
	}
	for _, user := range []string{"", "123", strings.Repeat("x", 65)} {
		var invalid *InvalidError
		if texts, err := s.Take(t.Context(), user); !errors.As(err, &invalid) || invalid.User == "" {
			t.Errorf("Take %q: %v, %v", user, texts, err)
		}
	}
}

func TestTheLongestTextOfTheLongestUserIsTaken(t *testing.T) {
	s := start(t, mailboxtest.Memory(), func(o *Options) { o.MaxTimeout = time.Hour })
	for _, user := range []string{strings.Repeat("x", 64), strings.Repeat("😀", 5), "a b", `"\@`, "пётр", "postmaster"} {
		takes(t, s, user)
		takes(t, s, user, post(t, s, user, strings.Repeat("\x00", MaxText), time.Hour))
	}
}

func TestTakeReturnsAThousandAtMost(t *testing.T) {
	stores := mailboxtest.Memory()
	s := start(t, stores)
	var all []Text
	for i := range 2*maxTexts + 5 {
		all = append(all, post(t, s, "fred", fmt.Sprint(i), time.Hour))
	}
	slices.Reverse(all)
	for chunk := range slices.Chunk(all, maxTexts) {
		takes(t, s, "fred", chunk...)
	}
	takes(t, s, "fred")
}

func TestTakeReturnsNoMoreThanFourMiB(t *testing.T) {
	s := start(t, mailboxtest.Memory())
	const n = maxOctets/MaxText + 10
	var all []Text
	for i := range n {
		all = append(all, post(t, s, "fred", strings.Repeat(string(rune('a'+i%26)), MaxText), time.Hour))
	}
	slices.Reverse(all)
	takes(t, s, "fred", all[:n-10]...)
	takes(t, s, "fred", all[n-10:]...)
}

func TestATextWhoseTimeEndsWhileItIsReadIsNotReturned(t *testing.T) {
	for _, call := range []string{"Maildrops.Newest", "Contents.Open", "Maildrops.Remove"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stores := mailboxtest.Faulty(mailboxtest.Memory(), func(_ int, name string) mailboxtest.Fault {
					if name == call {
						return mailboxtest.Delay(time.Second)
					}
					return nil
				})
				s := start(t, stores.Stores)
				long := post(t, s, "fred", "long", time.Minute)
				post(t, s, "fred", "short", time.Second)
				post(t, s, "wilma", "short", time.Second)
				takes(t, s, "fred", long)
				takes(t, s, "wilma")
			})
		})
	}
}

func TestTakeRemovesWhatItReturnsAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late func()
		stores := mailboxtest.Faulty(mailboxtest.Memory(), func(_ int, name string) mailboxtest.Fault {
			if name == "Maildrops.Remove" && late != nil {
				late()
				late = nil
			}
			return nil
		})
		s := start(t, stores.Stores)
		early := post(t, s, "fred", "early", time.Minute)
		other := post(t, s, "wilma", "for another", time.Minute)
		// Of a server whose clock is behind: the earlier id arrives later.
		ids := &mailbox.MessageIDs{Now: func() time.Time { return time.Now().Add(-time.Hour) }}
		var straggler Text
		late = func() {
			behind := start(t, stores.Intact, func(o *Options) { o.Server, o.Deliveries.IDs = 1, ids })
			straggler = post(t, behind, "fred", "late", time.Minute)
		}
		takes(t, s, "fred", early)
		if n := len(listed(t, stores.Intact, "fred")); n != 1 {
			t.Errorf("%d texts are left; want the one that came late", n)
		}
		takes(t, s, "fred", straggler)
		takes(t, s, "wilma", other)
	})
}

func TestATextThatCannotBeOpenedIsThereNextTime(t *testing.T) {
	for name, fault := range map[string]mailboxtest.Fault{"fails": mailboxtest.Fail, "breaks off": mailboxtest.Halve} {
		t.Run(name, func(t *testing.T) {
			opens := 0
			stores := mailboxtest.Faulty(mailboxtest.Memory(), func(_ int, name string) mailboxtest.Fault {
				if name != "Contents.Open" {
					return nil
				}
				if opens++; opens == 1 {
					return fault
				}
				return nil
			})
			s := start(t, stores.Stores)
			only := post(t, s, "fred", "only", time.Minute)
			if texts, err := s.Take(t.Context(), "fred"); !errors.Is(err, mailbox.ErrUnavailable) {
				t.Errorf("Take = %v, %v where there is a text that cannot be opened", texts, err)
			}
			takes(t, s, "fred", only)
			takes(t, s, "fred")
		})
	}
}

func TestTheOthersAreTakenWhenOneTextCannotBeOpened(t *testing.T) {
	stores := mailboxtest.Memory()
	var all []Text
	posting := start(t, stores)
	for i := range 3 * openAtOnce {
		all = append(all, post(t, posting, "fred", fmt.Sprint(i), time.Minute))
	}
	away := listed(t, stores, "fred")[5].ID
	s := start(t, mailboxtest.Stores{Contents: without{stores.Contents, away, mailboxtest.ErrFault}, Maildrops: stores.Maildrops})
	slices.Reverse(all)
	i := len(all) - 1 - 5
	takes(t, s, "fred", slices.Delete(slices.Clone(all), i, i+1)...)
	takes(t, posting, "fred", all[i])
}

// without are contents of which one cannot be opened.
type without struct {
	mailbox.Contents
	id  mailbox.MessageID
	err error
}

func (w without) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	if m.ID == w.id {
		return nil, w.err
	}
	return w.Contents.Open(ctx, m)
}

func TestATextWhoseContentIsGoneIsNobodys(t *testing.T) {
	stores := mailboxtest.Memory()
	posting := start(t, stores)
	post(t, posting, "fred", "gone", time.Minute)
	gone := listed(t, stores, "fred")[0].ID
	s := start(t, mailboxtest.Stores{Contents: without{stores.Contents, gone, mailbox.ErrNotFound}, Maildrops: stores.Maildrops})
	takes(t, s, "fred")
	takes(t, s, "fred", post(t, s, "fred", "here", time.Minute))
	if n := len(listed(t, stores, "fred")); n != 1 {
		t.Errorf("%d lines are left; want that of the text that was not returned", n)
	}
}

func TestTextsAreReturnedAlsoWhenTheirRemovalFails(t *testing.T) {
	for name, c := range map[string]struct {
		fault mailboxtest.Fault
		left  bool
	}{"is not done": {mailboxtest.Fail, true}, "is done": {mailboxtest.Lie, false}, "hangs": {mailboxtest.Hang, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				removals := 0
				stores := mailboxtest.Faulty(mailboxtest.Memory(), func(_ int, name string) mailboxtest.Fault {
					if name != "Maildrops.Remove" {
						return nil
					}
					if removals++; removals == 1 {
						return c.fault
					}
					return nil
				})
				s := start(t, stores.Stores)
				text := post(t, s, "fred", "text", time.Minute)
				takes(t, s, "fred", text)
				if c.left {
					takes(t, s, "fred", text)
				}
				takes(t, s, "fred")
			})
		})
	}
}

func TestACallerThatHasGoneTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		stores := mailboxtest.Faulty(mailboxtest.Memory(), func(_ int, name string) mailboxtest.Fault {
			if name == "Contents.Open" {
				return func(ctx context.Context, c mailboxtest.Call) error {
					cancel()
					return c.Do(context.WithoutCancel(ctx))
				}
			}
			return nil
		})
		s := start(t, stores.Stores)
		text := post(t, s, "fred", "text", time.Minute)
		if texts, err := s.Take(ctx, "fred"); err == nil {
			t.Errorf("Take = %v for nobody", texts)
		}
		takes(t, s, "fred", text)
	})
}

func TestTakesOfOneUserTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := mailboxtest.Faulty(mailboxtest.Memory(), func(_ int, name string) mailboxtest.Fault {
			if name == "Contents.Open" || name == "Maildrops.Remove" {
				return mailboxtest.Delay(time.Second)
			}
			return nil
		})
		s := start(t, stores.Stores)
		text, other := post(t, s, "fred", "text", time.Minute), post(t, s, "wilma", "other", time.Minute)
		began := time.Now()
		var mu sync.Mutex
		var all []Text
		var takers sync.WaitGroup
		for range 10 {
			takers.Go(func() {
				texts, err := s.Take(t.Context(), "fred")
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, texts...)
			})
		}
		takers.Go(func() {
			takes(t, s, "wilma", other)
			if took := time.Since(began); took != 2*time.Second {
				t.Errorf("another user waited: %v", took)
			}
		})
		takers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			time.Sleep(time.Millisecond)
			if texts, err := s.Take(ctx, "fred"); !errors.Is(err, mailbox.ErrUnavailable) {
				t.Errorf("Take = %v, %v; want to wait for others in vain", texts, err)
			}
		})
		takers.Wait()
		if !slices.Equal(all, []Text{text}) {
			t.Errorf("all Takes together returned %v", all)
		}
		if n := len(s.turns.drops); n != 0 {
			t.Errorf("%d turns are remembered when nobody takes", n)
		}
	})
}

func TestAPostThatFailsSaysSo(t *testing.T) {
	mailboxtest.EveryCall(t, func(*testing.T) mailboxtest.Stores { return mailboxtest.Memory() }, func(t *testing.T, stores *mailboxtest.FaultyStores) {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, stores.Stores)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			id, err := s.Post(ctx, "fred", "text", time.Hour)
			if err != nil {
				if !errors.Is(err, mailbox.ErrUnavailable) {
					t.Errorf("Post: %v", err)
				}
				return
			}
			intact := start(t, stores.Intact)
			takes(t, intact, "fred", Text{id, "text"})
		})
	})
}

func TestFlushRemovesWhatWasPosted(t *testing.T) {
	stores := mailboxtest.Memory()
	if err := start(t, stores).Flush(t.Context()); !errors.Is(err, ErrFlush) {
		t.Errorf("Flush: %v where it is not allowed", err)
	}
	s := start(t, stores, func(o *Options) { o.Flush = true })
	for i := range 20 {
		post(t, s, fmt.Sprintf("user%d", i%10), "text", time.Minute)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		takes(t, s, fmt.Sprintf("user%d", i))
	}
	if n := len(s.posted.until); n != 0 {
		t.Errorf("%d maildrops are remembered", n)
	}
	takes(t, s, "fred", post(t, s, "fred", "text", time.Minute))
}

func TestFlushFailsWhereItCannotRemove(t *testing.T) {
	stores := mailboxtest.Faulty(mailboxtest.Memory(), func(n int, name string) mailboxtest.Fault {
		if name == "Maildrops.Remove" {
			return mailboxtest.Fail
		}
		return nil
	})
	s := start(t, stores.Stores, func(o *Options) { o.Flush = true })
	post(t, s, "fred", "text", time.Minute)
	if err := s.Flush(t.Context()); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("Flush: %v", err)
	}
	if n := len(s.posted.until); n != 1 {
		t.Errorf("%d maildrops are left to flush; want 1", n)
	}
}

func TestUsersWhoseTextsAreOverAreForgotten(t *testing.T) {
	p := newPosted()
	for i := range 3 * prunePosted {
		p.add(mailbox.MaildropID{byte(i), byte(i >> 8), byte(i >> 16)}, someTime.Add(time.Duration(i)*time.Second), someTime.Add(time.Duration(i-10)*time.Second))
	}
	if len(p.until) > prunePosted {
		t.Errorf("%d maildrops are remembered, of which ten may hold texts", len(p.until))
	}
}

func TestTextsAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := start(t, mailboxtest.Memory(), func(o *Options) { o.Registerer = registry })
	takes(t, s, "fred")
	takes(t, s, "fred", post(t, s, "fred", "text", time.Minute))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"restante_texts_posted_total": 1, "restante_texts_taken_total": 1, "restante_texts_deferred_total": 0,
		"restante_text_takes_total found": 1, "restante_text_takes_total empty": 1, "restante_text_takes_total failed": 0,
	}
	if !maps.Equal(got, want) {
		t.Errorf("counted %v; want %v", got, want)
	}
}

// What is more than a short message is kept as mail is.
func TestAShortTextIsOneWrite(t *testing.T) {
	for octets, want := range map[int][]string{
		57:      {"Maildrops.Add"},
		3000:    {"Maildrops.Add"},
		5000:    {"Contents.Put", "Maildrops.Add"},
		MaxText: {"Contents.Put", "Maildrops.Add"},
	} {
		t.Run(fmt.Sprintf("%d octets", octets), func(t *testing.T) {
			f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
			s := start(t, f.Stores)
			text := post(t, s, "fred", strings.Repeat("a", octets), time.Minute)
			if !slices.Equal(f.Calls(), want) {
				t.Errorf("Post calls %v; want %v", f.Calls(), want)
			}
			takes(t, s, "fred", text)
		})
	}
}
