package relay

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
)

// maxLists is how many accounts have a list in memory.
const maxLists = 1000

// MaxSuppressed is how many recipients a list in memory holds. In a full one the next
// takes the place of what ends first.
const MaxSuppressed = 10_000

// NewSuppressions are lists in memory, which end with the process.
func NewSuppressions() Suppressions {
	return &suppressions{lists: make(map[mailbox.Address]map[mailbox.Address]Suppression)}
}

type suppressions struct {
	mu    sync.Mutex
	lists map[mailbox.Address]map[mailbox.Address]Suppression
}

func (m *suppressions) Suppress(_ context.Context, account mailbox.Address, s Suppression) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.lists[account]
	if list == nil {
		if len(m.lists) >= maxLists {
			m.forgetSmallest()
		}
		list = make(map[mailbox.Address]Suppression)
		m.lists[account] = list
	}
	if _, known := list[s.Address]; !known && len(list) >= MaxSuppressed {
		first := slices.MinFunc(slices.Collect(maps.Values(list)), func(a, b Suppression) int { return a.Until.Compare(b.Until) })
		delete(list, first.Address)
	}
	list[s.Address] = s
	return nil
}

// forgetSmallest makes room for the list of another account.
func (m *suppressions) forgetSmallest() {
	smallest := slices.MinFunc(slices.Collect(maps.Keys(m.lists)), func(a, b mailbox.Address) int {
		return len(m.lists[a]) - len(m.lists[b])
	})
	delete(m.lists, smallest)
}

func (m *suppressions) Suppressed(_ context.Context, account mailbox.Address, at time.Time, addresses []mailbox.Address) ([]Suppression, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Suppression
	seen := make(map[mailbox.Address]bool)
	for _, a := range addresses {
		if s, ok := m.lists[account][a]; ok && at.Before(s.Until) && !seen[a] {
			seen[a] = true
			found = append(found, s)
		}
	}
	return found, nil
}

func (m *suppressions) List(_ context.Context, account mailbox.Address, at time.Time) iter.Seq2[Suppression, error] {
	return func(yield func(Suppression, error) bool) {
		m.mu.Lock()
		maps.DeleteFunc(m.lists[account], func(_ mailbox.Address, s Suppression) bool { return !at.Before(s.Until) })
		list := slices.Collect(maps.Values(m.lists[account]))
		m.mu.Unlock()
		for _, s := range list {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func (m *suppressions) Allow(_ context.Context, account, address mailbox.Address) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.lists[account], address)
	if len(m.lists[account]) == 0 {
		delete(m.lists, account)
	}
	return nil
}
