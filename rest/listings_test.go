package rest

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/temporary"
)

// fill posts messages whose subjects are numbers, and returns their ids, the newest
// first.
func (l *lodge) fill(t testing.TB, email string, n int) (ids []string) {
	t.Helper()
	for i := range n {
		ids = append(ids, l.post(t, email, fmt.Sprint(i), "text "+fmt.Sprint(i)).ID)
	}
	slices.Reverse(ids)
	return ids
}

// page asks for a page.
func (l *lodge) page(t testing.TB, path string) Listing {
	t.Helper()
	return decode[Listing](t, l.answerTo("GET", path, ""), http.StatusOK)
}

func idsOf(p Listing) (ids []string) {
	for _, m := range p.Data {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestAListingHasTheNewestFirstAndSaysWhatEachMessageIs(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	at := "/mailboxes/" + made.Email + "/messages"
	if w := l.answerTo("GET", at, ""); strings.TrimSpace(w.Body.String()) != `{"data":[],"links":{}}` {
		t.Errorf("an empty one is %s", w.Body)
	}
	l.post(t, made.Email, "first", "one")
	sent := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	second := l.raw(t, made.Email, "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\nSubject: =?utf-8?b?w6QK?=\nDate: Sat, 31 Jan 2026 13:00:00 +0100\n\nwhole text\n")
	page := l.page(t, at)
	if len(page.Data) != 2 || page.Data[1].Subject != "first" || page.Links != (Links{}) {
		t.Fatalf("%+v", page)
	}
	got := page.Data[0]
	if got.ID != second.ID || got.Subject != "ä" || !strings.Contains(got.Sender, "Jürgen") || !strings.Contains(got.Sender, "j@example.com") ||
		got.Sent == nil || !got.Sent.Equal(sent) || got.Size != second.Size || !got.Received.Equal(second.Received) ||
		got.Body == nil || strings.TrimSpace(*got.Body) != "whole text" {
		t.Errorf("%+v", got)
	}
	for _, m := range l.page(t, at+"?fields=summary").Data {
		if m.Body != nil {
			t.Errorf("a summary has the text %q", *m.Body)
		}
	}
}

func TestPagesFollowEachOtherInBothDirections(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	ids := l.fill(t, made.Email, 25)
	at := "/mailboxes/" + made.Email + "/messages"

	next := at
	var pages []Listing
	for next != "" {
		page := l.page(t, next)
		pages = append(pages, page)
		next = page.Links.Next
	}
	if len(pages) != 3 || !slices.Equal(slices.Concat(idsOf(pages[0]), idsOf(pages[1]), idsOf(pages[2])), ids) {
		t.Fatalf("%d pages: %+v", len(pages), pages)
	}
	if pages[0].Links.Prev != "" {
		t.Errorf("before the first page is %s", pages[0].Links.Prev)
	}
	for i := 2; i > 0; i-- {
		back := l.page(t, pages[i].Links.Prev)
		if !slices.Equal(idsOf(back), idsOf(pages[i-1])) {
			t.Errorf("before page %d are %v", i, idsOf(back))
		}
		if (back.Links.Prev == "") != (i == 1) || back.Links.Next == "" {
			t.Errorf("links of the page before page %d: %+v", i, back.Links)
		}
	}
}

func TestAPageBeginsWithTheMessageWhoseIDIsGiven(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	ids := l.fill(t, made.Email, 5)
	at := "/mailboxes/" + made.Email + "/messages"
	if got := idsOf(l.page(t, at+"?limit=2&from="+ids[2])); !slices.Equal(got, ids[2:4]) {
		t.Errorf("from %s: %v", ids[2], got)
	}
	if got := idsOf(l.page(t, at+"?after="+ids[2])); !slices.Equal(got, ids[:2]) {
		t.Errorf("after %s: %v", ids[2], got)
	}
	if got := l.page(t, at+"?after="+ids[0]); len(got.Data) != 0 || got.Links != (Links{}) {
		t.Errorf("after the newest: %+v", got)
	}
}

func TestACursorOutlivesItsMessage(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	ids := l.fill(t, made.Email, 9)
	at := "/mailboxes/" + made.Email + "/messages"
	first := l.page(t, at+"?limit=3")
	second := l.page(t, first.Links.Next)
	for _, id := range []string{ids[2], ids[3], ids[4]} {
		if w := l.answerTo("DELETE", at+"/"+id, ""); w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
	}
	for link, want := range map[string][]string{
		first.Links.Next:               ids[5:8],
		second.Links.Prev:              ids[:2],
		second.Links.Next:              ids[6:9],
		at + "?limit=2&from=" + ids[3]: ids[5:7],
	} {
		if got := idsOf(l.page(t, link)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", link, got, want)
		}
	}
	l.answerTo("DELETE", at+"/"+ids[8], "")
	empty := l.page(t, at+"?from="+ids[8])
	if len(empty.Data) != 0 || !slices.Contains(idsOf(l.page(t, empty.Links.Prev)), ids[7]) {
		t.Errorf("beyond the end: %+v", empty)
	}
}

func TestACursorThatIsMadeUpIsRefused(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	id := l.fill(t, made.Email, 1)[0]
	at := "/mailboxes/" + made.Email + "/messages?from="
	for _, from := range []string{
		"x", "1", "null", strings.Repeat("A", 23), strings.Repeat("A", 1000), "%00", "%ff", id + "0", strings.ToUpper(id)[:35],
		"2b5c7e1e-1111-4111-8111-111111111111", // no TimeUUID
		base64.RawURLEncoding.EncodeToString([]byte("o0123456789abcdef")),
		base64.RawURLEncoding.EncodeToString(append([]byte("x"), make([]byte, 16)...)),
		cursor{id: mailbox.MessageID{}}.String(),
	} {
		wantProblem(t, l.answerTo("GET", at+from, ""), http.StatusBadRequest, "invalid-cursor")
	}
}

func TestTheTextOfACursorIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := (&mailbox.MessageIDs{}).Next()
		copy(id[8:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "node"))
		id[8] = id[8]&0x3f | 0x80
		c := cursor{id: id, back: rapid.Bool().Draw(t, "back")}
		if got, err := parseCursor(c.String()); err != nil || got != c {
			t.Fatalf("%+v became %+v, %v", c, got, err)
		}
		if got, err := parseCursor(id.String()); err != nil || !got.with || got.id != id {
			t.Fatalf("%s became %+v, %v", id, got, err)
		}
	})
}

