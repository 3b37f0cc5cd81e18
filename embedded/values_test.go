package embedded

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
)

// A readerFunc is a function that reads.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func readers(r ...io.Reader) io.Reader { return io.MultiReader(r...) }

func TestSortableIDsCompareAsIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Custom(func(t *rapid.T) (id mailbox.MessageID) {
			copy(id[:], rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x7f, 0x80, 0x81, 0xff}), 16, 16).Draw(t, "octets"))
			id[6] = id[6]&0x0f | 0x10
			return id
		})
		a, b := id.Draw(t, "a"), id.Draw(t, "b")
		if got, want := bytes.Compare(appendID(nil, a), appendID(nil, b)), a.Compare(b); got != want {
			t.Errorf("%s and %s compare as %d; want %d", a, b, got, want)
		}
		if got := decodeID(appendID(nil, a)); got != a {
			t.Errorf("%s comes back as %s", a, got)
		}
	})
}

func TestKeysComeBack(t *testing.T) {
	drop, id := mailbox.MaildropID{1, 2, 3}, new(mailbox.MessageIDs).Next()
	if d, i, err := decodeRemoval(removalKey(7, drop, id)); err != nil || d != drop || i != id {
		t.Errorf("removal: %v %v %v", d, i, err)
	}
	now := time.Now()
	if e, err := decodeExpiry(rowExpiryKey(now, drop, id)); err != nil || e != (expiry{kind: expiryRow, drop: drop, id: id}) {
		t.Errorf("expiry of a line: %v %v", e, err)
	}
	if e, err := decodeExpiry(contentExpiryKey(now, id)); err != nil || e != (expiry{kind: expiryContent, id: id}) {
		t.Errorf("expiry of a content: %v %v", e, err)
	}
	if e, err := decodeExpiry(headExpiryKey(now, drop)); err != nil || e != (expiry{kind: expiryHead, drop: drop}) {
		t.Errorf("expiry of a head: %v %v", e, err)
	}
	if e, err := decodeExpiry(perishableExpiryKey(now, sharedKey("service/a"))); err != nil || e != (expiry{kind: expiryPerishable, key: "gservice/a"}) {
		t.Errorf("expiry of a row that may end: %v %v", e, err)
	}
	a := mailbox.Address{Local: "a b\xff", Domain: "example.org"}
	if e, err := decodeExpiry(addressExpiryKey(now, a)); err != nil || e != (expiry{kind: expiryAddress, address: a}) {
		t.Errorf("expiry of an address: %v %v", e, err)
	}
	if got, err := decodeAddress(addressKey(a)); err != nil || got != a {
		t.Errorf("address: %v %v", got, err)
	}
}

func TestAfterIsTheFirstKeyBehindAPrefix(t *testing.T) {
	for _, c := range []struct{ prefix, want string }{
		{"a", "b"}, {"a\xff", "b"}, {"a\x00", "a\x01"}, {"\xff", "\xff\xff"},
	} {
		if got := after([]byte(c.prefix)); string(got) != c.want {
			t.Errorf("after(%q) = %q; want %q", c.prefix, got, c.want)
		}
	}
}

// A value that can be read can be written, and read again as the same.

func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, record{octets: 3, inline: []byte("abc"), drops: []mailbox.MaildropID{{1}}}))
	f.Add(appendRecord(nil, record{octets: 3 * partSize, partSize: partSize, drops: []mailbox.MaildropID{{1}, {2}}, expires: time.Now()}))
	fuzzValue(f, decodeRecord, appendRecord)
}

func FuzzRow(f *testing.F) {
	f.Add(appendRow(nil, mailbox.Message{Octets: 5000, Expires: time.Now()}))
	f.Add(appendRow(nil, mailbox.Message{}))
	fuzzValue(f, decodeRow, appendRow)
}

func FuzzHead(f *testing.F) {
	f.Add(appendHead(nil, head{3, 1000}))
	fuzzValue(f, decodeHead, appendHead)
}

func FuzzRoute(f *testing.F) {
	f.Add(appendRoute(nil, mailbox.Route{Kind: mailbox.Alias, Life: 1, Secret: "x", Created: time.Now(), Targets: []mailbox.Address{{Local: "a", Domain: "b"}}}))
	f.Add(appendRoute(nil, mailbox.Route{}))
	f.Add(appendForgotten(nil, mailbox.Route{Kind: mailbox.Temporary, Life: 1}, time.Now()))
	type row struct {
		route  mailbox.Route
		forget time.Time
	}
	fuzzValue(f, func(b []byte) (r row, err error) {
		r.route, r.forget, err = decodeRoute(b)
		return r, err
	}, func(b []byte, r row) []byte { return appendForgotten(b, r.route, r.forget) })
}

func FuzzRegister(f *testing.F) {
	f.Add(appendRegister(nil, pool.Register{Version: 7, Data: []byte("x")}))
	fuzzValue(f, decodeRegister, appendRegister)
}

