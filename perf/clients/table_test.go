package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAFailureStaysInTheTable(t *testing.T) {
	var b strings.Builder
	results := &table{out: &b, began: time.Now()}
	results.add("mpop", "STLS", octets, nil)
	results.skip("getmail", "STLS", "it cannot")
	if results.failed() {
		t.Error("failed without a failure")
	}
	results.add("mpop", "STLS", shown, errors.New("nothing to be seen"))
	results.add("mpop", "STLS", shown, nil)
	if !results.failed() {
		t.Error("a failure passed")
	}
	b.Reset()
	results.print()
	want := `
client   way   octets  kept  deleted  distrust  shown  found  lived  ended
mpop     STLS  ok      -     -        -         FAIL   -      -      -
getmail  STLS  -       -     -        -         -      -      -      -

getmail, STLS: it cannot

mpop, STLS, shown: nothing to be seen
`
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
}

func TestOnlyClientsThatExistCanBeChosen(t *testing.T) {
	clients := all(&bird{})
	if chosen, temporary, err := choose(clients, []string{"mpop", "curl"}); err != nil || temporary || len(chosen) != 2 || chosen[0].name != "mpop" {
		t.Errorf("chose %d, temporary %t: %v", len(chosen), temporary, err)
	}
	if chosen, temporary, err := choose(clients, []string{"temporary"}); err != nil || !temporary || len(chosen) != 0 {
		t.Errorf("chose %d, temporary %t: %v", len(chosen), temporary, err)
	}
	if chosen, temporary, err := choose(clients, nil); err != nil || !temporary || len(chosen) != len(clients) {
		t.Errorf("chose %d, temporary %t: %v", len(chosen), temporary, err)
	}
	if _, _, err := choose(clients, []string{"mpop", "pine"}); err == nil {
		t.Error("chose pine")
	}
}
