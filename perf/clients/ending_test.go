package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// watchFor watches a mailbox that is told to end in ten seconds; each answer takes as
// long as said, and is that of its beginning.
func watchFor(t *testing.T, takes time.Duration, there func(age time.Duration) (bool, error)) (s sighting) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s = watch(t.Context(), began.Add(10*time.Second), func(context.Context) (bool, error) {
			found, err := there(time.Since(began))
			time.Sleep(takes)
			return found, err
		})
	})
	return s
}

// until is there as long as told.
func until(d time.Duration) func(time.Duration) (bool, error) {
	return func(age time.Duration) (bool, error) { return age < d, nil }
}

// told is what an error says, if there is one.
func told(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAMailboxThatEndsInTimeIsSeenTo(t *testing.T) {
	for _, takes := range []time.Duration{0, 30 * time.Millisecond, time.Second} {
		s := watchFor(t, takes, until(10*time.Second))
		if s.early != nil || s.late != nil {
			t.Errorf("answers after %v: %v, %v", takes, s.early, s.late)
		}
		if before, after := s.end.Sub(s.there), s.gone.Sub(s.end); before <= 0 || after < 0 || before+after > askEach+takes {
			t.Errorf("answers after %v: %s", takes, &s)
		}
	}
}

func TestAnEndThatIsTooEarlyOrTooLateIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		there       func(time.Duration) (bool, error)
		early, late string
	}{
		"early":      {until(9800 * time.Millisecond), "gone 200ms before its end", ""},
		"late":       {until(10100 * time.Millisecond), "", "there when asked 0s after its end"},
		"never made": {until(0), "gone 10s before its end\nit was never there", ""},
		"never over": {until(time.Hour), "", "there when asked 0s after its end\nit was never seen to be gone"},
		"back again": {func(age time.Duration) (bool, error) {
			return age < 10*time.Second || age > 12*time.Second, nil
		}, "", "there when asked 2.1s after its end"},
		"away for once": {func(age time.Duration) (bool, error) {
			return age < 10*time.Second && age != time.Second, nil
		}, "gone 9s before its end", ""},
		"another answer": {func(age time.Duration) (bool, error) {
			if age == time.Second || age == 11*time.Second {
				return false, errors.New("out of order")
			}
			return age < 10*time.Second, nil
		}, "out of order", "out of order"},
	} {
		s := watchFor(t, 0, c.there)
		if told(s.early) != c.early || told(s.late) != c.late {
			t.Errorf("%s: before the end %q, want %q; after it %q, want %q", name, told(s.early), c.early, told(s.late), c.late)
		}
	}
}

func TestHowCloseTheEndWasSeenIsTold(t *testing.T) {
	s := watchFor(t, 0, until(10*time.Second))
	if says := s.String(); !strings.Contains(says, "0.100 s before the end") || !strings.Contains(says, "0.000 s after") {
		t.Error(says)
	}
}
