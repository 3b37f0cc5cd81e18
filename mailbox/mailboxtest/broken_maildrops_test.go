package mailboxtest_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// brokenMaildrops each break a promise of mailbox.Maildrops.
var brokenMaildrops = map[string]broken{
	"forgets a removal that comes first": {func(s *mailboxtest.Stores) {
		removes(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, messages []mailbox.Message) error {
			list, err := inner.List(ctx, drop)
			if err != nil {
				return err
			}
			return inner.Remove(ctx, drop, slices.DeleteFunc(slices.Clone(messages), func(m mailbox.Message) bool { return !has(list, m) })...)
		})
	}, []string{"Maildrops/a removal that comes first wins", "Model"}},

	"lists again what is added late": {func(s *mailboxtest.Stores) {
		s.Maildrops = new(forgetful)
	}, []string{"Maildrops/a late addition stays removed", "Model"}},

	"lists in the order of arrival": {func(s *mailboxtest.Stores) {
		inner := s.Maildrops
		var mu sync.Mutex
		arrival := make(map[mailbox.MessageID]int)
		s.Maildrops = maildrops{inner, func(ctx context.Context, entries []mailbox.Entry) error {
			mu.Lock()
			for _, e := range entries {
				if _, again := arrival[e.Message.ID]; !again {
					arrival[e.Message.ID] = len(arrival)
				}
			}
			mu.Unlock()
			return inner.Add(ctx, entries)
		}, nil, func(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
			list, err := inner.List(ctx, drop)
			mu.Lock()
			defer mu.Unlock()
			slices.SortFunc(list, func(a, b mailbox.Message) int { return arrival[a.ID] - arrival[b.ID] })
			return list, err
		}}
	}, []string{"Maildrops/messages are in the order of their ids", "Model"}},

	"orders octets without their sign": {func(s *mailboxtest.Stores) {
		lists(s, func(list []mailbox.Message) []mailbox.Message {
			slices.SortFunc(list, func(a, b mailbox.Message) int {
				if !a.ID.Time().Equal(b.ID.Time()) {
					return a.ID.Time().Compare(b.ID.Time())
				}
				return bytes.Compare(a.ID[8:], b.ID[8:])
			})
			return list
		})
	}, []string{"Maildrops/messages of one time are in the order of signed octets", "Model"}},

	"orders ids as text": {func(s *mailboxtest.Stores) {
		lists(s, func(list []mailbox.Message) []mailbox.Message {
			slices.SortFunc(list, func(a, b mailbox.Message) int { return bytes.Compare(a.ID[:], b.ID[:]) })
			return list
		})
	}, []string{"Maildrops/messages of one time are in the order of signed octets"}},

	"lists a page": {func(s *mailboxtest.Stores) {
		lists(s, func(list []mailbox.Message) []mailbox.Message { return list[:min(len(list), 100)] })
	}, []string{"Maildrops/thousands of messages are listed and removed"}},

	"loses the size": {func(s *mailboxtest.Stores) {
		lists(s, func(list []mailbox.Message) []mailbox.Message {
			for i := range list {
				list[i].Octets = int64(int32(list[i].Octets))
			}
			return list
		})
	}, []string{"Maildrops/what was added is in the next list"}},

	"lists twice what is added again": {func(s *mailboxtest.Stores) {
		inner := s.Maildrops
		var mu sync.Mutex
		added := make(map[mailbox.Entry]int)
		s.Maildrops = maildrops{inner, func(ctx context.Context, entries []mailbox.Entry) error {
			mu.Lock()
			for _, e := range entries {
				added[mailbox.Entry{Maildrop: e.Maildrop, Message: mailbox.Message{ID: e.Message.ID}}]++
			}
			mu.Unlock()
			return inner.Add(ctx, entries)
		}, nil, func(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
			list, err := inner.List(ctx, drop)
			mu.Lock()
			defer mu.Unlock()
			var twice []mailbox.Message
			for _, m := range list {
				for range added[mailbox.Entry{Maildrop: drop, Message: mailbox.Message{ID: m.ID}}] {
					twice = append(twice, m)
				}
			}
			return twice, err
		}}
	}, []string{"Maildrops/a message added again is listed once", "Model"}},

	"adds the first entry": {func(s *mailboxtest.Stores) {
		adds(s, func(ctx context.Context, inner mailbox.Maildrops, entries []mailbox.Entry) error {
			return inner.Add(ctx, entries[:min(len(entries), 1)])
		})
	}, []string{"Maildrops/many entries in one addition are all listed", "Model"}},

	"adds every entry to the first maildrop": {func(s *mailboxtest.Stores) {
		adds(s, func(ctx context.Context, inner mailbox.Maildrops, entries []mailbox.Entry) error {
			entries = slices.Clone(entries)
			for i := range entries {
				entries[i].Maildrop = entries[0].Maildrop
			}
			return inner.Add(ctx, entries)
		})
	}, []string{"Maildrops/many entries in one addition are all listed", "Model"}},

	"keeps maildrops by half of their id": {func(s *mailboxtest.Stores) {
		inner := s.Maildrops
		half := func(drop mailbox.MaildropID) mailbox.MaildropID {
			return mailbox.MaildropID(append(drop[:8:8], make([]byte, 8)...))
		}
		s.Maildrops = maildrops{inner, func(ctx context.Context, entries []mailbox.Entry) error {
			entries = slices.Clone(entries)
			for i := range entries {
				entries[i].Maildrop = half(entries[i].Maildrop)
			}
			return inner.Add(ctx, entries)
		}, func(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
			return inner.Remove(ctx, half(drop), messages...)
		}, func(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
			return inner.List(ctx, half(drop))
		}}
	}, []string{"Maildrops/two maildrops do not mix"}},

	"removes from every maildrop": {func(s *mailboxtest.Stores) {
		inner := s.Maildrops
		var drops sync.Map
		s.Maildrops = maildrops{inner, func(ctx context.Context, entries []mailbox.Entry) error {
			for _, e := range entries {
				drops.Store(e.Maildrop, true)
			}
			return inner.Add(ctx, entries)
		}, func(ctx context.Context, _ mailbox.MaildropID, messages ...mailbox.Message) error {
			for drop := range drops.Range {
				if err := inner.Remove(ctx, drop.(mailbox.MaildropID), messages...); err != nil {
					return err
				}
			}
			return nil
		}, nil}
	}, []string{"Maildrops/a removal in one maildrop leaves the message in another", "Model"}},

	"lists no content": {func(s *mailboxtest.Stores) {
		lists(s, func(list []mailbox.Message) []mailbox.Message {
			for i := range list {
				list[i].Inline = ""
			}
			return list
		})
	}, []string{"Inline/what is listed comes back octet for octet"}},

	"looks at the newest without their content": {func(s *mailboxtest.Stores) {
		looks(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
			list, err := inner.Newest(ctx, drop, before, n)
			for i := range list {
				list[i].Inline = ""
			}
			return list, err
		})
	}, []string{"Inline/what is listed comes back octet for octet", "Inline/writers at the same time each see what they wrote"}},

	"lists the content of another message": {func(s *mailboxtest.Stores) {
		lists(s, func(list []mailbox.Message) []mailbox.Message {
			for i := range list {
				list[i].Inline = list[0].Inline
			}
			return list
		})
	}, []string{"Inline/a message added again is listed once", "Inline/thousands of messages are seen page by page"}},

	"removes the first of several": {func(s *mailboxtest.Stores) {
		removes(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, messages []mailbox.Message) error {
			return inner.Remove(ctx, drop, messages[:min(len(messages), 1)]...)
		})
	}, []string{"Maildrops/thousands of messages are listed and removed", "Model"}},

	"removes the whole range": {func(s *mailboxtest.Stores) {
		removes(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, messages []mailbox.Message) error {
			if len(messages) == 0 {
				return nil
			}
			byID := func(a, b mailbox.Message) int { return a.ID.Compare(b.ID) }
			first, last := slices.MinFunc(messages, byID), slices.MaxFunc(messages, byID)
			list, err := inner.List(ctx, drop)
			for _, m := range list {
				if byID(first, m) <= 0 && byID(m, last) <= 0 {
					messages = append(messages[:len(messages):len(messages)], m)
				}
			}
			return errors.Join(err, inner.Remove(ctx, drop, messages...))
		})
	}, []string{"Maildrops/a removal takes only what was named", "Model"}},

	"removes only what came from a list": {func(s *mailboxtest.Stores) {
		s.Maildrops = placed{s.Maildrops, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, m mailbox.Message) error {
			if m.Place == (mailbox.Place{}) {
				return nil
			}
			return inner.Remove(ctx, drop, m)
		}}
	}, []string{"Maildrops/a removed message is gone and the others stay/by id", "Model"}},

	"removes what stands at the place by now": {func(s *mailboxtest.Stores) {
		s.Maildrops = placed{s.Maildrops, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, m mailbox.Message) error {
			if m.Place == (mailbox.Place{}) {
				return inner.Remove(ctx, drop, m)
			}
			list, err := inner.List(ctx, drop)
			if n := int(m.Place.Ord) - 1; err == nil && n < len(list) {
				return inner.Remove(ctx, drop, list[n])
			}
			return err
		}}
	}, []string{"Maildrops/a removal may be repeated/by its place", "Model"}},

	"fails to remove what is not there": {func(s *mailboxtest.Stores) {
		removes(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, messages []mailbox.Message) error {
			list, err := inner.List(ctx, drop)
			for _, m := range messages {
				if !has(list, m) {
					err = mailbox.ErrNotFound
				}
			}
			return errors.Join(inner.Remove(ctx, drop, messages...), err)
		})
	}, []string{"Maildrops/a removal of what is not there is harmless", "Maildrops/a removal may be repeated", "Model"}},

	"writes behind": {func(s *mailboxtest.Stores) {
		inner := s.Maildrops
		var mu sync.Mutex
		var behind []func() // writes that the next list does not see
		s.Maildrops = maildrops{inner, func(ctx context.Context, entries []mailbox.Entry) error {
			entries = slices.Clone(entries)
			mu.Lock()
			defer mu.Unlock()
			behind = append(behind, func() { _ = inner.Add(context.WithoutCancel(ctx), entries) })
			return nil
		}, nil, func(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
			mu.Lock()
			defer mu.Unlock()
			list, err := inner.List(ctx, drop)
			for _, write := range behind {
				write()
			}
			behind = nil
			return list, err
		}}
	}, []string{"Maildrops/what was added is in the next list", "Maildrops/writers at the same time each see what they wrote", "Model"}},

	"loses additions at the same time": {func(s *mailboxtest.Stores) {
		meet := make(chan struct{})
		adds(s, func(ctx context.Context, inner mailbox.Maildrops, entries []mailbox.Entry) error {
			if meetAnother(meet) {
				return nil // overwritten by the other
			}
			return inner.Add(ctx, entries)
		})
	}, []string{"Maildrops/writers at the same time each see what they wrote"}},

	"changes a list that it gave away": {func(s *mailboxtest.Stores) {
		inner := s.Maildrops
		var mu sync.Mutex
		given := make(map[mailbox.MaildropID][]mailbox.Message)
		s.Maildrops = maildrops{inner, nil, nil, func(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
			list, err := inner.List(ctx, drop)
			mu.Lock()
			defer mu.Unlock()
			given[drop] = append(given[drop][:0], list...)
			return given[drop], err
		}}
	}, []string{"Maildrops/a list does not change under its holder", "Model"}},

	"lists what has expired": {func(s *mailboxtest.Stores) {
		inner := s.Maildrops
		var expires sync.Map
		s.Maildrops = maildrops{inner, func(ctx context.Context, entries []mailbox.Entry) error {
			entries = slices.Clone(entries)
			for i, e := range entries {
				expires.Store(e.Message.ID, e.Message.Expires)
				entries[i].Message.Expires = time.Time{}
			}
			return inner.Add(ctx, entries)
		}, nil, func(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
			list, err := inner.List(ctx, drop)
			for i, m := range list {
				at, _ := expires.Load(m.ID)
				list[i].Expires = at.(time.Time)
			}
			return list, err
		}}
	}, []string{"Maildrops/a message that has expired is left out", "Maildrops/a message that expires leaves the list", "Model"}},

	"hides what will expire": {func(s *mailboxtest.Stores) {
		lists(s, func(list []mailbox.Message) []mailbox.Message {
			return slices.DeleteFunc(list, func(m mailbox.Message) bool { return !m.Expires.IsZero() })
		})
	}, []string{"Maildrops/a message that expires later is listed", "Model"}},

	"forgets when a message expires": {func(s *mailboxtest.Stores) {
		lists(s, func(list []mailbox.Message) []mailbox.Message {
			for i := range list {
				list[i].Expires = time.Time{}
			}
			return list
		})
	}, []string{"Maildrops/a message that expires later is listed", "Model"}},

	"has the newest last": {func(s *mailboxtest.Stores) {
		looks(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
			newest, err := inner.Newest(ctx, drop, before, n)
			slices.Reverse(newest)
			return newest, err
		})
	}, []string{"Maildrops/the newest come first, as many as asked for", "Model"}},

	"has the oldest for the newest": {func(s *mailboxtest.Stores) {
		looks(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
			all, err := inner.Newest(ctx, drop, before, 1<<20)
			return all[max(0, len(all)-max(0, n)):], err
		})
	}, []string{"Maildrops/the newest come first, as many as asked for", "Model"}},

	"has all for the newest": {func(s *mailboxtest.Stores) {
		looks(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, _ int) ([]mailbox.Message, error) {
			return inner.Newest(ctx, drop, before, 1<<20)
		})
	}, []string{"Maildrops/the newest come first, as many as asked for", "Maildrops/thousands of messages are seen page by page", "Model"}},

	"has the bound among the newest": {func(s *mailboxtest.Stores) {
		looks(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
			all, err := inner.Newest(ctx, drop, mailbox.MessageID{}, 1<<20)
			all = slices.DeleteFunc(all, func(m mailbox.Message) bool { return !before.IsZero() && m.ID.Compare(before) > 0 })
			return all[:min(len(all), max(0, n))], err
		})
	}, []string{"Maildrops/the newest before a bound are below it", "Maildrops/thousands of messages are seen page by page", "Model"}},

	"loses its place when the bound is removed": {func(s *mailboxtest.Stores) {
		looks(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
			if list, err := inner.List(ctx, drop); err != nil || !before.IsZero() && !has(list, mailbox.Message{ID: before}) {
				return nil, err
			}
			return inner.Newest(ctx, drop, before, n)
		})
	}, []string{"Maildrops/a bound need not be listed"}},

	"bounds the newest by time": {func(s *mailboxtest.Stores) {
		looks(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
			all, err := inner.Newest(ctx, drop, mailbox.MessageID{}, 1<<20)
			all = slices.DeleteFunc(all, func(m mailbox.Message) bool { return !before.IsZero() && !m.ID.Time().Before(before.Time()) })
			return all[:min(len(all), max(0, n))], err
		})
	}, []string{"Maildrops/messages of one time are in the order of signed octets", "Model"}},

	"counts the expired among the newest": {func(s *mailboxtest.Stores) {
		inner := s.Maildrops
		var expired sync.Map
		add := maildrops{inner, func(ctx context.Context, entries []mailbox.Entry) error {
			for _, e := range entries {
				if !e.Message.Expires.IsZero() {
					expired.Store(e.Message.ID, e.Message.Expires)
				}
			}
			return inner.Add(ctx, entries)
		}, nil, nil}
		s.Maildrops = newests{add, func(ctx context.Context, _ mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
			for _, at := range expired.Range {
				if !time.Now().Before(at.(time.Time)) {
					n--
				}
			}
			return inner.Newest(ctx, drop, before, n)
		}}
	}, []string{"Maildrops/a message that has expired is left out", "Model"}},

	"shares the newest with its callers": {func(s *mailboxtest.Stores) {
		var mu sync.Mutex
		given := make(map[mailbox.MaildropID][]mailbox.Message)
		looks(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
			newest, err := inner.Newest(ctx, drop, before, n)
			mu.Lock()
			defer mu.Unlock()
			if len(given[drop]) == len(newest) {
				return given[drop], err
			}
			given[drop] = newest
			return newest, err
		})
	}, []string{"Maildrops/the newest belong to the caller"}},

	"looks at the newest behind": {func(s *mailboxtest.Stores) {
		var mu sync.Mutex
		seen := make(map[mailbox.MaildropID]int)
		looks(s, func(ctx context.Context, inner mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
			mu.Lock()
			defer mu.Unlock()
			all, err := inner.Newest(ctx, drop, mailbox.MessageID{}, 1<<20)
			late := len(all) > seen[drop]
			seen[drop] = len(all)
			newest, err2 := inner.Newest(ctx, drop, before, n)
			if late && len(newest) > 0 {
				newest = newest[1:]
			}
			return newest, errors.Join(err, err2)
		})
	}, []string{"Maildrops/what was added is in the next list", "Model"}},
}
