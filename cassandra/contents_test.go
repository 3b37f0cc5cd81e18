package cassandra

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

func TestAStreamIsCutIntoPartsOfWhichOnlyTheLastIsShort(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, smallContent - 1, smallContent, smallContent + 1, partSize - 1, partSize, partSize + 1, 2*partSize - 1, 2 * partSize, 2*partSize + 1} {
		want := mailboxtest.Message(max(size, 1))[:size]
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"in one go":             func(r io.Reader) io.Reader { return r },
			"an octet at a time":    iotest.OneByteReader,
			"the end with the last": iotest.DataErrReader,
		} {
			t.Run(fmt.Sprintf("%d octets %s", size, name), func(t *testing.T) {
				c := cutter{r: reader(bytes.NewReader(want))}
				var got []byte
				for n := 0; ; n++ {
					part, last, err := c.next()
					if err != nil {
						t.Fatal(err)
					}
					if !last && len(part.octets) != partSize {
						t.Errorf("part %d has %d octets, but is not the last", n, len(part.octets))
					}
					if last && n > 0 && len(part.octets) == 0 {
						t.Errorf("part %d, the last, is empty", n)
					}
					got = append(got, part.octets...)
					part.free()
					if last {
						break
					}
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%d octets came out, or they differ", len(got))
				}
			})
		}
	}
}

func TestAStreamThatBreaksIsNotTakenForOneThatEnds(t *testing.T) {
	t.Parallel()
	for _, broken := range []error{io.ErrUnexpectedEOF, fmt.Errorf("connection: %w", io.EOF)} {
		for _, size := range []int{0, 10, smallContent, partSize, partSize + 1} {
			c := cutter{r: io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(broken))}
			_, _, err := c.next()
			if size > partSize {
				_, _, err = c.next()
			}
			if !errors.Is(err, broken) {
				t.Errorf("after %d octets: %v", size, err)
			}
		}
	}
}

func TestOnlyWhatExpiresForEveryMaildropIsTemporary(t *testing.T) {
	t.Parallel()
	a := mailbox.Address{Local: "fred", Domain: "example.org"}
	stays, ends := mailbox.MaildropOf(a, 1), mailbox.TemporaryMaildropOf(a, 1)
	id := new(mailbox.MessageIDs).Next()
	soon, late := id.Time().Add(time.Hour), id.Time().Add(20*365*24*time.Hour)
	for _, c := range []struct {
		drops   []mailbox.MaildropID
		expires time.Time
		want    *contentTable
	}{
		{[]mailbox.MaildropID{ends}, soon, temporaryContents},
		{[]mailbox.MaildropID{ends, ends}, soon, temporaryContents},
		{[]mailbox.MaildropID{stays}, soon, permanentContents},
		{[]mailbox.MaildropID{ends, stays}, soon, permanentContents},
		{[]mailbox.MaildropID{ends}, time.Time{}, permanentContents},
		{[]mailbox.MaildropID{ends}, late, permanentContents}, // longer than a time to live can be
	} {
		if got := tableFor(mailbox.Content{ID: id, Maildrops: c.drops, Expires: c.expires}); got != c.want {
			t.Errorf("for %v until %v: %s", c.drops, c.expires, got.insertLast.name)
		}
	}
}
