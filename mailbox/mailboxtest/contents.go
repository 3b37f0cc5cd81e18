package mailboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"restante/mailbox"
)

// Contents is the suite of the same name with these options.
func (o Options) Contents(t *testing.T, open func(t *testing.T) mailbox.Contents) {
	s := contentsSuite{o.withDefaults(), open(t)}
	t.Run("content comes back octet for octet", s.comesBack)
	t.Run("any octets are content", s.anyOctets)
	t.Run("the reader may hand over as little as it likes", s.smallReads)
	t.Run("the content may be read as slowly as one likes", s.slowReads)
	t.Run("nothing can be opened after the reader failed", s.readerFails)
	t.Run("nothing can be opened after the context ended", s.contextEnds)
	t.Run("nothing can be read in part while it is put", s.readWhilePut)
	t.Run("putting again is harmless", s.putAgain)
	t.Run("what is repeatable is put whole after a Put that failed", s.repeatFailed)
	t.Run("what is repeatable is put again with other octets", s.repeatOther)
	t.Run("what is repeatable is put again after everyone released it", s.repeatReleased)
	t.Run("what is repeatable is put again for more maildrops", s.repeatForMore)
	t.Run("puts at the same time do not mix", s.putAtOnce)
	t.Run("content until it expires can be opened", s.expiresLater)
	t.Run("unknown content is not found", s.unknown)
	t.Run("an ended context does not say not found", s.openEnded)
	t.Run("several readers at once each get all of it", s.severalReaders)
	t.Run("a reader closed early takes nothing away", s.closedEarly)
	t.Run("a reader whose content is released fails rather than end early", s.releasedWhileRead)
	t.Run("the only maildrop removes it", s.releasedByOne)
	t.Run("the last of several maildrops removes it", s.releasedByAll)
	t.Run("the last of several maildrops at once removes it", s.releasedAtOnce)
	t.Run("a release repeated counts once", s.releasedTwice)
	t.Run("a release by a stranger counts for nothing", s.releasedByStranger)
	t.Run("a release of what is not there is harmless", s.releasedUnknown)
	t.Run("a release of many contents removes each", s.releasedMany)
	t.Run("a release with an ended context fails", s.releaseEnded)
	t.Run("putting again does not forget who released it", s.putAgainAfterRelease)
}

type contentsSuite struct {
	Options
	store mailbox.Contents
}

// sizes at which a store may err: nothing, and around the sizes that parts of
// a content are likely to have.
func (s contentsSuite) sizes() []int {
	sizes := []int{0, 1, 2, 1000, s.Large}
	for _, part := range []int{64 << 10, 128 << 10, 256 << 10, 1 << 20} {
		sizes = append(sizes, part-1, part, part+1)
	}
	return sizes
}

func (s contentsSuite) comesBack(t *testing.T) {
	for _, size := range s.sizes() {
		t.Run(fmt.Sprintf("%d octets", size), func(t *testing.T) {
			s.holds(t, s.put(t, octets(size, uint64(size)), newDrop()), octets(size, uint64(size)))
		})
	}
}

func (s contentsSuite) anyOctets(t *testing.T) {
	for _, sample := range Samples() {
		t.Run(sample.Name, func(t *testing.T) {
			s.holds(t, s.put(t, sample.Octets, newDrop()), sample.Octets)
		})
	}
}

func (s contentsSuite) smallReads(t *testing.T) {
	want := octets(256<<10+1, 1)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"one octet at a time":       iotest.OneByteReader,
		"half of what is asked for": iotest.HalfReader,
		"the last octets with EOF":  iotest.DataErrReader,
		"nothing every second time": emptyReads,
		"nothing but Read":          func(r io.Reader) io.Reader { return struct{ io.Reader }{r} },
	} {
		t.Run(name, func(t *testing.T) {
			c := mailbox.Content{ID: ids.Next(), Maildrops: newDrops(1)}
			n, err := s.store.Put(t.Context(), c, wrap(bytes.NewReader(want)))
			if err != nil || n != int64(len(want)) {
				t.Fatalf("Put = %d, %v; want %d", n, err, len(want))
			}
			s.holds(t, c.ID, want)
		})
	}
}

// emptyReads is a reader that now and then has nothing yet, as io.Reader allows.
func emptyReads(r io.Reader) io.Reader {
	empty := false
	return readerFunc(func(p []byte) (int, error) {
		if empty = !empty; empty {
			return 0, nil
		}
		return r.Read(p)
	})
}

