package cassandra

import (
	"context"
	"errors"
	"sync"

	"restante/mailbox"
)

// What a majority in every data centre does not have may be on one replica: two nodes of
// three took it, and then one of the two lost its disk and was filled from the third. So
// before a round deletes something because something else is nowhere, it asks every
// replica. Where one of them cannot answer, that is left as it is, for the next round.

// nowhere are those of a list that no replica has, as far as all of them answer.
func nowhere[T any](ctx context.Context, r *round, list []T, has func(context.Context, T) (bool, error)) ([]T, error) {
	var mu sync.Mutex
	var gone []T
	err := each(ctx, r, roundReads, list, func(ctx context.Context, item T) error {
		there, err := has(ctx, item)
		if err == nil && !there {
			mu.Lock()
			defer mu.Unlock()
			gone = append(gone, item)
		}
		return r.orLeave(ctx, err)
	})
	return gone, err
}

// orLeave is an error, unless it says that some replica did not answer.
func (r *round) orLeave(ctx context.Context, err error) error {
	if !errors.Is(err, mailbox.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	r.left.Add(1)
	r.session.options.Log.Debug("left as it is", "task", r.name, "err", err)
	return nil
}

// committedAnywhere reports whether any replica has the commit record of a content.
func (r *round) committedAnywhere(ctx context.Context, id mailbox.MessageID) (bool, error) {
	drops, err := r.recipientsAt(ctx, everyReplica, id)
	return len(drops) > 0, err
}

// storedAnywhere reports whether any replica has the content of a line.
func (r *round) storedAnywhere(ctx context.Context, l line) (bool, error) {
	if stored, err := r.committedAnywhere(ctx, l.message.ID); stored || err != nil {
		return stored, err
	}
	return r.keptWith(ctx, everyReplica, l)
}
