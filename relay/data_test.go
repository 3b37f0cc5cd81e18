package relay_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
)

var fred = mailbox.Address{Local: "fred", Domain: "example.org"}

// comesBack checks that data is stored as this and read again, by this program and by
// one that knows less.
func comesBack[D relay.Data](t *testing.T, data D, stored string) {
	t.Helper()
	b := encoded(t, data)
	if string(b) != stored {
		t.Errorf("%T is stored as\n%s; want\n%s", data, b, stored)
	}
	for _, text := range []string{stored, strings.Replace(stored, "{", `{"Newer":{"a":[1,{}]},`, 1)} {
		text = strings.Replace(text, ",}", "}", 1)
		got, err := relay.Decode[D](relay.Event{Data: []byte(text)})
		if err != nil || !reflect.DeepEqual(got, data) {
			t.Errorf("%s is read as %+v, %v; want %+v", text, got, err, data)
		}
	}
}

// The names of the fields and the numbers of the results are in stored journals.
func TestWhatEventsSayIsStoredAsEver(t *testing.T) {
	next := time.Date(2026, 11, 22, 12, 0, 0, 5e6, time.UTC)
	comesBack(t, relay.Submission{
		Account: fred, From: fred,
		Recipients: []mailbox.Address{{Local: "a b", Domain: "x.example"}, {Local: "пётр", Domain: "почта.рф"}},
		Notify:     []relay.Notify{0, relay.NotifySuccess | relay.NotifyDelay},
		Original:   []string{"", "rfc822;a@x.example"},
		EnvelopeID: "QQ314159", FullReturn: true, UTF8: true, EightBit: true, Signed: true, Journalled: true, Octets: 1234,
		HeaderID: "x@example.org", Class: relay.High, Accepted: next, Expires: next.Add(time.Hour),
	}, `{"Account":{"Local":"fred","Domain":"example.org"},"From":{"Local":"fred","Domain":"example.org"},`+
		`"Recipients":[{"Local":"a b","Domain":"x.example"},{"Local":"пётр","Domain":"почта.рф"}],"Notify":"AAo=",`+
		`"Original":["","rfc822;a@x.example"],"EnvelopeID":"QQ314159","FullReturn":true,"UTF8":true,"EightBit":true,"Signed":true,"Journalled":true,`+
		`"Octets":1234,"HeaderID":"x@example.org","Class":1,"Accepted":"2026-11-22T12:00:00.005Z","Expires":"2026-11-22T13:00:00.005Z"}`)
	comesBack(t, relay.AttemptData{Service: "ses"}, `{"Service":"ses"}`)
	comesBack(t, relay.DeferredData{Next: next, Service: "ses", Warned: true, Outcome: relay.Outcome{
		Result: relay.Throttled, Code: 429, Enhanced: "4.7.0", Text: "slow <down>", Until: next,
	}}, `{"Next":"2026-11-22T12:00:00.005Z","Service":"ses","Result":4,"Code":429,"Enhanced":"4.7.0","Text":"slow \u003cdown\u003e",`+
		`"Until":"2026-11-22T12:00:00.005Z","RemoteID":"","Warned":true}`)
	comesBack(t, relay.DeferredData{Next: next, Service: "ses", Unreached: 2, Outcome: relay.Outcome{Result: relay.Transport}},
		`{"Next":"2026-11-22T12:00:00.005Z","Service":"ses","Result":6,"Code":0,"Enhanced":"","Text":"",`+
			`"Until":"0001-01-01T00:00:00Z","RemoteID":"","Unreached":2}`)
	comesBack(t, relay.DeferredData{Next: next, Service: "ses", Untold: true, Outcome: relay.Outcome{Result: relay.BadRecipient}},
		`{"Next":"2026-11-22T12:00:00.005Z","Service":"ses","Result":1,"Code":0,"Enhanced":"","Text":"",`+
			`"Until":"0001-01-01T00:00:00Z","RemoteID":"","Untold":true}`)
	comesBack(t, relay.FailedData{Outcome: relay.Outcome{Result: relay.BadMessage}, Expired: true},
		`{"Result":2,"Code":0,"Enhanced":"","Text":"","Until":"0001-01-01T00:00:00Z","RemoteID":"","Expired":true}`)
	comesBack(t, relay.CancelledData{By: "admin"}, `{"By":"admin"}`)
	comesBack(t, relay.DeliveredData{Service: "ses", Outcome: relay.Outcome{Code: 250, RemoteID: "x1"}},
		`{"Service":"ses","Result":0,"Code":250,"Enhanced":"","Text":"","Until":"0001-01-01T00:00:00Z","RemoteID":"x1"}`)
	for r, n := range map[relay.Result]int{
		relay.Success: 0, relay.BadRecipient: 1, relay.BadMessage: 2, relay.Temporary: 3,
		relay.Throttled: 4, relay.AccountFault: 5, relay.Transport: 6, relay.Ambiguous: 7,
	} {
		if int(r) != n {
			t.Errorf("%s is stored as %d; want %d", r, r, n)
		}
	}
}

