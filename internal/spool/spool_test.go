package spool_test

import (
	"bytes"
	"io"
	"os"
	"testing"

	"restante/internal/spool"
)

func TestWhatIsWrittenIsReadAgainAndAgain(t *testing.T) {
	t.Parallel()
	for name, sizes := range map[string][]int{
		"nothing":                   {},
		"one piece in memory":       {100},
		"as much as memory holds":   {50, 50},
		"one octet more":            {50, 51},
		"more in one piece":         {1000},
		"more, and then more again": {99, 2, 500, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := spool.Spool{Dir: t.TempDir(), Memory: 100}
			defer s.Close()
			var want []byte
			for i, size := range sizes {
				piece := bytes.Repeat([]byte{byte('a' + i)}, size)
				want = append(want, piece...)
				if n, err := s.Write(piece); n != size || err != nil {
					t.Fatalf("wrote %d of %d: %v", n, size, err)
				}
				clear(piece) // it is the caller's
			}
			if s.Octets() != int64(len(want)) {
				t.Errorf("%d octets, want %d", s.Octets(), len(want))
			}
			for range 2 {
				if got, err := io.ReadAll(s.Open()); err != nil || !bytes.Equal(got, want) {
					t.Errorf("read %q, %v, want %q", got, err, want)
				}
			}
			if files, err := os.ReadDir(s.Dir); err != nil || len(files) > 0 {
				t.Errorf("somebody finds %v, %v", files, err)
			}
		})
	}
}

func TestASpoolWithoutADirectoryFails(t *testing.T) {
	t.Parallel()
	s := spool.Spool{Dir: t.TempDir() + "/gone", Memory: 1}
	defer s.Close()
	if _, err := s.Write([]byte("ab")); err == nil {
		t.Error("wrote to a directory that is not there")
	}
}