func TestNothingFitsBetweenAnIDAndTheNext(t *testing.T) {
	octet := rapid.SampledFrom([]byte{0, 1, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff})
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (id mailbox.MessageID) {
			copy(id[:], rapid.SliceOfN(octet, 16, 16).Draw(t, name))
			id[6] = id[6]&0x07 | 0x10 // so that the time has room
			id[8] = id[8]&0x3f | 0x80
			return id
		}
		id, other := draw("id"), draw("other")
		if id.Compare(next(id)) >= 0 {
			t.Fatalf("%s is not below %s", id, next(id))
		}
		if id.Compare(other) < 0 && other.Compare(next(id)) < 0 {
			t.Fatalf("%s is between %s and %s", other, id, next(id))
		}
	})
}

func TestWaitingEndsWithAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLodge(t)
		made := l.mailbox(t, `{"ttl":3600}`)
		at := "/mailboxes/" + made.Email + "/messages"
		began := time.Now()
		if page := l.page(t, at+"?wait=30s"); len(page.Data) != 0 || time.Since(began) != 30*time.Second {
			t.Errorf("%d messages after %s", len(page.Data), time.Since(began))
		}
		for _, query := range []string{"?wait=60s", "?wait=60s&after="} {
			if strings.HasSuffix(query, "=") {
				query += l.page(t, at).Data[0].ID
			}
			began = time.Now()
			time.AfterFunc(20*time.Second, func() { l.post(t, made.Email, "new", "new") })
			page := l.page(t, at+query)
			if len(page.Data) != 1 || page.Data[0].Subject != "new" || time.Since(began) != 20*time.Second {
				t.Errorf("%s: %+v after %s", query, page.Data, time.Since(began))
			}
		}
		began = time.Now()
		if page := l.page(t, at+"?wait=60s"); len(page.Data) == 0 || time.Since(began) != 0 {
			t.Errorf("what is there comes after %s", time.Since(began))
		}
	})
}

func TestWaitingEndsWithTheMailboxAndTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLodge(t)
		made := l.mailbox(t, `{"ttl":20}`)
		at := "/mailboxes/" + made.Email + "/messages?wait=60s"
		wantProblem(t, l.answerTo("GET", at, ""), http.StatusNotFound, "mailbox-not-found")
		if since := time.Since(made.Created); since != 20*time.Second {
			t.Errorf("after %s", since)
		}
		made = l.mailbox(t, "")
		at = "/mailboxes/" + made.Email + "/messages?wait=60s"
		time.AfterFunc(10*time.Second, func() { l.answerTo("DELETE", "/mailboxes/"+made.Email, "") })
		wantProblem(t, l.answerTo("GET", at, ""), http.StatusNotFound, "mailbox-not-found")
		if since := time.Since(made.Created); since != 10*time.Second {
			t.Errorf("after %s", since)
		}
		made = l.mailbox(t, "")
		at = "/mailboxes/" + made.Email + "/messages?wait=60s"
		time.AfterFunc(10*time.Second, func() { close(l.stopping) })
		l.page(t, at)
		if since := time.Since(made.Created); since != 10*time.Second {
			t.Errorf("after %s", since)
		}
	})
}

func TestWhatCannotBeAskedOfAListingIsAProblem(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	at := "/mailboxes/" + made.Email + "/messages?"
	for _, query := range []string{
		"limit=0", "limit=101", "limit=-1", "limit=x", "limit=99999999999999999999", "fields=all", "form=x",
		"wait=61s", "wait=-1s", "wait=forever", "wait=30", "after=x", "after=2b5c7e1e-1111-4111-8111-111111111111",
	} {
		wantProblem(t, l.answerTo("GET", at+query, ""), http.StatusUnprocessableEntity, "invalid-request")
	}
}

func TestAMessageThatIsRemovedWhileItIsListedIsLeftOut(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	l.fill(t, made.Email, 3)
	l.handler = Public(PublicOptions{Mailboxes: l.mailboxes, Log: quiet()}) // which has no summaries yet
	var opened atomic.Int32
	l.breakCalls("Contents.Open", func(ctx context.Context, c mailboxtest.Call) error {
		if opened.Add(1) == 2 {
			return mailbox.ErrNotFound
		}
		return c.Do(ctx)
	})
	if page := l.page(t, "/mailboxes/"+made.Email+"/messages"); len(page.Data) != 2 {
		t.Errorf("%d messages", len(page.Data))
	}
}

func TestAListingIsReadOnceFromTheStore(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	address, err := mailbox.ParseAddress(made.Email)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.mailboxes.Get(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	deliverTo(t, l.mailboxes, m, "Subject: by SMTP\r\n\r\ntext\r\n")
	at := "/mailboxes/" + made.Email + "/messages"
	l.page(t, at+"?fields=summary")
	l.page(t, at) // reads once more, for the text
	l.breakCalls("Contents.Open", func(context.Context, mailboxtest.Call) error { return mailbox.ErrUnavailable })
	for _, query := range []string{"", "?fields=summary"} {
		if page := l.page(t, at+query); page.Data[0].Subject != "by SMTP" {
			t.Errorf("%s: %+v", query, page)
		}
	}
}

// deliverTo delivers as SMTP does.
func deliverTo(t testing.TB, to *temporary.Mailboxes, m temporary.Mailbox, text string) mailbox.Message {
	t.Helper()
	message, err := to.Deliver(t.Context(), m, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return message
}
