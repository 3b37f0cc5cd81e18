package mailboxtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing/iotest"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// brokenContents each break a promise of mailbox.Contents.
var brokenContents = map[string]broken{
	"counts one octet too many": {func(s *mailboxtest.Stores) {
		put := s.Contents.Put
		s.Contents = contents{s.Contents, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			n, err := put(ctx, c, r)
			return n + 1, err
		}, nil, nil}
	}, []string{"Contents/content comes back octet for octet", "Model"}},

	"ends early without an error": {func(s *mailboxtest.Stores) {
		reads(s, func(b []byte) []byte { return b[:min(len(b), 128<<10)] })
	}, []string{"Contents/content comes back octet for octet/131073 octets", "Model"}},

	"loses the octet between two parts": {func(s *mailboxtest.Stores) {
		reads(s, func(b []byte) []byte {
			if len(b) <= 256<<10 {
				return b
			}
			return slices.Delete(b, 256<<10, 256<<10+1)
		})
	}, []string{"Contents/content comes back octet for octet/262145 octets"}},

	"swaps two parts": {func(s *mailboxtest.Stores) {
		reads(s, func(b []byte) []byte {
			if len(b) < 256<<10 {
				return b
			}
			return slices.Concat(b[128<<10:256<<10], b[:128<<10], b[256<<10:])
		})
	}, []string{"Contents/content comes back octet for octet/262144 octets"}},

	"settles line ends again": {func(s *mailboxtest.Stores) {
		reads(s, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n.\r\n"), []byte("\r\n..\r\n")) })
	}, []string{"Contents/any octets are content"}},

	"takes a short read for the end": {func(s *mailboxtest.Stores) {
		puts(s, func(r io.Reader) io.Reader {
			b := make([]byte, 64<<10)
			var all []byte
			for {
				n, err := r.Read(b)
				if all = append(all, b[:n]...); err != nil && !errors.Is(err, io.EOF) {
					return io.MultiReader(bytes.NewReader(all), iotest.ErrReader(err))
				}
				if n < len(b) {
					return bytes.NewReader(all)
				}
			}
		})
	}, []string{"Contents/the reader may hand over as little as it likes"}},

	"keeps what came before the reader failed": {func(s *mailboxtest.Stores) {
		inner := s.Contents
		s.Contents = contents{inner, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			b, failed := io.ReadAll(r)
			n, err := inner.Put(ctx, c, bytes.NewReader(b))
			return n, errors.Join(failed, err)
		}, nil, nil}
	}, []string{"Contents/nothing can be opened after the reader failed", "Model"}},

	"hides the reader's error": {func(s *mailboxtest.Stores) {
		put := s.Contents.Put
		s.Contents = contents{s.Contents, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			n, err := put(ctx, c, r)
			if err != nil {
				err = mailbox.ErrUnavailable
			}
			return n, err
		}, nil, nil}
	}, []string{"Contents/nothing can be opened after the reader failed"}},

	"opens what is not committed": {func(s *mailboxtest.Stores) {
		inner := s.Contents
		var uncommitted sync.Map
		s.Contents = contents{inner, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			var parts sliding
			uncommitted.Store(c.ID, &parts)
			defer uncommitted.Delete(c.ID)
			return inner.Put(ctx, c, io.TeeReader(r, &parts))
		}, func(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
			if parts, ok := uncommitted.Load(m.ID); ok {
				return io.NopCloser(bytes.NewReader(parts.(*sliding).bytes())), nil
			}
			return inner.Open(ctx, m)
		}, nil}
	}, []string{"Contents/nothing can be read in part while it is put"}},

	"overwrites when put again": {func(s *mailboxtest.Stores) {
		inner := s.Contents
		var lengths sync.Map
		s.Contents = contents{inner, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			n, err := inner.Put(ctx, c, r)
			if _, again := lengths.LoadOrStore(c.ID, n); again && err == nil {
				n *= 2
			}
			return n, err
		}, nil, nil}
	}, []string{"Contents/putting again is harmless", "Model"}},

	"keeps an id spent by a put that failed": {func(s *mailboxtest.Stores) {
		inner := s.Contents
		var spent sync.Map
		s.Contents = contents{inner, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			if _, failed := spent.Load(c.ID); failed {
				return io.Copy(io.Discard, r)
			}
			n, err := inner.Put(ctx, c, r)
			if err != nil {
				spent.Store(c.ID, true)
			}
			return n, err
		}, nil, nil}
	}, []string{"Contents/what is repeatable is put whole after a Put that failed"}},

	"counts what is put again and keeps what was": {func(s *mailboxtest.Stores) {
		inner := s.Contents
		var known sync.Map
		s.Contents = contents{inner, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			if _, again := known.LoadOrStore(c.ID, true); again {
				return io.Copy(io.Discard, r)
			}
			return inner.Put(ctx, c, r)
		}, nil, nil}
	}, []string{"Contents/what is repeatable is put again with other octets"}},

	"keeps an id spent by a release": {func(s *mailboxtest.Stores) {
		puts := s.Contents
		s.Contents = contents{puts, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			c.Repeatable = false
			return puts.Put(ctx, c, r)
		}, nil, nil}
	}, []string{"Contents/what is repeatable is put again after everyone released it"}},

	"keeps the maildrops of the first Put": {func(s *mailboxtest.Stores) {
		inner := s.Contents
		var first sync.Map
		s.Contents = contents{inner, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			drops, _ := first.LoadOrStore(c.ID, c.Maildrops)
			c.Maildrops = drops.([]mailbox.MaildropID)
			return inner.Put(ctx, c, r)
		}, nil, nil}
	}, []string{"Contents/what is repeatable is put again for more maildrops"}},

	"gives an empty reader for what it does not know": {func(s *mailboxtest.Stores) {
		inner := s.Contents
		s.Contents = contents{inner, nil, func(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
			r, err := inner.Open(ctx, m)
			if errors.Is(err, mailbox.ErrNotFound) {
				return io.NopCloser(strings.NewReader("")), nil
			}
			return r, err
		}, nil}
	}, []string{"Contents/unknown content is not found", "Contents/the only maildrop removes it"}},

	"lets readers share a position": {func(s *mailboxtest.Stores) {
		inner := s.Contents
		var mu sync.Mutex
		readers := make(map[mailbox.MessageID]io.ReadCloser)
		s.Contents = contents{inner, nil, func(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
			mu.Lock()
			defer mu.Unlock()
			r, err := inner.Open(ctx, m)
			if err != nil {
				return nil, err
			}
			if readers[m.ID] == nil {
				readers[m.ID] = &lockedReader{r: r}
			}
			return readers[m.ID], nil
		}, nil}
	}, []string{"Contents/several readers at once each get all of it", "Contents/a reader closed early takes nothing away"}},

	"says not found when the context ended": {func(s *mailboxtest.Stores) {
		inner := s.Contents
		s.Contents = contents{inner, nil, func(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
			if ctx.Err() != nil {
				return nil, mailbox.ErrNotFound
			}
			return inner.Open(ctx, m)
		}, nil}
		addresses := s.Addresses
		s.Addresses = lookups{addresses, func(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
			if ctx.Err() != nil {
				return mailbox.Route{}, mailbox.ErrNotFound
			}
			return addresses.Lookup(ctx, a)
		}}
	}, []string{"Contents/an ended context does not say not found", "Addresses/an ended context does not say not found"}},

	"does not look at its context": {func(s *mailboxtest.Stores) {
		inner, drops := s.Contents, s.Maildrops
		s.Contents = contents{inner, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			return inner.Put(context.WithoutCancel(ctx), c, r)
		}, nil, func(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
			return inner.Release(context.WithoutCancel(ctx), drop, messages...)
		}}
		s.Maildrops = maildrops{drops, nil, nil, func(ctx context.Context, drop mailbox.MaildropID) ([]mailbox.Message, error) {
			return drops.List(context.WithoutCancel(ctx), drop)
		}}
	}, []string{"Contents/nothing can be opened after the context ended", "Contents/a release with an ended context fails", "Maildrops/an ended context fails"}},

	"never lets go of content": {func(s *mailboxtest.Stores) {
		releases(s, func(context.Context, mailbox.Contents, mailbox.MaildropID, []mailbox.Message) error { return nil })
	}, []string{"Contents/the only maildrop removes it", "Model"}},

	"lets go of content at the first release": {func(s *mailboxtest.Stores) {
		var mu sync.Mutex
		drops := make(map[mailbox.MessageID][]mailbox.MaildropID)
		inner := s.Contents
		s.Contents = contents{inner, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			mu.Lock()
			drops[c.ID] = c.Maildrops
			mu.Unlock()
			return inner.Put(ctx, c, r)
		}, nil, func(ctx context.Context, _ mailbox.MaildropID, messages ...mailbox.Message) error {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range messages {
				for _, drop := range drops[m.ID] {
					if err := inner.Release(ctx, drop, m); err != nil {
						return err
					}
				}
			}
			return nil
		}}
	}, []string{"Contents/the last of several maildrops removes it", "Contents/a release by a stranger counts for nothing", "Model"}},

	"counts releases and not who released": {func(s *mailboxtest.Stores) {
		var mu sync.Mutex
		drops := make(map[mailbox.MessageID][]mailbox.MaildropID)
		inner := s.Contents
		s.Contents = contents{inner, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			mu.Lock()
			if drops[c.ID] == nil {
				drops[c.ID] = slices.Clone(c.Maildrops)
			}
			mu.Unlock()
			return inner.Put(ctx, c, r)
		}, nil, func(ctx context.Context, _ mailbox.MaildropID, messages ...mailbox.Message) error {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range messages {
				if left := drops[m.ID]; len(left) > 0 {
					drops[m.ID] = left[1:]
					if err := inner.Release(ctx, left[0], m); err != nil {
						return err
					}
				}
			}
			return nil
		}}
	}, []string{"Contents/a release repeated counts once", "Contents/a release by a stranger counts for nothing", "Model"}},

	"forgets who released when put again": {func(s *mailboxtest.Stores) {
		inner := s.Contents
		var mu sync.Mutex
		released := make(map[mailbox.MessageID]map[mailbox.MaildropID]bool)
		drops := make(map[mailbox.MessageID]int)
		s.Contents = contents{inner, func(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
			mu.Lock()
			released[c.ID], drops[c.ID] = make(map[mailbox.MaildropID]bool), len(c.Maildrops)
			mu.Unlock()
			return inner.Put(ctx, c, r)
		}, nil, func(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range messages {
				if released[m.ID] == nil {
					continue
				}
				if released[m.ID][drop] = true; len(released[m.ID]) < drops[m.ID] {
					continue
				}
				for gone := range released[m.ID] {
					if err := inner.Release(ctx, gone, m); err != nil {
						return err
					}
				}
			}
			return nil
		}}
	}, []string{"Contents/putting again does not forget who released it", "Model"}},

	"stops a release at what it does not know": {func(s *mailboxtest.Stores) {
		releases(s, func(ctx context.Context, inner mailbox.Contents, drop mailbox.MaildropID, messages []mailbox.Message) error {
			for _, m := range messages {
				r, err := inner.Open(ctx, m)
				if err != nil {
					return nil
				}
				if err := errors.Join(r.Close(), inner.Release(ctx, drop, m)); err != nil {
					return err
				}
			}
			return nil
		})
	}, []string{"Contents/a release of what is not there is harmless", "Model"}},

	"releases the first hundred": {func(s *mailboxtest.Stores) {
		releases(s, func(ctx context.Context, inner mailbox.Contents, drop mailbox.MaildropID, messages []mailbox.Message) error {
			return inner.Release(ctx, drop, messages[:min(len(messages), 100)]...)
		})
	}, []string{"Contents/a release of many contents removes each"}},

	"ends early when the content is released while it is read": {func(s *mailboxtest.Stores) {
		inner := s.Contents
		s.Contents = contents{inner, nil, func(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
			r, err := inner.Open(ctx, m)
			if err != nil {
				return nil, err
			}
			return &untilReleased{r, func() bool {
				_, err := inner.Open(ctx, m)
				return err != nil
			}}, nil
		}, nil}
	}, []string{"Contents/a reader whose content is released fails rather than end early"}},
}
