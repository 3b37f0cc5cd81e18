package pooltest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay/pool"
)

func TestShared(t *testing.T) {
	t.Parallel()
	Shared(t, func(*testing.T) pool.Shared { return NewMemory() })
}

func TestMemoryForgetsWhatIsKeptForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		put(t, m, pool.Register{Key: "k", Version: 1, Kept: time.Hour})
		time.Sleep(time.Hour + time.Second)
		if _, err := m.Get(t.Context(), "k"); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("%v; want ErrNotFound", err)
		}
	})
}

func TestMemoryFailsAsItIsTold(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	m.Fail(errors.New("away"))
	if _, err := m.All(t.Context()); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("%v; want ErrUnavailable", err)
	}
	m.Fail(nil)
	if _, err := m.All(t.Context()); err != nil {
		t.Error(err)
	}
}