func (s contentsSuite) slowReads(t *testing.T) {
	want := octets(256<<10+1, 2)
	r, err := s.store.Open(t.Context(), mailbox.Message{ID: s.put(t, want, newDrop())})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(iotest.OneByteReader(r))
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d octets, %v; want the %d that were put", len(got), err, len(want))
	}
}

func (s contentsSuite) readerFails(t *testing.T) {
	broken := errors.New("the client is gone")
	for _, at := range []int{0, 1, 1000, 64 << 10, 128 << 10, 128<<10 + 1, 300 << 10} {
		t.Run(fmt.Sprintf("after %d octets", at), func(t *testing.T) {
			c := mailbox.Content{ID: ids.Next(), Maildrops: newDrops(1)}
			r := io.MultiReader(bytes.NewReader(octets(at, 3)), iotest.ErrReader(broken))
			if _, err := s.store.Put(t.Context(), c, r); !errors.Is(err, broken) {
				t.Errorf("Put = %v; want the reader's error wrapped", err)
			}
			s.isAbsent(t, c.ID)
		})
	}
}

func (s contentsSuite) contextEnds(t *testing.T) {
	for _, at := range []int{0, 1000, 128 << 10, 300 << 10} {
		t.Run(fmt.Sprintf("after %d octets", at), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			end := readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF })
			c := mailbox.Content{ID: ids.Next(), Maildrops: newDrops(1)}
			if _, err := s.store.Put(ctx, c, io.MultiReader(bytes.NewReader(octets(at, 4)), end)); err == nil {
				// The last look at the context may come before the last read.
				s.holds(t, c.ID, octets(at, 4))
				return
			}
			s.isAbsent(t, c.ID)
		})
	}
	t.Run("before the first octet", func(t *testing.T) {
		c := mailbox.Content{ID: ids.Next(), Maildrops: newDrops(1)}
		if _, err := s.store.Put(ended(t), c, bytes.NewReader(octets(1000, 5))); err == nil {
			t.Error("Put succeeded with a context that had ended")
		}
		s.isAbsent(t, c.ID)
	})
	t.Run("between two parts", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := mailbox.Content{ID: ids.Next(), Maildrops: newDrops(1)}
		end := readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF })
		r := io.MultiReader(bytes.NewReader(octets(128<<10, 6)), end, bytes.NewReader(octets(s.Large, 7)))
		if _, err := s.store.Put(ctx, c, r); err == nil {
			t.Error("Put succeeded although the context ended long before the content")
		}
		s.isAbsent(t, c.ID)
	})
}

func (s contentsSuite) readWhilePut(t *testing.T) {
	c := mailbox.Content{ID: ids.Next(), Maildrops: newDrops(1)}
	want := octets(600<<10, 8)
	look := readerFunc(func([]byte) (int, error) {
		if got, err := readAll(t.Context(), s.store, c.ID); err == nil {
			t.Errorf("%d of %d octets could be read to an end before they were put", len(got), len(want))
		}
		return 0, io.EOF
	})
	r := io.MultiReader(look, bytes.NewReader(want[:300<<10]), look, bytes.NewReader(want[300<<10:]), look)
	if _, err := s.store.Put(t.Context(), c, r); err != nil {
		t.Fatal(err)
	}
	s.holds(t, c.ID, want)
}

func (s contentsSuite) putAgain(t *testing.T) {
	for _, size := range []int{10, 300 << 10} {
		t.Run(fmt.Sprintf("%d octets", size), func(t *testing.T) {
			want := octets(size, 9)
			c := mailbox.Content{ID: ids.Next(), Maildrops: newDrops(2)}
			for range 3 {
				if n, err := s.store.Put(t.Context(), c, bytes.NewReader(want)); err != nil || n != int64(size) {
					t.Fatalf("Put = %d, %v; want %d", n, err, size)
				}
				s.holds(t, c.ID, want)
			}
		})
	}
}

func (s contentsSuite) repeatFailed(t *testing.T) {
	broken := errors.New("the store is gone")
	for _, drops := range [][]mailbox.MaildropID{newDrops(1), newDrops(2)} {
		for _, at := range []int{0, 1000, 128<<10 + 1, 300 << 10} {
			for _, size := range []int{10, 200 << 10} {
				t.Run(fmt.Sprintf("%d octets after %d for %d", size, at, len(drops)), func(t *testing.T) {
					c := mailbox.Content{ID: ids.Next(), Maildrops: drops, Repeatable: true}
					r := io.MultiReader(bytes.NewReader(octets(at, 25)), iotest.ErrReader(broken))
					if _, err := s.store.Put(t.Context(), c, r); !errors.Is(err, broken) {
						t.Errorf("Put = %v; want the reader's error wrapped", err)
					}
					s.repeat(t, c, octets(size, 26))
					s.holds(t, c.ID, octets(size, 26))
				})
			}
		}
	}
}

