package history

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
)

// zipped is how the name of a compressed history ends.
const zipped = ".gz"

// File is the history in a file, which is opened for each time it is walked.
func File(path string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer func() { _ = f.Close() }()
		var in io.Reader = f
		if strings.HasSuffix(path, zipped) {
			if in, err = gzip.NewReader(f); err != nil {
				yield(Entry{}, fmt.Errorf("%s: %w", path, err))
				return
			}
		}
		for e, err := range Read(in) {
			if err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Read is the history that comes from a reader, and so can be walked once. A last line
// that is not whole is that of a recorder which was killed, and left out.
func Read(in io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewReaderSize(in, bufferSize)
		last := Entry{}
		for number := 1; ; number++ {
			raw, err := lines.ReadBytes('\n')
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
			e := Entry{Line: number}
			if err == nil {
				err = json.Unmarshal(raw, &e)
			}
			switch {
			case err != nil:
			case e.To < last.To:
				err = errors.New("it ended before the line before it")
			case e.From > e.To:
				err = errors.New("it ended before it began")
			}
			if err != nil {
				yield(e, fmt.Errorf("line %d: %w", number, err))
				return
			}
			if !yield(e, nil) {
				return
			}
			last = e
		}
	}
}

// Of is a history of these entries.
func Of(entries ...Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for i, e := range entries {
			e.Line = i + 1
			if !yield(e, nil) {
				return
			}
		}
	}
}