func FuzzSuppression(f *testing.F) {
	outcome := relay.Outcome{Result: relay.BadRecipient, Code: 550, Text: "no such user"}
	f.Add(suppressionRow(nil, relay.Suppression{Since: time.Unix(1, 1), Until: time.Unix(2, 2), Outcome: outcome}))
	fuzzValue(f, decodeSuppression, suppressionRow)
}

// suppressionRow is what Suppress writes.
func suppressionRow(b []byte, s relay.Suppression) []byte {
	value, err := appendSuppression(nil, s)
	if err != nil {
		panic(err)
	}
	return appendPerishable(b, perishable{s.Until, value})
}

func fuzzValue[T any](f *testing.F, decode func([]byte) (T, error), encode func([]byte, T) []byte) {
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode(b)
		if err != nil {
			if !errors.Is(err, errCorrupt) {
				t.Errorf("%v is not the error of corruption", err)
			}
			return
		}
		again, err := decode(encode(nil, v))
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Errorf("%+v was written and read as %+v, %v", v, again, err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(removalKey(7, mailbox.MaildropID{1}, mailbox.MessageID{2}))
	f.Add(rowExpiryKey(time.Unix(1, 1), mailbox.MaildropID{1}, mailbox.MessageID{2}))
	f.Add(contentExpiryKey(time.Unix(1, 1), mailbox.MessageID{2}))
	f.Add(headExpiryKey(time.Unix(1, 1), mailbox.MaildropID{1}))
	f.Add(addressExpiryKey(time.Unix(1, 1), mailbox.Address{Local: "a", Domain: "b"}))
	f.Add(addressKey(mailbox.Address{Local: "a", Domain: "b"}))
	f.Add(suppressedKey(mailbox.Address{Local: "a", Domain: "b"}, mailbox.Address{Local: "c", Domain: "d"}))
	f.Fuzz(func(t *testing.T, key []byte) {
		if len(key) == 0 {
			return
		}
		if drop, id, err := decodeRemoval(key); err == nil && !bytes.Equal(removalKey(dayFrom(key), drop, id), key) {
			t.Errorf("removal key %x comes back as another", key)
		}
		if a, err := decodeAddress(key); err == nil && !bytes.Equal(addressKey(a)[1:], key[1:]) {
			t.Errorf("address key %x comes back as another", key)
		}
		_, _ = decodeExpiry(key)
		_, _ = decodeSuppressed(key)
	})
}

func dayFrom(key []byte) (day uint32) {
	for _, b := range key[1:5] {
		day = day<<8 | uint32(b)
	}
	return day
}

// TestCorruptValuesAreErrorsAndNotPanics writes rubbish where each value belongs.
func TestCorruptValuesAreErrorsAndNotPanics(t *testing.T) {
	s := openStore(t, Options{CachedMessages: 1})
	ctx, drop, id := t.Context(), mailbox.MaildropID{1}, new(mailbox.MessageIDs).Next()
	address := mailbox.Address{Local: "a", Domain: "b"}
	content := bytes.Repeat([]byte("x"), 2*partSize)
	if err := put(ctx, s, id, content, drop); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key []byte
		use func() error
	}{
		"part":         {partKey(id, 1), func() error { return reads(ctx, s, id, content) }},
		"record":       {contentKey(id), func() error { return reads(ctx, s, id, content) }},
		"row":          {rowKey(drop, 0, id), func() error { _, err := s.Maildrops().List(ctx, drop); return err }},
		"head":         {headKey(drop), func() error { _, err := s.Maildrops().List(ctx, drop); return err }},
		"address":      {addressKey(address), func() error { _, err := s.Addresses().Lookup(ctx, address); return err }},
		"register":     {sharedKey("k"), func() error { _, err := s.Shared().Get(ctx, "k"); return err }},
		"registers":    {sharedKey("k"), func() error { _, err := s.Shared().All(ctx); return err }},
		"old register": {sharedKey("k"), func() error { return s.Shared().Put(ctx, pool.Register{Key: "k", Version: 1}) }},
		"suppression": {suppressedKey(address, address), func() error {
			_, err := s.Suppressions().Suppressed(ctx, address, time.Now(), []mailbox.Address{address})
			return err
		}},
		"suppressions": {suppressedKey(address, address), func() error {
			for _, err := range s.Suppressions().List(ctx, address, time.Now()) {
				return err
			}
			return nil
		}},
		"page": {addressKey(address), func() error {
			for _, err := range s.Addresses().List(ctx, "b") {
				return err
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s.maildrops.cache = newListingCache(1)
			old, closer, err := s.db.Get(c.key)
			if err == nil {
				old = slices.Clone(old)
				closer.Close()
			}
			b := s.batch(0)
			b.set(c.key, []byte{0xff, 1, 2})
			if err := s.commit(b); err != nil {
				t.Fatal(err)
			}
			if err := c.use(); !errors.Is(err, errCorrupt) || !errors.Is(err, mailbox.ErrUnavailable) {
				t.Errorf("%v; want corrupt, which is unavailable", err)
			}
			b = s.batch(0)
			if b.delete(c.key); old != nil {
				b.set(c.key, old)
			}
			if err := s.commit(b); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := reads(ctx, s, id, content); err != nil {
		t.Error(err)
	}
}
