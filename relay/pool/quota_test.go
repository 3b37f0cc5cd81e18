package pool

import (
	"testing"
	"time"
)

func TestADayEndsAfterADay(t *testing.T) {
	t.Parallel()
	q, l, now := newQuota(), Limits{PerDay: 10}, time.Unix(1e9, 0)
	for range 10 {
		q.take(l, now, 1)
		now = now.Add(time.Hour)
	}
	if state, _ := q.judge(l, now); state != Throttled {
		t.Errorf("%s after 10 of 10; want throttled", state)
	}
	if state, _ := q.judge(Limits{PerDay: 11}, now); state != Up {
		t.Errorf("%s after 10 of 11; want up", state)
	}
	if now = now.Add(13 * time.Hour); q.day.sum(now)[0] != 10 {
		t.Errorf("%d of 10 count after 23 hours", q.day.sum(now)[0])
	}
	now = now.Add(time.Hour)
	if state, _ := q.judge(l, now); state != Up {
		t.Errorf("%s when the first hour is a day ago; want up", state)
	}
}
