package history

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAHistoryIsReadAsItWasRecorded(t *testing.T) {
	for _, name := range []string{"history", "history.gz"} {
		path := filepath.Join(t.TempDir(), name)
		r, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		want := lists(here, "A", "<b&>")
		want.From = r.Now()
		r.Record(Entry{Op: Run, Datacenters: []string{here}})
		r.Record(want)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var got []Entry
			for e, err := range File(path) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e)
			}
			if len(got) != 2 {
				t.Fatalf("%s: %v", name, got)
			}
			want.To, want.Line = got[1].To, 2
			if !reflect.DeepEqual(got[1], want) || got[1].To < got[1].From {
				t.Errorf("%s: %+v, want %+v", name, got[1], want)
			}
		}
		if _, err := Create(path); !os.IsExist(err) {
			t.Errorf("%s is written over: %v", name, err)
		}
	}
}

func TestManyClientsRecordInTheOrderInWhichTheyEnd(t *testing.T) {
	var b bytes.Buffer
	r := NewRecorder(&b)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				r.Record(Entry{Op: List, From: r.Now()})
			}
		})
	}
	all.Wait()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range Read(&b) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 8*200 {
		t.Errorf("%d entries", n)
	}
}

func TestWhatWasRecordedIsSafeFromAKilledToolSoon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.gz")
	synctest.Test(t, func(t *testing.T) {
		r, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		r.Record(Entry{Op: Run})
		time.Sleep(flushEvery + time.Millisecond)
		n := 0
		for _, err := range File(path) { // which has no end yet
			if n++; err != nil {
				t.Error(err)
			}
		}
		if n != 1 {
			t.Errorf("%d entries", n)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestADamagedHistoryIsNotRead(t *testing.T) {
	const good = `{"op":"list","from":1,"to":2}` + "\n"
	for text, want := range map[string]string{
		good + "nonsense\n" + good:                    "line 2",
		good + `{"op":"list","from":0,"to":1}` + "\n": "line 2: it ended before the line before it",
		`{"op":"list","from":3,"to":1}` + "\n":        "line 1: it ended before it began",
		good + `{"op":"li`:                            "",
	} {
		var last error
		for _, err := range Read(strings.NewReader(text)) {
			last = err
		}
		if want == "" && last != nil || want != "" && (last == nil || !strings.Contains(last.Error(), want)) {
			t.Errorf("%q: %v", text, last)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestARecorderThatCannotWriteSaysSo(t *testing.T) {
	r := NewRecorder(full{})
	r.Record(Entry{Op: Run})
	if err := r.Close(); err == nil || r.Err() == nil {
		t.Error("no error")
	}
}