func (s contentsSuite) repeatOther(t *testing.T) {
	for _, sizes := range [][]int{{10, 2000, 11}, {2000, 300 << 10, 10}, {300 << 10, 10, 300<<10 + 1}, {300 << 10, 200 << 10}} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			c := mailbox.Content{ID: ids.Next(), Maildrops: newDrops(1), Repeatable: true}
			for _, size := range sizes {
				n := s.repeat(t, c, octets(size, uint64(size)))
				if !slices.Contains(sizes, int(n)) {
					t.Fatalf("Put counted %d octets; want %d, or as many as were put before", n, size)
				}
				s.holds(t, c.ID, octets(int(n), uint64(n)))
			}
		})
	}
}

func (s contentsSuite) repeatReleased(t *testing.T) {
	for _, size := range []int{10, 300 << 10} {
		t.Run(fmt.Sprintf("%d octets", size), func(t *testing.T) {
			c := mailbox.Content{ID: ids.Next(), Maildrops: newDrops(1), Repeatable: true}
			for range 3 {
				s.repeat(t, c, octets(size, 27))
				s.holds(t, c.ID, octets(size, 27))
				s.release(t, c.Maildrops[0], c.ID)
				s.becomesAbsent(t, c.ID)
			}
		})
	}
}

// An address may lead to more people by the time of the repeat. Those who came first may
// have listed the message, and let go of it first.
func (s contentsSuite) repeatForMore(t *testing.T) {
	for _, size := range []int{0, 10, 20 << 10, 300 << 10} {
		for _, more := range []int{1, 2} {
			t.Run(fmt.Sprintf("%d octets for %d more", size, more), func(t *testing.T) {
				want, drops := octets(size, 28), newDrops(1+more)
				c := mailbox.Content{ID: ids.Next(), Maildrops: drops[:1], Repeatable: true}
				s.repeat(t, c, want)
				c.Maildrops = drops
				for range 2 {
					s.repeat(t, c, want)
					s.holds(t, c.ID, want)
				}
				for _, drop := range drops { // when it goes after the last is left to the store
					s.holds(t, c.ID, want)
					s.release(t, drop, c.ID)
				}
			})
		}
	}
}

// repeat puts what is repeatable.
func (s contentsSuite) repeat(t *testing.T, c mailbox.Content, content []byte) int64 {
	t.Helper()
	n, err := s.store.Put(t.Context(), c, bytes.NewReader(content))
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	return n
}

func (s contentsSuite) putAtOnce(t *testing.T) {
	contents := make([]mailbox.Content, s.Writers)
	var all sync.WaitGroup
	for i := range contents {
		contents[i] = mailbox.Content{ID: ids.Next(), Maildrops: newDrops(1)}
		all.Go(func() {
			if _, err := s.store.Put(t.Context(), contents[i], bytes.NewReader(octets(300<<10+i, uint64(i)))); err != nil {
				t.Error(err)
			}
			s.holds(t, contents[i].ID, octets(300<<10+i, uint64(i)))
		})
	}
	all.Wait()
	for i, c := range contents {
		s.holds(t, c.ID, octets(300<<10+i, uint64(i)))
	}
}

func (s contentsSuite) expiresLater(t *testing.T) {
	for name, drops := range map[string][]mailbox.MaildropID{
		"in a maildrop that stays":  newDrops(1),
		"in one that ends":          {newTemporaryDrop()},
		"in one that ends, and one": {newTemporaryDrop(), newDrop()},
	} {
		t.Run(name, func(t *testing.T) {
			c := mailbox.Content{ID: ids.Next(), Maildrops: drops, Expires: time.Now().Add(time.Hour)}
			if _, err := s.store.Put(t.Context(), c, bytes.NewReader(octets(300<<10, 10))); err != nil {
				t.Fatal(err)
			}
			s.holds(t, c.ID, octets(300<<10, 10))
			r, err := s.store.Open(t.Context(), mailbox.Message{ID: c.ID, Expires: c.Expires})
			if err != nil {
				t.Fatalf("opened as what expires: %v", err)
			}
			got, err := io.ReadAll(r)
			if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, octets(300<<10, 10)) {
				t.Errorf("opened as what expires, it has %d octets, %v", len(got), err)
			}
			s.release(t, newDrop(), c.ID)
			s.holds(t, c.ID, octets(300<<10, 10))
		})
	}
}

