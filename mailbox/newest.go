package mailbox

import (
	"context"
	"slices"
)

// Newest picks from a listing, which is in the order of ids, what Maildrops.Newest
// gives: for a store that has the listing anyway.
func Newest(list []Message, before MessageID, n int) []Message {
	end := len(list)
	if !before.IsZero() {
		end, _ = slices.BinarySearchFunc(list, before, func(m Message, id MessageID) int { return m.ID.Compare(id) })
	}
	begin := max(0, end-max(0, n))
	newest := slices.Clone(list[begin:end])
	slices.Reverse(newest)
	return newest
}

// NewestOnly shows no more than the newest so many messages of each temporary
// maildrop, however many it holds, so that whoever removes those that came before may
// take his time. Until then, one of them takes the place of a newer one that is
// removed. Other maildrops are as they are. With a limit of 0 all are.
func NewestOnly(m Maildrops, limit int) Maildrops {
	if limit <= 0 {
		return m
	}
	return newestOnly{m, limit}
}

type newestOnly struct {
	Maildrops
	limit int
}

func (o newestOnly) List(ctx context.Context, drop MaildropID) ([]Message, error) {
	if !drop.Temporary() {
		return o.Maildrops.List(ctx, drop)
	}
	list, err := o.Maildrops.Newest(ctx, drop, MessageID{}, o.limit)
	slices.Reverse(list)
	return list, err
}

func (o newestOnly) Newest(ctx context.Context, drop MaildropID, before MessageID, n int) ([]Message, error) {
	if !drop.Temporary() {
		return o.Maildrops.Newest(ctx, drop, before, n)
	}
	if before.IsZero() {
		return o.Maildrops.Newest(ctx, drop, before, min(n, o.limit))
	}
	// What is shown is counted from the newest of all, so they are looked at too.
	shown, err := o.Maildrops.Newest(ctx, drop, MessageID{}, o.limit)
	if err != nil {
		return nil, err
	}
	older := slices.DeleteFunc(shown, func(m Message) bool { return m.ID.Compare(before) >= 0 })
	return older[:min(len(older), max(0, n))], nil
}
