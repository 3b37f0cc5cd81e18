package cassandra

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gocql/gocql"

	"restante/mailbox"
)

// An outcome is what became of a statement.
type outcome string

const (
	succeeded   outcome = "ok"
	canceled    outcome = "canceled"    // by the caller
	timedOut    outcome = "timeout"     // of the driver, the coordinator or the caller
	unavailable outcome = "unavailable" // too few nodes can be reached
	overloaded  outcome = "overloaded"  // there, or too much in flight here
	refused     outcome = "refused"     // no such table, not allowed, not understood
	failed      outcome = "failed"      // everything else
)

var (
	errTooMuch = errors.New("too many statements in flight")
	errClosed  = errors.New("closed")
)

// A failure says which statement failed, where and how. Its text is for the log.
type failure struct {
	statement string
	host      string // the last one asked; empty: none was
	outcome   outcome
	err       error
}

func (f *failure) Error() string {
	var b strings.Builder
	b.WriteString(f.statement)
	if f.host != "" {
		fmt.Fprintf(&b, " at %s", f.host)
	}
	for _, err := range f.Unwrap() {
		fmt.Fprintf(&b, ": %v", err)
	}
	return b.String()
}

// Unwrap tells a fault of the program, which trying again does not help, from all
// that may happen to a cluster. Even a table that is missing comes back.
func (f *failure) Unwrap() []error {
	if f.outcome == failed && codeOf(f.err) < 0 {
		return []error{f.err}
	}
	return []error{mailbox.ErrUnavailable, f.err}
}

func failureOf(st *statement, err error) *failure {
	return &failure{statement: st.name, outcome: outcomeOf(err), err: err}
}

// codeOf is the error code of the CQL binary protocol, v4, section 9, that a node
// answered with, or -1.
func codeOf(err error) int {
	var answer gocql.RequestError
	if errors.As(err, &answer) {
		return answer.Code()
	}
	return -1
}

// outcomeOf sorts what the driver says.
func outcomeOf(err error) outcome {
	var known *failure
	if errors.As(err, &known) {
		return known.outcome
	}
	if code := codeOf(err); code >= 0 {
		return outcomeOfCode(code)
	}
	var marshal gocql.MarshalError
	var unmarshal gocql.UnmarshalError
	switch {
	case errors.As(err, &marshal), errors.As(err, &unmarshal), errors.Is(err, errNoWriteTime):
		return failed
	case errors.Is(err, errTooMuch), errors.Is(err, gocql.ErrNoStreams):
		return overloaded
	case errors.Is(err, context.Canceled):
		return canceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, gocql.ErrTimeoutNoResponse), errors.Is(err, os.ErrDeadlineExceeded):
		return timedOut
	}
	return unavailable // no connection, or one that broke
}

// outcomeOfCode sorts what a node answers.
func outcomeOfCode(code int) outcome {
	switch code {
	case gocql.ErrCodeUnavailable, gocql.ErrCodeBootstrapping:
		return unavailable
	case gocql.ErrCodeOverloaded:
		return overloaded
	case gocql.ErrCodeWriteTimeout, gocql.ErrCodeReadTimeout:
		return timedOut
	case gocql.ErrCodeSyntax, gocql.ErrCodeUnauthorized, gocql.ErrCodeInvalid, gocql.ErrCodeConfig, gocql.ErrCodeCredentials:
		return refused
	}
	return failed
}

// maxRetries is how often a statement is tried again, each time at another node.
const maxRetries = 2

// retryElsewhere is the retry policy. Every statement is idempotent and keeps its
// timestamp, so that only the load matters: what one node has refused for a reason
// that it shares with the others, or for having too much to do, is not tried again.
type retryElsewhere struct{}

func (retryElsewhere) Attempt(q gocql.RetryableQuery) bool {
	return q.Attempts() <= maxRetries && q.Context().Err() == nil
}

func (retryElsewhere) GetRetryType(err error) gocql.RetryType {
	switch outcomeOf(err) {
	case unavailable, timedOut:
		return gocql.RetryNextHost
	}
	if codeOf(err) == gocql.ErrCodeServer { // a fault of that node
		return gocql.RetryNextHost
	}
	return gocql.Rethrow
}