func (s contentsSuite) unknown(t *testing.T) {
	known := s.put(t, octets(10, 11), newDrop())
	near := known
	near[15]++
	for _, id := range []mailbox.MessageID{ids.Next(), near, {}} {
		s.isAbsent(t, id)
	}
}

func (s contentsSuite) openEnded(t *testing.T) {
	for _, id := range []mailbox.MessageID{ids.Next(), s.put(t, octets(300<<10, 12), newDrop())} {
		got, err := readAll(ended(t), s.store, id)
		if err == nil || errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("read %d octets, %v; want an error other than not found", len(got), err)
		}
	}
}

func (s contentsSuite) severalReaders(t *testing.T) {
	want := octets(300<<10, 13)
	id := s.put(t, want, newDrop())
	first, err := s.store.Open(t.Context(), mailbox.Message{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range s.Writers {
		all.Go(func() { s.holds(t, id, want) })
	}
	all.Wait()
	got, err := io.ReadAll(first)
	if err := errors.Join(err, first.Close()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the first reader got %d octets, %v; want all %d", len(got), err, len(want))
	}
}

func (s contentsSuite) closedEarly(t *testing.T) {
	want := octets(300<<10, 14)
	id := s.put(t, want, newDrop())
	for _, n := range []int{0, 1, 128 << 10} {
		r, err := s.store.Open(t.Context(), mailbox.Message{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, n)); err != nil {
			t.Errorf("the first %d octets: %v", n, err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close after %d octets: %v", n, err)
		}
	}
	s.holds(t, id, want)
}

func (s contentsSuite) releasedWhileRead(t *testing.T) {
	drop, want := newDrop(), octets(s.Large, 15)
	id := s.put(t, want, drop)
	r, err := s.store.Open(t.Context(), mailbox.Message{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	begin := make([]byte, 1000)
	if _, err := io.ReadFull(r, begin); err != nil {
		t.Fatal(err)
	}
	s.release(t, drop, id)
	rest, err := io.ReadAll(r)
	if got := append(begin, rest...); err == nil && !bytes.Equal(got, want) {
		t.Errorf("the reader ended after %d of %d octets without an error", len(got), len(want))
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func (s contentsSuite) releasedByOne(t *testing.T) {
	for _, size := range []int{0, 10, 300 << 10} {
		t.Run(fmt.Sprintf("%d octets", size), func(t *testing.T) {
			drop := newDrop()
			id := s.put(t, octets(size, 16), drop)
			s.release(t, drop, id)
			s.becomesAbsent(t, id)
		})
	}
	t.Run("which says that it is the only one", func(t *testing.T) {
		drop := newDrop()
		id := s.put(t, octets(300<<10, 16), drop)
		if err := s.store.Release(t.Context(), drop, mailbox.Message{ID: id, Recipients: 1}); err != nil {
			t.Error(err)
		}
		s.becomesAbsent(t, id)
	})
}

func (s contentsSuite) releasedByAll(t *testing.T) {
	for _, n := range []int{2, 3, 100} {
		t.Run(fmt.Sprintf("%d maildrops", n), func(t *testing.T) {
			drops, want := newDrops(n), octets(200<<10, 17)
			id := s.put(t, want, drops...)
			slices.Reverse(drops)
			for _, drop := range drops[1:] {
				s.release(t, drop, id)
			}
			s.holds(t, id, want)
			s.release(t, drops[0], id)
			s.becomesAbsent(t, id)
		})
	}
}

func (s contentsSuite) releasedAtOnce(t *testing.T) {
	for range 10 {
		drops := newDrops(s.Writers)
		id := s.put(t, octets(1000, 18), drops...)
		var all sync.WaitGroup
		for _, drop := range drops {
			all.Go(func() {
				if err := s.store.Release(t.Context(), drop, mailbox.Message{ID: id}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		s.becomesAbsent(t, id)
	}
}

func (s contentsSuite) releasedTwice(t *testing.T) {
	drops, want := newDrops(3), octets(1000, 19)
	id := s.put(t, want, drops...)
	s.release(t, drops[0], id, id)
	s.release(t, drops[0], id)
	s.release(t, drops[1], id)
	s.release(t, drops[0], id)
	s.holds(t, id, want)
	s.release(t, drops[2], id)
	s.becomesAbsent(t, id)
	for _, drop := range drops {
		s.release(t, drop, id)
	}
	s.becomesAbsent(t, id)
}

func (s contentsSuite) releasedByStranger(t *testing.T) {
	for n := range 3 {
		drops, want := newDrops(n+1), octets(1000, 20)
		id := s.put(t, want, drops...)
		for range n + 2 {
			s.release(t, newDrop(), id)
		}
		s.holds(t, id, want)
		for _, drop := range drops {
			s.release(t, drop, id)
		}
		s.becomesAbsent(t, id)
	}
}

func (s contentsSuite) releasedUnknown(t *testing.T) {
	drop := newDrop()
	kept, gone := s.put(t, octets(10, 21), drop), s.put(t, octets(10, 22), drop)
	s.release(t, drop)
	s.release(t, drop, ids.Next())
	s.release(t, drop, ids.Next(), gone, ids.Next())
	s.becomesAbsent(t, gone)
	s.holds(t, kept, octets(10, 21))
}

func (s contentsSuite) releasedMany(t *testing.T) {
	drop := newDrop()
	contents := make([]mailbox.MessageID, min(s.Many, 300))
	for i := range contents {
		contents[i] = s.put(t, octets(100, uint64(i)), drop)
	}
	kept, gone := contents[0], contents[1:]
	s.release(t, drop, gone...)
	for _, id := range gone {
		s.becomesAbsent(t, id)
	}
	s.holds(t, kept, octets(100, 0))
}

func (s contentsSuite) releaseEnded(t *testing.T) {
	drop, want := newDrop(), octets(1000, 23)
	id := s.put(t, want, drop)
	if err := s.store.Release(ended(t), drop, mailbox.Message{ID: id}); err == nil {
		t.Error("Release succeeded with a context that had ended")
	}
	s.release(t, drop, id)
	s.becomesAbsent(t, id)
}

func (s contentsSuite) putAgainAfterRelease(t *testing.T) {
	want := octets(1000, 24)
	c := mailbox.Content{ID: ids.Next(), Maildrops: newDrops(2)}
	for _, drop := range c.Maildrops {
		if _, err := s.store.Put(t.Context(), c, bytes.NewReader(want)); err != nil {
			t.Fatal(err)
		}
		s.holds(t, c.ID, want)
		s.release(t, drop, c.ID)
	}
	s.becomesAbsent(t, c.ID)
}

// put stores a content for these maildrops.
func (s contentsSuite) put(t *testing.T, content []byte, drops ...mailbox.MaildropID) mailbox.MessageID {
	t.Helper()
	c := mailbox.Content{ID: ids.Next(), Maildrops: drops}
	n, err := s.store.Put(t.Context(), c, bytes.NewReader(content))
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	if n != int64(len(content)) {
		t.Fatalf("Put counted %d octets; want %d", n, len(content))
	}
	return c.ID
}

func (s contentsSuite) release(t *testing.T, drop mailbox.MaildropID, ids ...mailbox.MessageID) {
	t.Helper()
	if err := s.store.Release(t.Context(), drop, byID(ids)...); err != nil {
		t.Errorf("Release of %d contents: %v", len(ids), err)
	}
}

// holds checks that the content can be read and is this.
func (s contentsSuite) holds(t *testing.T, id mailbox.MessageID, want []byte) {
	t.Helper()
	got, err := readAll(t.Context(), s.store, id)
	if err != nil {
		t.Errorf("%s cannot be read: %v", id, err)
		return
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has %d octets and %d were put, or they differ", id, len(got), len(want))
	}
}

// isAbsent checks that the content cannot be opened now.
func (s contentsSuite) isAbsent(t *testing.T, id mailbox.MessageID) {
	t.Helper()
	if err := s.absent(t, id); err != nil {
		t.Error(err)
	}
}

// becomesAbsent checks that the content goes in the time the store is given.
func (s contentsSuite) becomesAbsent(t *testing.T, id mailbox.MessageID) {
	t.Helper()
	within(t, s.Settle, func() error { return s.absent(t, id) })
}

func (s contentsSuite) absent(t *testing.T, id mailbox.MessageID) error {
	got, err := readAll(t.Context(), s.store, id)
	if !errors.Is(err, mailbox.ErrNotFound) {
		return fmt.Errorf("%s: read %d octets, %s; want not found", id, len(got), outcome(err))
	}
	return nil
}
