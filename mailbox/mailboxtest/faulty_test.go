package mailboxtest_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

const text = "Subject: hello\r\n\r\nworld\r\n"

var (
	fred   = mailbox.Address{Local: "fred", Domain: "example.org"}
	freds  = mailbox.MaildropOf(fred, 1)
	wilmas = mailbox.MaildropOf(mailbox.Address{Local: "wilma", Domain: "example.org"}, 1)
)

func TestWithoutAPlanTheWrapperOnlyCounts(t *testing.T) {
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
	quick.Maildrops(t, func(*testing.T) mailbox.Maildrops { return f.Maildrops })
	quick.Addresses(t, func(*testing.T) mailbox.Addresses { return f.Addresses })
	if len(f.Calls()) < 1000 {
		t.Errorf("%d calls counted while two suites ran", len(f.Calls()))
	}
}

func TestCallsAreCountedOverAllSeams(t *testing.T) {
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
	ctx := t.Context()
	var ids mailbox.MessageIDs
	m := mailbox.Message{ID: ids.Next(), Octets: int64(len(text))}
	must(t, f.Addresses.Put(ctx, fred, mailbox.Route{Kind: mailbox.Account, Life: 1}))
	_, err := f.Addresses.Lookup(ctx, fred)
	must(t, err)
	for _, err := range f.Addresses.List(ctx, fred.Domain) {
		must(t, err)
	}
	_, err = f.Contents.Put(ctx, mailbox.Content{ID: m.ID, Maildrops: []mailbox.MaildropID{freds}}, strings.NewReader(text))
	must(t, err)
	must(t, f.Maildrops.Add(ctx, []mailbox.Entry{{Maildrop: freds, Message: m}}))
	_, err = f.Maildrops.List(ctx, freds)
	must(t, err)
	r, err := f.Contents.Open(ctx, m)
	must(t, err)
	must(t, r.Close())
	must(t, f.Maildrops.Remove(ctx, freds, m))
	must(t, f.Contents.Release(ctx, freds, m))
	want := []string{
		"Addresses.Put", "Addresses.Lookup", "Addresses.List", "Contents.Put", "Maildrops.Add",
		"Maildrops.List", "Contents.Open", "Maildrops.Remove", "Contents.Release",
	}
	if got := f.Calls(); !slices.Equal(got, want) {
		t.Errorf("counted %v; want %v", got, want)
	}
}

func TestOnlyThePlannedCallsFail(t *testing.T) {
	for name, c := range map[string]struct {
		plan mailboxtest.Plan
		want []bool // which of four calls succeed
	}{
		"never":           {mailboxtest.Never, []bool{true, true, true, true}},
		"the second":      {mailboxtest.Nth(2, mailboxtest.Fail), []bool{true, false, true, true}},
		"from the second": {mailboxtest.From(2, mailboxtest.Fail), []bool{true, false, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			f := mailboxtest.Faulty(mailboxtest.Memory(), c.plan)
			for i, want := range c.want {
				_, err := f.Maildrops.List(t.Context(), freds)
				if (err == nil) != want {
					t.Errorf("call %d: %v; want success %v", i+1, err, want)
				}
				if err != nil && (!errors.Is(err, mailboxtest.ErrFault) || !errors.Is(err, mailbox.ErrUnavailable)) {
					t.Errorf("call %d: %v; want the fault", i+1, err)
				}
			}
		})
	}
}

func TestEachFaultDoesAsMuchAsItSays(t *testing.T) {
	two := []mailbox.Entry{entry(freds), entry(wilmas)}
	for name, c := range map[string]struct {
		fault mailboxtest.Fault
		want  int // entries of two that are listed afterwards
	}{
		"Fail does nothing":        {mailboxtest.Fail, 0},
		"Lie does everything":      {mailboxtest.Lie, 2},
		"Halve does half":          {mailboxtest.Halve, 1},
		"Hang does nothing":        {mailboxtest.Hang, 0},
		"a long Delay is too long": {mailboxtest.Delay(time.Hour), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Nth(1, c.fault))
				if err := f.Maildrops.Add(ctx, two); !errors.Is(err, mailboxtest.ErrFault) {
					t.Errorf("Add = %v; want the fault", err)
				}
				if n := len(list(t, f.Intact, freds)) + len(list(t, f.Intact, wilmas)); n != c.want {
					t.Errorf("%d entries are listed; want %d", n, c.want)
				}
			})
		})
	}
}

func TestADelayedCallSucceedsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Nth(1, mailboxtest.Delay(3*time.Second)))
		begin := time.Now()
		must(t, f.Maildrops.Add(t.Context(), []mailbox.Entry{entry(freds)}))
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("Add took %v; want 3s", took)
		}
		if n := len(list(t, f.Intact, freds)); n != 1 {
			t.Errorf("%d entries are listed; want 1", n)
		}
	})
}

func TestHalfAPutLeavesNothing(t *testing.T) {
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Nth(1, mailboxtest.Halve))
	c := mailbox.Content{ID: entry(freds).Message.ID, Maildrops: []mailbox.MaildropID{freds}}
	if n, err := f.Contents.Put(t.Context(), c, strings.NewReader(text)); !errors.Is(err, mailboxtest.ErrFault) || n != 0 {
		t.Errorf("Put = %d, %v; want the fault", n, err)
	}
	if _, err := f.Intact.Contents.Open(t.Context(), mailbox.Message{ID: c.ID}); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("Open = %v; want not found", err)
	}
}

func TestHalfAnOpenBreaksWhileItIsRead(t *testing.T) {
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Nth(2, mailboxtest.Halve))
	c := mailbox.Content{ID: entry(freds).Message.ID, Maildrops: []mailbox.MaildropID{freds}}
	_, err := f.Contents.Put(t.Context(), c, strings.NewReader(strings.Repeat("x", 1000)))
	must(t, err)
	r, err := f.Contents.Open(t.Context(), mailbox.Message{ID: c.ID})
	must(t, err)
	got, err := io.ReadAll(r)
	if len(got) == 0 || len(got) >= 1000 || !errors.Is(err, mailboxtest.ErrFault) {
		t.Errorf("read %d octets, %v; want some and the fault", len(got), err)
	}
	must(t, r.Close())
}

func TestHalfAListingOfADomainEndsInAnError(t *testing.T) {
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Nth(1, mailboxtest.Halve))
	for _, local := range []string{"a", "b", "c", "d"} {
		must(t, f.Intact.Addresses.Put(t.Context(), mailbox.Address{Local: local, Domain: "example.org"}, mailbox.Route{}))
	}
	rows, failed := 0, error(nil)
	for _, err := range f.Addresses.List(t.Context(), "example.org") {
		if err == nil {
			rows++
		}
		failed = err
	}
	if rows != 2 || !errors.Is(failed, mailboxtest.ErrFault) {
		t.Errorf("%d rows, then %v; want 2 and the fault", rows, failed)
	}
}

func TestEveryCallTriesEachCallInEachWay(t *testing.T) {
	failed := make(map[string]int)
	plays := 0
	mailboxtest.EveryCall(t, func(*testing.T) mailboxtest.Stores { return mailboxtest.Memory() }, func(t *testing.T, f *mailboxtest.FaultyStores) {
		plays++
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // so that a call that hangs ends at once
		if _, err := f.Maildrops.List(ctx, freds); errors.Is(err, mailboxtest.ErrFault) {
			failed["List"]++
		}
		if _, err := f.Addresses.Lookup(ctx, fred); errors.Is(err, mailboxtest.ErrFault) {
			failed["Lookup"]++
		}
	})
	// Two calls, four ways, alone or with all later calls; the first call's
	// faults that last are the second's too.
	if plays != 1+2*4*2 || failed["List"] != 8 || failed["Lookup"] != 12 {
		t.Errorf("%d plays, failed calls %v; want 17 plays, 8 and 12", plays, failed)
	}
}

func entry(drop mailbox.MaildropID) mailbox.Entry {
	return mailbox.Entry{Maildrop: drop, Message: mailbox.Message{ID: new(mailbox.MessageIDs).Next(), Octets: 10}}
}

func list(t *testing.T, stores mailboxtest.Stores, drop mailbox.MaildropID) []mailbox.Message {
	t.Helper()
	list, err := stores.Maildrops.List(t.Context(), drop)
	must(t, err)
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
