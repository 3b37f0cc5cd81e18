package rest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// How much of an import is sent in one request.
const importBatch = 1 << 20

// Import makes an account for each line that r holds, "address:password" or
// "address:hash", however many there are. The function each, which may be nil, sees
// every line that failed, and now and then how far the import is. The counts that
// are returned hold also when Import fails; accounts that were made stay, and a
// repeat reports them as existing.
func (c *Client) Import(ctx context.Context, r io.Reader, each func(ImportEvent)) (made, failed int, err error) {
	total := importTotal{each: each}
	in := bufio.NewReaderSize(r, 64<<10)
	for more := true; more; {
		var batch []byte
		var lines int
		batch, lines, more, err = nextBatch(in)
		if err == nil && len(batch) > 0 {
			err = c.importBatch(ctx, batch, &total)
		}
		if err != nil {
			break
		}
		total.begin(lines)
	}
	return total.made, total.failed, err
}

// nextBatch reads whole lines until there are enough for a request.
func nextBatch(in *bufio.Reader) (batch []byte, lines int, more bool, err error) {
	for len(batch) < importBatch {
		line, err := in.ReadSlice('\n')
		batch = append(batch, line...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, 0, false, fmt.Errorf("a line is longer than %d octets: this is not a list of accounts", in.Size())
		case errors.Is(err, io.EOF):
			return batch, lines, false, nil
		case err != nil:
			return nil, 0, false, err
		}
		lines++
	}
	return batch, lines, true, nil
}

// An importTotal adds up the requests of one import, of which each counts from 1.
type importTotal struct {
	each         func(ImportEvent)
	lines        int // of the requests before
	before       ImportEvent
	made, failed int
}

func (t *importTotal) begin(lines int) {
	t.lines += lines
	t.before = ImportEvent{Made: t.made, Failed: t.failed}
}

func (t *importTotal) add(ev ImportEvent) {
	ev.Made += t.before.Made
	ev.Failed += t.before.Failed
	t.made, t.failed = ev.Made, ev.Failed
	ev.Done = false // it is of one request
	if ev.Line > 0 {
		ev.Line += t.lines
	}
	if t.each != nil {
		t.each(ev)
	}
}

func (c *Client) importBatch(ctx context.Context, batch []byte, total *importTotal) error {
	answer, err := c.send(ctx, http.MethodPost, "/accounts/import", "text/plain; charset=utf-8", bytes.NewReader(batch))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for events := json.NewDecoder(answer.Body); ; {
		var ev ImportEvent
		if err := events.Decode(&ev); err != nil {
			return fmt.Errorf("the import broke off: %w", err)
		}
		total.add(ev)
		switch {
		case ev.Done:
			return nil
		case ev.Line == 0 && ev.Error != "":
			return errors.New(ev.Error)
		}
	}
}
