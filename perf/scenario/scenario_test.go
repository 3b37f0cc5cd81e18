package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/perf/servertest"
	"restante/perf/wire"
)

// load is for the fake's users 10 to 13.
func load(addr string, connections, count int) Load {
	return Load{
		Address: addr, Connections: connections, Count: count, First: 10, Users: 4, Pattern: "user%d@example.test",
		Password: servertest.Password, Options: wire.Options{},
	}
}

// run fails the test unless the load ends well.
func run(t *testing.T, r Runner) *Tally {
	t.Helper()
	tally, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tally.Errors > 0 {
		t.Fatalf("%d operations failed: %q", tally.Errors, tally.Faults)
	}
	return tally
}

// stocked is a fake with n letters for each of its four users.
func stocked(t *testing.T, n, size int) *servertest.Fake {
	t.Helper()
	f := servertest.New(t)
	run(t, Deliver{Load: load(f.SMTP, 2, 4*n), Size: size, From: "a@b"})
	return f
}

func TestEveryWayOfDeliveryReachesEveryUser(t *testing.T) {
	for _, c := range []struct {
		lmtp, pipelined bool
		recipients      int
	}{{false, false, 0}, {false, true, 1}, {true, false, 1}, {true, true, 2}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			f := servertest.New(t)
			addr := f.SMTP
			if c.lmtp {
				addr = f.LMTP
			}
			tally := run(t, Deliver{Load: load(addr, 3, 20), LMTP: c.lmtp, Pipelined: c.pipelined, Size: 500, Recipients: c.recipients, From: "a@b"})
			if tally.Operations != 20 || tally.Latency.Count() != 20 || tally.Octets < 20*500 {
				t.Errorf("tally %d operations, %d latencies, %d octets", tally.Operations, tally.Latency.Count(), tally.Octets)
			}
			for user := 10; user < 14; user++ {
				if n := f.Count(fmt.Sprintf("user%d@example.test", user)); n != 5*max(c.recipients, 1) {
					t.Errorf("user %d has %d messages", user, n)
				}
			}
		})
	}
}

func TestWhoSubmitsLogsInOnceForEachConnection(t *testing.T) {
	f := servertest.New(t)
	run(t, Deliver{Load: load(f.SMTP, 3, 20), Size: 500, From: "a@b", Login: true})
	if f.Logins() != 3 {
		t.Errorf("%d logins on 3 connections", f.Logins())
	}
}

func TestARefusalIsAnErrorAndNotAnOperation(t *testing.T) {
	f := servertest.New(t)
	f.Fate = servertest.Always(servertest.Deferred)
	tally, err := Deliver{Load: load(f.LMTP, 1, 3), LMTP: true, Size: 100, From: "a@b"}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tally.Operations != 0 || tally.Errors != 3 || len(tally.Faults) != 1 || !strings.Contains(tally.Faults[0], "452 full") {
		t.Errorf("%d operations, %d errors, %q", tally.Operations, tally.Errors, tally.Faults)
	}
}

func TestALoadIsGivenUpWhenNobodyAnswers(t *testing.T) {
	f := servertest.New(t)
	f.Fate = servertest.Always(servertest.Deferred)
	_, err := Deliver{Load: load(f.SMTP, 2, 1_000_000), Size: 100, From: "a@b"}.Run(t.Context())
	if !errors.Is(err, errHopeless) || !strings.Contains(err.Error(), "452 full") {
		t.Errorf("the load ended with %v", err)
	}
}

func TestASessionRetrievesAndVerifiesAll(t *testing.T) {
	f := stocked(t, 3, 2000)
	tally := run(t, Session{Load: load(f.POP3, 2, 8)})
	if tally.Operations != 8 || tally.Octets < 8*3*2000 {
		t.Errorf("%d sessions, %d octets", tally.Operations, tally.Octets)
	}
	t.Run("some of them, deleted", func(t *testing.T) {
		run(t, Session{Load: load(f.POP3, 2, 4), Messages: 2, Delete: true})
		if n := f.Count("user11@example.test"); n != 1 {
			t.Errorf("%d messages are left", n)
		}
	})
	t.Run("too few are an error", func(t *testing.T) {
		tally, err := Session{Load: load(f.POP3, 1, 1), Messages: 2}.Run(t.Context())
		if err != nil || tally.Errors != 1 {
			t.Errorf("%d errors, %v", tally.Errors, err)
		}
	})
}

func TestADamagedMessageIsAnError(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"a changed octet": func(m []byte) []byte { m[len(m)-10] ^= 1; return m },
		"a line missing":  func(m []byte) []byte { return m[:bytes.LastIndexByte(m[:len(m)-2], '\n')+1] },
		"another message": func([]byte) []byte { return []byte("Subject: x\r\n\r\nx\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			f := stocked(t, 1, 2000)
			f.Change("user10@example.test", 0, damage)
			for _, r := range []Runner{Session{Load: load(f.POP3, 1, 1)}, Retr{Load: load(f.POP3, 1, 1)}, Retr{Load: load(f.POP3, 1, 1), Discard: true}} {
				tally, err := r.Run(t.Context())
				if err != nil || tally.Errors != 1 || !strings.Contains(tally.Faults[0], "damaged") {
					t.Errorf("%T: %d errors, %q, %v", r, tally.Errors, tally.Faults, err)
				}
			}
		})
	}
}

