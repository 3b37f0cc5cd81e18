package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/mailbox"
)

// An ImportEvent is one line of the answer to an import. It is either about a
// line that failed, or says how far the import is; the last event of a whole
// answer is done.
type ImportEvent struct {
	Line    int    `json:"line,omitempty" doc:"number of a line that failed, counted from 1"`
	Address string `json:"address,omitempty" doc:"the address in that line, if one was found"`
	Error   string `json:"error,omitempty" doc:"why it failed; without a line: why the import stopped"`
	Made    int    `json:"made" doc:"accounts made so far"`
	Failed  int    `json:"failed" doc:"lines that failed so far"`
	Done    bool   `json:"done,omitempty" doc:"the last event"`
}

type importInput struct {
	RawBody []byte `contentType:"text/plain" required:"true"`
}

const (
	importWorkers  = 16                // lines at once; the hasher bounds what they cost
	importProgress = time.Second       // between two events at most
	importPatience = 2 * importWorkers // lines in a row that storage fails, before the rest is left
)

func (a *admin) imports(api *api) {
	stream(api, huma.Operation{
		OperationID: "import-accounts", Method: http.MethodPost, Path: "/accounts/import", Tags: []string{"accounts"},
		Summary: "Make many accounts",
		Description: "One account a line, address:password or address:hash; blank lines and those that begin with # are left out. " +
			"A line that fails does not keep the others from being imported. " +
			"The answer is one JSON object a line, as it happens; it is whole if the last is done.",
		Errors: []int{http.StatusRequestEntityTooLarge},
	}, importTimeout, "application/x-ndjson", ImportEvent{}, func(ctx context.Context, in *importInput) (func(io.Writer) error, error) {
		return func(w io.Writer) error { return a.runImport(ctx, w, in.RawBody) }, nil
	})
}

// runImport makes the accounts and writes what happens. It ends early when the
// client is gone, or when storage fails line after line.
func (a *admin) runImport(ctx context.Context, w io.Writer, text []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	im := &importer{admin: a, stop: cancel, report: importReport{w: w, wrote: time.Now()}}
	lines := make(chan numberedLine)
	var workers sync.WaitGroup
	for range importWorkers {
		workers.Go(func() {
			for line := range lines {
				im.add(ctx, line)
			}
		})
	}
	im.read(ctx, text, lines)
	close(lines)
	workers.Wait()
	a.Log.Info("accounts imported", "session", requestID(ctx), "made", im.report.made, "failed", im.report.failed)
	return im.report.end(ctx.Err() == nil)
}

// An importer is one import.
type importer struct {
	*admin
	stop     context.CancelFunc
	report   importReport
	troubles atomic.Int32 // lines in a row that storage failed
}

type numberedLine struct {
	importLine
	number int
}

// read hands out the lines that are accounts, until ctx ends. Of two lines for one
// address the first counts.
func (im *importer) read(ctx context.Context, text []byte, lines chan<- numberedLine) {
	seen := make(map[mailbox.Address]int)
	number := 0
	for s := range strings.SplitSeq(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		number++
		line, ok, err := parseImportLine(s)
		if err == nil && seen[line.address] > 0 {
			err = fmt.Errorf("%w: line %d is for the same address", errLine, seen[line.address])
		}
		switch {
		case err != nil:
			im.fail(ctx, number, line.address, err)
		case ok:
			seen[line.address] = number
			select {
			case lines <- numberedLine{line, number}:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// add makes one account.
func (im *importer) add(ctx context.Context, line numberedLine) {
	secret, err := im.secret(ctx, line.credential)
	if err == nil {
		_, err = im.Directory.Create(ctx, line.address, mailbox.Route{Kind: mailbox.Account, Secret: secret})
	}
	if err != nil {
		im.fail(ctx, line.number, line.address, err)
		return
	}
	im.troubles.Store(0)
	if err := im.report.success(); err != nil {
		im.stop()
	}
}

// fail reports a line, and stops where there is no use in going on.
func (im *importer) fail(ctx context.Context, number int, address mailbox.Address, cause error) {
	status, detail := http.StatusInternalServerError, "internal error"
	var p *huma.ErrorModel
	if errors.As(problemOf(ctx, im.Log, cause), &p) {
		status, detail = p.Status, p.Detail
	}
	if status >= 500 && im.troubles.Add(1) >= importPatience {
		im.stop()
	}
	if err := im.report.failure(number, address.String(), detail); err != nil {
		im.stop()
	}
}
