package textman

import (
	"slices"
	"strings"
	"testing"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

func TestMailToTheAddressIsAText(t *testing.T) {
	stores := mailboxtest.Memory()
	s := start(t, stores)
	deliver(t, stores, "fred", "Return-Path: <>\r\nSubject: hi\r\n\r\nby mail\r\n", time.Now().Add(time.Minute))
	deliver(t, stores, "fred", "Return-Path: <>\r\nText-ID: 4711; line-breaks=lf\r\n\r\nforged\r\n", time.Now().Add(time.Minute))
	posted := post(t, s, "fred", "posted", time.Minute)
	texts, err := s.Take(t.Context(), "fred")
	if err != nil || len(texts) != 3 || texts[0] != posted || texts[1].Text != "forged" || texts[2].Text != "by mail" {
		t.Fatalf("Take = %v, %v", texts, err)
	}
	for i, text := range texts {
		if text.ID>>22 < int64(someTime.Add(-365*24*time.Hour).Sub(epoch)/time.Second) || slices.ContainsFunc(texts[:i], func(other Text) bool { return other.ID == text.ID }) {
			t.Errorf("id %d", text.ID)
		}
	}
	takes(t, s, "fred")
}

// deliver is what the SMTP server does.
func deliver(t testing.TB, stores mailboxtest.Stores, user, content string, expires time.Time) {
	t.Helper()
	a, err := mailbox.TextAddress(user, "text.example")
	if err != nil {
		t.Fatal(err)
	}
	to := mailbox.Recipient{Address: a, Maildrop: dropOf(a), Expires: expires}
	if _, err := stores.Deliveries().Deliver(t.Context(), mailbox.Envelope{Recipients: []mailbox.Recipient{to}}, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

func TestMailIsATextWithoutAnID(t *testing.T) {
	const trace = "Return-Path: <a@example.net>\r\nReceived: from a by b;\r\n\tSun, 22 Nov 2026 10:00:00 +0000\r\n"
	for name, c := range map[string]struct{ content, want string }{
		"plain":                   {trace + "Subject: hi\r\n\r\nline\r\nother\r\n", "line\nother"},
		"encoded":                 {trace + "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n", "Grüße"},
		"of several parts":        {trace + "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--b--\r\n", "plain"},
		"without a text":          {trace + "Subject: only that\r\n\r\n\r\n", "only that"},
		"with an id of its own":   {trace + "Text-ID: 4711; line-breaks=lf\r\n\r\nforged\r\n", "forged"},
		"that could not be ours":  {"Text-ID: 0; line-breaks=lf\r\n\r\nzero\r\n", "zero"},
		"that ends in the header": {"Text-ID: 5; line-breaks=lf\r\nSubject: cut\r\n", "cut"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(strings.NewReader(c.content))
			if err != nil || got != (Text{0, c.want}) {
				t.Errorf("read %d, %q, %v; want %q", got.ID, got.Text, err, c.want)
			}
		})
	}
}

func TestLongMailIsCut(t *testing.T) {
	got, err := read(strings.NewReader("Return-Path: <>\r\n\r\n" + strings.Repeat("many words\r\n", 2*MaxText)))
	if err != nil || len(got.Text) > MaxText || len(got.Text) < MaxText/2 {
		t.Errorf("%d octets, %v", len(got.Text), err)
	}
}
