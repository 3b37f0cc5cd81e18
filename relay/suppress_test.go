package relay_test

import (
	"fmt"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/relaytest"
)

func TestListsOfSuppressedRecipientsInMemory(t *testing.T) {
	relaytest.Suppressions(t, func(*testing.T) relay.Suppressions { return relay.NewSuppressions() })
}

func TestAFullListInMemoryForgetsWhatEndsFirst(t *testing.T) {
	list, now := relay.NewSuppressions(), time.Now()
	for n := range relay.MaxSuppressed + 2 {
		a := mailbox.Address{Local: fmt.Sprint(n), Domain: "example.com"}
		if err := list.Suppress(t.Context(), fred, relay.Suppression{Address: a, Until: now.Add(time.Duration(n+1) * time.Second)}); err != nil {
			t.Fatal(err)
		}
	}
	listed := make(map[string]bool)
	for s, err := range list.List(t.Context(), fred, now) {
		if err != nil {
			t.Fatal(err)
		}
		listed[s.Address.Local] = true
	}
	if len(listed) != relay.MaxSuppressed || listed["0"] || listed["1"] {
		t.Errorf("%d are listed, and those that end first: %v, %v; want %d and neither", len(listed), listed["0"], listed["1"], relay.MaxSuppressed)
	}
}

func TestAnAddressIsSuppressedWhereThereIsNoSuchMailbox(t *testing.T) {
	for _, c := range []struct {
		outcome relay.Outcome
		want    bool
	}{
		{relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.1.1"}, true},
		{relay.Outcome{Result: relay.BadRecipient, Code: 554, Enhanced: "5.1.10"}, true},
		{relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.1.2"}, true},
		{relay.Outcome{Result: relay.BadRecipient, Code: 550}, false}, // many say so to whom they take for a sender of spam
		{relay.Outcome{Result: relay.BadRecipient, Code: 551}, false},
		{relay.Outcome{Result: relay.BadRecipient, Code: 553, Enhanced: "5.0.0"}, false},
		{relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.1.0"}, false},
		{relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.1.7"}, false}, // the sender
		{relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.7.1"}, false}, // not wanted there
		{relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.2.2"}, false}, // full
		{relay.Outcome{Result: relay.BadRecipient, Code: 554}, false},
		{relay.Outcome{Result: relay.BadMessage, Code: 550}, false},
		{relay.Outcome{Result: relay.AccountFault, Code: 553, Enhanced: "5.1.8"}, false},
	} {
		o := newOffice()
		n := o.failure()
		n.Recipients[0].Outcome, n.Submission.Notify = c.outcome, []relay.Notify{relay.NotifyNever}
		if err := o.notifier.Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		found, err := o.suppressed.Suppressed(t.Context(), fred, o.now.Add(relay.SuppressedFor-1), n.Submission.Recipients)
		if err != nil || (len(found) == 1) != c.want {
			t.Errorf("%+v: suppressed %v, %v; want %v", c.outcome, found, err, c.want)
		}
		if found, err := o.suppressed.Suppressed(t.Context(), fred, o.now.Add(relay.SuppressedFor), n.Submission.Recipients); err != nil || len(found) > 0 {
			t.Errorf("%+v: suppressed for longer than %v: %v, %v", c.outcome, relay.SuppressedFor, found, err)
		}
	}
}

func TestNobodyIsSuppressedForADelayOrForLackOfTime(t *testing.T) {
	o := newOffice()
	delayed, expired := o.failure(), o.failure()
	delayed.Action, expired.Expired = relay.ActionDelayed, true
	for _, n := range []relay.Notice{delayed, expired} {
		if err := o.notifier.Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	found, err := o.suppressed.Suppressed(t.Context(), fred, o.now, []mailbox.Address{{Local: "barney", Domain: "example.com"}})
	if err != nil || len(found) > 0 {
		t.Errorf("suppressed %v, %v", found, err)
	}
}
