package cassandra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gocql/gocql"

	"restante/mailbox"
)

// A reply is an error that a node answers with.
type reply int

func (a reply) Code() int       { return int(a) }
func (a reply) Message() string { return fmt.Sprintf("code %#x", int(a)) }
func (a reply) Error() string   { return a.Message() }

func TestWhatADriverSaysIsSorted(t *testing.T) {
	for _, test := range []struct {
		err       error
		outcome   outcome
		again     bool // at another node
		permanent bool
	}{
		{reply(gocql.ErrCodeUnavailable), unavailable, true, false},
		{reply(gocql.ErrCodeBootstrapping), unavailable, true, false},
		{reply(gocql.ErrCodeOverloaded), overloaded, false, false},
		{reply(gocql.ErrCodeWriteTimeout), timedOut, true, false},
		{reply(gocql.ErrCodeReadTimeout), timedOut, true, false},
		{reply(gocql.ErrCodeServer), failed, true, false},
		{reply(gocql.ErrCodeReadFailure), failed, false, false},
		{reply(gocql.ErrCodeInvalid), refused, false, false},
		{reply(gocql.ErrCodeUnauthorized), refused, false, false},
		{gocql.ErrNoConnections, unavailable, true, false},
		{gocql.ErrConnectionClosed, unavailable, true, false},
		{gocql.ErrSessionClosed, unavailable, true, false},
		{io.EOF, unavailable, true, false},
		{gocql.ErrTimeoutNoResponse, timedOut, true, false},
		{gocql.ErrNoStreams, overloaded, false, false},
		{context.DeadlineExceeded, timedOut, true, false},
		{context.Canceled, canceled, false, false},
		{errTooMuch, overloaded, false, false},
		{gocql.MarshalError("no uuid"), failed, false, true},
		{errNoWriteTime, failed, false, true},
	} {
		err := fmt.Errorf("wrapped: %w", test.err)
		if got := outcomeOf(err); got != test.outcome {
			t.Errorf("%v: %s, want %s", err, got, test.outcome)
		}
		if again := (retryElsewhere{}).GetRetryType(err) == gocql.RetryNextHost; again != test.again {
			t.Errorf("%v: tried again: %t", err, again)
		}
		f := failureOf(letterInsert, err)
		if permanent := !errors.Is(f, mailbox.ErrUnavailable); permanent != test.permanent {
			t.Errorf("%v: permanent: %t", f, permanent)
		}
		if !errors.Is(f, test.err) || !strings.HasPrefix(f.Error(), "letter insert: ") {
			t.Errorf("%v: names neither statement nor cause", f)
		}
	}
}

func TestAFailureNamesTheNode(t *testing.T) {
	f := failureOf(letterInsert, io.EOF)
	f.host = "127.0.0.1:9042"
	if got, want := f.Error(), "letter insert at 127.0.0.1:9042: storage unavailable: EOF"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A query is what the retry policy sees of a statement.
type query struct {
	gocql.RetryableQuery
	tries int
	ctx   context.Context
}

func (q query) Attempts() int            { return q.tries }
func (q query) Context() context.Context { return q.ctx }

func TestTriesAreBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	for tries, want := range map[int]bool{1: true, 2: true, 3: false} {
		if got := (retryElsewhere{}).Attempt(query{tries: tries, ctx: ctx}); got != want {
			t.Errorf("again after %d tries: %t", tries, got)
		}
	}
	cancel()
	if (retryElsewhere{}).Attempt(query{tries: 1, ctx: ctx}) {
		t.Error("tried again for a caller who has gone")
	}
}
