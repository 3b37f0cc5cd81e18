package embedded

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"restante/mailbox"
)

// putRepeatable puts a content that may be put again.
func putRepeatable(t *testing.T, s *Store, id mailbox.MessageID, content string, expires time.Time, drops ...mailbox.MaildropID) {
	t.Helper()
	c := mailbox.Content{ID: id, Maildrops: drops, Expires: expires, Repeatable: true}
	if n, err := s.Contents().Put(t.Context(), c, strings.NewReader(content)); err != nil || n != int64(len(content)) {
		t.Fatalf("Put = %d, %v; want %d", n, err, len(content))
	}
}

func TestARepeatForMoreMaildropsLeavesNothingWhenAllHaveReleasedIt(t *testing.T) {
	for _, size := range []int{0, 100, smallBuffer + 1, 3 * partSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s, clock, ids := sweepable(t)
			id, content := ids.Next(), strings.Repeat("x", size)
			putRepeatable(t, s, id, content, clock.now.Add(time.Hour), mailbox.MaildropID{1})
			putRepeatable(t, s, id, content, clock.now.Add(2*time.Hour), mailbox.MaildropID{2}, mailbox.MaildropID{3})
			for drop := range byte(3) {
				if err := reads(t.Context(), s, id, []byte(content)); err != nil {
					t.Errorf("before the release of %d: %v", drop+1, err)
				}
				if err := s.Contents().Release(t.Context(), mailbox.MaildropID{drop + 1}, mailbox.Message{ID: id}); err != nil {
					t.Fatal(err)
				}
			}
			clock.now = clock.now.Add(2 * orphanAge) // after which nothing is watched
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := allKeys(t, s); n != 0 {
				t.Errorf("%d keys are left", n)
			}
		})
	}
}

func TestARepeatKeepsContentForWhoeverNeedsItLongest(t *testing.T) {
	const hour = time.Hour
	for name, lives := range map[string][]time.Duration{ // zero: for ever
		"the second":           {hour, 3 * hour},
		"the first":            {3 * hour, hour},
		"the second, for ever": {hour, 0},
		"the first, for ever":  {0, hour},
	} {
		t.Run(name, func(t *testing.T) {
			s, clock, ids := sweepable(t)
			id := ids.Next()
			for n, life := range lives {
				expires := time.Time{}
				if life > 0 {
					expires = clock.now.Add(life)
				}
				putRepeatable(t, s, id, "content", expires, mailbox.MaildropID{byte(n + 1)})
			}
			for _, after := range []time.Duration{2 * hour, 4 * hour} {
				clock.now = id.Time().Add(after)
				if _, err := s.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				err := reads(t.Context(), s, id, []byte("content"))
				if kept := after < 3*hour || lives[0] == 0 || lives[1] == 0; kept != (err == nil) {
					t.Errorf("after %v, that it is kept should be %v: %v", after, kept, err)
				}
			}
		})
	}
}
