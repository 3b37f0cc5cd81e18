package cassandra

import (
	"testing"
	"time"

	"restante/mailbox"
)

// What is in the clusters of others was put where this says.
func TestTheShardOfAnAddressNeverChanges(t *testing.T) {
	t.Parallel()
	for local, want := range map[string]int16{"": 5, "fred": 8, "wilma": 1, "a b": 50, "пётр": 4} {
		if got := shardOf(mailbox.Address{Local: local, Domain: "example.org"}); got != want {
			t.Errorf("%q is in shard %d, want %d", local, got, want)
		}
	}
}

func TestAnAddressIsRememberedAsLongAsItsLifeNumberMatters(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	endsIn := func(d time.Duration) mailbox.Route {
		return mailbox.Route{Kind: mailbox.Temporary, Expires: now.Add(d)}
	}
	for _, c := range []struct {
		name string
		old  addressCell
		new  mailbox.Route
		want time.Duration
	}{
		{"a new account", addressCell{}, mailbox.Route{Kind: mailbox.Account}, 0},
		{"a new temporary address", addressCell{}, endsIn(day), 31 * day},
		{"one that has ended already", addressCell{}, endsIn(-day), 30 * day},
		{"one without an end", addressCell{}, mailbox.Route{Kind: mailbox.Temporary}, 0},
		{"one that ends in many years", addressCell{}, endsIn(20 * 365 * day), 0},
		{"one that ends sooner than another did", addressCell{1, 86400 * 50}, endsIn(day), 50 * day},
		{"where an account was", addressCell{1, 0}, endsIn(day), 0},
		{"a temporary address that is removed", addressCell{1, 86400 * 31}, mailbox.Route{Kind: mailbox.Vacant}, 31 * day},
		{"an account that is removed", addressCell{1, 0}, mailbox.Route{Kind: mailbox.Vacant}, 0},
		{"an account where a temporary address was", addressCell{1, 86400 * 31}, mailbox.Route{Kind: mailbox.Account}, 0},
	} {
		if got := time.Duration(c.old.ttlFor(c.new, now)) * time.Second; got != c.want {
			t.Errorf("%s is kept for %v, want %v", c.name, got, c.want)
		}
	}
}

func TestEachRouteOfAProcessIsWrittenLaterThanTheLast(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a := &addresses{session: &session{options: Options{Now: func() time.Time { return now }}}}
	first := a.after(0)
	if first != writeTime(now.UnixMicro()) {
		t.Errorf("the first at %d, want now", first)
	}
	now = now.Add(-time.Hour) // the clock is set
	second := a.after(0)
	if second <= first {
		t.Errorf("%d, then %d", first, second)
	}
	ahead := second + 1e9 // written by a process whose clock is ahead
	if third := a.after(ahead); third <= ahead {
		t.Errorf("%d, after %d was seen", third, ahead)
	}
}