func TestDamagedEventsAreToldFromOthers(t *testing.T) {
	whole := string(encoded(t, relay.Submission{Recipients: []mailbox.Address{fred}}))
	for name, text := range map[string]string{
		"nothing":                       "",
		"half":                          whole[:len(whole)/2],
		"more":                          whole + "x",
		"another type":                  `[]`,
		"a number for a text":           strings.Replace(whole, `"fred"`, `7`, 1),
		"no recipients":                 `{}`,
		"fewer of Notify":               strings.Replace(whole, `"Notify":null`, `"Notify":""`, 1),
		"more of Original":              strings.Replace(whole, `"Original":null`, `"Original":["",""]`, 1),
		"what only looks like the form": "\x00" + whole,
	} {
		if s, err := relay.Decode[relay.Submission](relay.Event{Data: []byte(text)}); !errors.Is(err, relay.ErrDamaged) {
			t.Errorf("%s: %+v, %v; want ErrDamaged", name, s, err)
		}
	}
}

func TestAThousandRecipientsFit(t *testing.T) {
	s := relay.Submission{}
	for i := range 1000 {
		s.Recipients = append(s.Recipients, mailbox.Address{Local: fmt.Sprintf("%064d", i), Domain: strings.Repeat("d", 63) + "." + strings.Repeat("e", 63) + ".example"})
		s.Notify = append(s.Notify, relay.NotifyFailure)
		s.Original = append(s.Original, "rfc822;"+strings.Repeat("o", 100))
	}
	if b, err := relay.Encode(s); err != nil {
		t.Errorf("%d octets: %v", len(b), err)
	}
	s.Original[0] = strings.Repeat("o", relay.MaxData)
	if _, err := relay.Encode(s); !errors.Is(err, relay.ErrBatch) {
		t.Errorf("Encode of more than may be = %v; want ErrBatch", err)
	}
}

func TestABatchIsCheckedAtItsLimits(t *testing.T) {
	if err := relay.CheckBatch(make([]relay.Event, relay.MaxBatch)); err != nil {
		t.Error(err)
	}
	if err := relay.CheckBatch([]relay.Event{{Data: bytes.Repeat([]byte{1}, relay.MaxData)}}); err != nil {
		t.Error(err)
	}
	for name, events := range map[string][]relay.Event{
		"events": make([]relay.Event, relay.MaxBatch+1),
		"octets": {{Data: make([]byte, relay.MaxData)}, {Data: make([]byte, relay.MaxContent+1)}},
	} {
		if err := relay.CheckBatch(events); !errors.Is(err, relay.ErrBatch) {
			t.Errorf("more %s than may be: %v; want ErrBatch", name, err)
		}
	}
}