func TestALoginChecksTheNumberOfMessages(t *testing.T) {
	f := stocked(t, 3, 100)
	run(t, Login{Load: load(f.POP3, 2, 10), Expect: 3})
	run(t, Login{Load: load(f.POP3, 2, 10), Expect: -1})
	tally, err := Login{Load: load(f.POP3, 1, 2), Expect: 4}.Run(t.Context())
	if err != nil || tally.Errors != 2 {
		t.Errorf("%d errors, %v", tally.Errors, err)
	}
	wrong := load(f.POP3, 1, 2)
	wrong.Password = "guess"
	if tally, err := (Login{Load: wrong, Expect: -1}).Run(t.Context()); err != nil || tally.Errors != 2 {
		t.Errorf("with a wrong password %d errors, %v", tally.Errors, err)
	}
}

func TestThroughputIsToldForLargeMessagesAndBareCopies(t *testing.T) {
	f := stocked(t, 1, 1<<20)
	for _, r := range []Runner{Retr{Load: load(f.POP3, 1, 5)}, Retr{Load: load(f.POP3, 1, 5), Discard: true}, Loopback{Load: Load{Count: 5}, Size: 1 << 20}} {
		tally := run(t, r)
		if tally.Operations != 5 || tally.Octets < 5<<20 || tally.Figures["MiB/s"] <= 0 {
			t.Errorf("%T: %d operations, %d octets, %v", r, tally.Operations, tally.Octets, tally.Figures)
		}
	}
}

func TestADiscardedMessageMustHaveTheOctetsOfTheOthers(t *testing.T) {
	for name, later := range map[string]func([]byte) []byte{
		"shorter":      func(m []byte) []byte { return m[:bytes.LastIndexByte(m[:len(m)-2], '\n')+1] },
		"then another": func(m []byte) []byte { return append(m, "x\r\n"...) },
	} {
		t.Run(name, func(t *testing.T) {
			f := stocked(t, 1, 2000)
			f.Retrieved = func(n int, m []byte) []byte {
				if n < 3 {
					return m
				}
				return later(slices.Clone(m))
			}
			tally, err := Retr{Load: load(f.POP3, 1, 3), Discard: true}.Run(t.Context())
			if err != nil || tally.Operations != 2 || tally.Errors != 1 || !strings.Contains(tally.Faults[0], "damaged") {
				t.Errorf("%d operations, %d errors, %q, %v", tally.Operations, tally.Errors, tally.Faults, err)
			}
		})
	}
}

func TestDeleteEmptiesOneMaildrop(t *testing.T) {
	f := stocked(t, 250, 10)
	if _, err := (Delete{Load: load(f.POP3, 1, 1), Expect: 7}).Run(t.Context()); err == nil {
		t.Error("a wrong number of messages is no error")
	}
	tally := run(t, Delete{Load: load(f.POP3, 1, 1), Expect: 250})
	if tally.Figures["messages"] != 250 || tally.Operations != 1 {
		t.Errorf("figures %v, %d operations", tally.Figures, tally.Operations)
	}
	if a, b := f.Count("user10@example.test"), f.Count("user11@example.test"); a != 0 || b != 250 {
		t.Errorf("%d and %d messages are left", a, b)
	}
}

func TestHoldHasAllSessionsAtOnce(t *testing.T) {
	f := stocked(t, 1, 1<<20)
	l := load(f.POP3, 12, 0)
	l.Duration = 100 * time.Millisecond
	tally := run(t, Hold{Load: l, Speed: 256 << 10})
	if most := f.Most(); tally.Operations != 12 || most != 12 {
		t.Errorf("%d sessions were held, %d at once", tally.Operations, most)
	}
	if tally.Octets >= 12<<20 {
		t.Errorf("slow readers have read everything: %d octets", tally.Octets)
	}
}

func TestHoldDoesNotWaitForSessionsThatFail(t *testing.T) {
	f := stocked(t, 1, 1<<20)
	l := load(f.POP3, 4, 0)
	l.Duration, l.Users = 50*time.Millisecond, 8 // four of the users have nothing
	l.Connections = 8
	tally, err := Hold{Load: l, Speed: 256 << 10}.Run(t.Context())
	if err != nil || tally.Operations != 4 || tally.Errors != 4 {
		t.Errorf("%d held, %d failed, %v", tally.Operations, tally.Errors, err)
	}
}

func TestALoadThatCannotEndIsRefused(t *testing.T) {
	for _, r := range []Runner{Deliver{Load: load("x", 1, 0)}, Login{Load: load("x", 0, 1)}, Hold{Load: load("x", 1, 1)}} {
		if _, err := r.Run(t.Context()); err == nil {
			t.Errorf("%T ran", r)
		}
	}
}

func TestUsersTakeTurnsByTheirStep(t *testing.T) {
	l := load("x", 1, 1)
	l.Step = 3
	var turns []string
	for i := range 5 {
		turns = append(turns, l.User(i))
	}
	if got := strings.Join(turns, " "); got != "user10@example.test user13@example.test user12@example.test user11@example.test user10@example.test" {
		t.Errorf("the turns are %s", got)
	}
}
