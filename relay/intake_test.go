package relay_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
)

// intake is one of the office.
func (o *office) intake(t *testing.T) *relay.Intake {
	return &relay.Intake{
		Hostname: "mx.example.org", Deliverer: o.deliveries, Outbox: o, Notifier: o.notifier, Suppressions: o.suppressed,
		IDs: &o.ids, Spool: t.TempDir(), Log: slog.New(slog.DiscardHandler), Now: o.clock,
	}
}

// letter is from fred to addresses of example.com and people of example.org.
func letter(to ...string) relay.Letter {
	l := relay.Letter{Account: fred, From: fred}
	for _, name := range to {
		if local, ok := strings.CutSuffix(name, "@example.org"); ok {
			r := mailboxOf(local)
			l.Recipients = append(l.Recipients, relay.Addressee{Address: r.Address, Maildrops: []mailbox.Recipient{r}})
			continue
		}
		l.Recipients = append(l.Recipients, relay.Addressee{Address: mailbox.Address{Local: name, Domain: "example.com"}})
	}
	return l
}

const submittedHeader = "Received: from a by b\r\nFrom: Fred <fred@example.org>\r\nTo: x@example.com\r\nSubject: stones\r\n"

func TestWhatIsSubmittedGoesToOurOwnAndIntoTheQueue(t *testing.T) {
	o := newOffice()
	l := letter("barney", "wilma@example.org", "betty", "barney")
	l.EnvelopeID, l.FullReturn, l.Class = "QQ", true, relay.High
	l.Recipients[2].Notify, l.Recipients[2].Original = relay.NotifyNever, "rfc822;Betty@example.com"
	id, err := o.intake(t).Submit(t.Context(), l, strings.NewReader(submittedHeader+"Bcc: betty@example.com\r\n\r\nYabba.\r\n"))
	if err != nil || id.IsZero() {
		t.Fatalf("Submit = %s, %v", id, err)
	}
	q := only(t, o.queued)
	local := only(t, o.mail(t, "wilma"))
	if local != "Return-Path: <fred@example.org>\r\n"+q.content {
		t.Errorf("our own got %q, the queue %q", local, q.content)
	}
	rest, ok := strings.CutPrefix(q.content, submittedHeader+"Date: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <")
	headerID, body, _ := strings.Cut(rest, ">\r\n\r\n")
	if !ok || body != "Yabba.\r\n" || !strings.HasSuffix(headerID, "@mx.example.org") {
		t.Errorf("queued %q", q.content)
	}
	want := relay.Submission{
		Account: fred, From: fred, Recipients: []mailbox.Address{parsed(t, "barney@example.com"), parsed(t, "betty@example.com")},
		Notify: []relay.Notify{0, relay.NotifyNever}, Original: []string{"", "rfc822;Betty@example.com"},
		EnvelopeID: "QQ", FullReturn: true, Octets: int64(len(q.content)), HeaderID: headerID, Class: relay.High, Accepted: o.now,
	}
	if !reflect.DeepEqual(q.submission, want) {
		t.Errorf("queued %+v\nwant   %+v", q.submission, want)
	}
}

func TestMailForOurOwnAloneLeavesTheQueueAlone(t *testing.T) {
	o := newOffice()
	o.queueErr = mailbox.ErrUnavailable
	if id, err := o.intake(t).Submit(t.Context(), letter("wilma@example.org", "fred@example.org"), strings.NewReader(submittedHeader+"\r\n")); err != nil || id.IsZero() {
		t.Fatalf("Submit = %s, %v", id, err)
	}
	for _, name := range []string{"fred", "wilma"} {
		if mail := only(t, o.mail(t, name)); !strings.Contains(mail, "\r\nMessage-ID: <") {
			t.Errorf("%s got %q", name, mail)
		}
	}
}

func TestWhatTheContentIsGoesWithIt(t *testing.T) {
	for content, want := range map[string]relay.Submission{
		"plain\r\n":                        {},
		"пётр\r\n":                         {EightBit: true},
		"\xff\r\n":                         {EightBit: true},
		strings.Repeat("x", 300<<10) + "ы": {EightBit: true},
	} {
		o := newOffice()
		if _, err := o.intake(t).Submit(t.Context(), letter("barney"), strings.NewReader(submittedHeader+"\r\n"+content)); err != nil {
			t.Fatal(err)
		}
		if got := only(t, o.queued).submission; got.EightBit != want.EightBit || got.Signed {
			t.Errorf("%.20q: 8 bits %v, signed %v; want %v and not", content, got.EightBit, got.Signed, want.EightBit)
		}
	}
	o := newOffice()
	if _, err := o.intake(t).Submit(t.Context(), letter("barney"), strings.NewReader("Content-Type: multipart/signed\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if !only(t, o.queued).submission.Signed {
		t.Error("what is signed as a whole is not said to be")
	}
}

// Many clients declare all that a server knows. Who then is asked for what a mail does not
// need would not take it.
func TestWhatAMailNeedsIsSeenAndNotDeclared(t *testing.T) {
	ascii, international := "barney", "пётр"
	for name, c := range map[string]struct {
		declared bool
		from, to string
		header   string
		body     string
		utf8     bool
		eightBit bool
	}{
		"nothing":                           {true, "fred", ascii, "", "Yabba.\r\n", false, false},
		"a body of 8 bits":                  {true, "fred", ascii, "", "Да.\r\n", false, true},
		"a header beyond ASCII":             {true, "fred", ascii, "Comments: да\r\n", "", true, true},
		"a folded one":                      {true, "fred", ascii, "Comments: x\r\n да\r\n", "", true, true},
		"a blind copy, which is taken out":  {true, "fred", ascii, "Bcc: пётр@example.com\r\n", "", false, false},
		"a recipient beyond ASCII":          {true, "fred", international, "", "Yabba.\r\n", true, false},
		"a sender beyond ASCII":             {true, "фред", ascii, "", "Yabba.\r\n", true, false},
		"a header that was not declared so": {false, "fred", ascii, "Comments: да\r\n", "", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice()
			l := letter(c.to, "фред@example.org") // our own are handed no envelope
			l.From.Local, l.UTF8 = c.from, c.declared
			if _, err := o.intake(t).Submit(t.Context(), l, strings.NewReader(submittedHeader+c.header+"\r\n"+c.body)); err != nil {
				t.Fatal(err)
			}
			if got := only(t, o.queued).submission; got.UTF8 != c.utf8 || got.EightBit != c.eightBit {
				t.Errorf("SMTPUTF8 %v, 8 bits %v; want %v and %v", got.UTF8, got.EightBit, c.utf8, c.eightBit)
			}
		})
	}
}

func TestALargeMessageIsSpooledInAFileThatGoesAway(t *testing.T) {
	o := newOffice()
	in := o.intake(t)
	body := string(mailboxtest.Message(3 << 20))
	if _, err := in.Submit(t.Context(), letter("barney", "wilma@example.org"), strings.NewReader(submittedHeader+"\r\n"+body)); err != nil {
		t.Fatal(err)
	}
	q := only(t, o.queued)
	if !strings.HasSuffix(q.content, "\r\n\r\n"+body) || q.submission.Octets != int64(len(q.content)) || !strings.HasSuffix(only(t, o.mail(t, "wilma")), q.content) {
		t.Errorf("queued %d octets as %d, delivered %d", len(q.content), q.submission.Octets, len(o.mail(t, "wilma")[0]))
	}
	if files, err := os.ReadDir(in.Spool); err != nil || len(files) > 0 {
		t.Errorf("files left: %v, %v", files, err)
	}
	in.Spool += "/absent"
	if _, err := in.Submit(t.Context(), letter("barney"), strings.NewReader(submittedHeader+"\r\n"+body)); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("without room for a file: %v", err)
	}
	if _, err := in.Submit(t.Context(), letter("barney"), strings.NewReader(submittedHeader+"\r\nsmall\r\n")); err != nil {
		t.Errorf("a small message needs a file: %v", err)
	}
}

func TestNothingIsKeptOfWhatCannotBeTaken(t *testing.T) {
	for name, c := range map[string]struct {
		content io.Reader
		want    error
	}{
		"a header that is too large":    {strings.NewReader(strings.Repeat("X: y\r\n", 11000) + "\r\n"), relay.ErrHeader},
		"a header that breaks off":      {io.MultiReader(strings.NewReader("From: f"), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
		"a body that breaks off":        {io.MultiReader(strings.NewReader("From: f\r\n\r\nbody"), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
		"a large body that breaks off":  {io.MultiReader(strings.NewReader("From: f\r\n\r\n"+strings.Repeat("x", 1<<20)), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
		"a signed body that breaks off": {io.MultiReader(strings.NewReader("From: fred@example.org\r\n\r\nbody"), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice()
			in := o.intake(t)
			in.DKIM = keysOf(t)
			if _, err := in.Submit(t.Context(), letter("barney", "wilma@example.org"), c.content); !errors.Is(err, c.want) {
				t.Errorf("Submit = %v; want %v", err, c.want)
			}
			if len(o.queued) != 0 || len(o.mail(t, "wilma")) != 0 {
				t.Errorf("queued %d, delivered %d", len(o.queued), len(o.mail(t, "wilma")))
			}
		})
	}
}

func keysOf(t *testing.T) *relay.DKIM {
	t.Helper()
	dir, _ := made(t)
	d, err := relay.OpenDKIM(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What a repeat may double is what our own have; the queue comes last.
func TestTheQueueComesLast(t *testing.T) {
	o := newOffice()
	in := o.intake(t)
	f := mailboxtest.Faulty(o.stores, mailboxtest.From(1, mailboxtest.Fail))
	in.Deliverer = f.Deliveries()
	if _, err := in.Submit(t.Context(), letter("barney", "wilma@example.org"), strings.NewReader(original)); !errors.Is(err, mailbox.ErrUnavailable) || len(o.queued) > 0 {
		t.Errorf("our own cannot be reached: %v, %d queued", err, len(o.queued))
	}
	in.Deliverer, o.queueErr = o.deliveries, mailbox.ErrUnavailable
	if _, err := in.Submit(t.Context(), letter("barney", "wilma@example.org"), strings.NewReader(original)); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("the queue takes nothing: %v", err)
	}
	if len(o.mail(t, "wilma")) != 1 {
		t.Errorf("our own have %d messages, want one", len(o.mail(t, "wilma")))
	}
}

func TestMailIsSignedForTheDomainOfItsAuthor(t *testing.T) {
	dir, keys := made(t)
	d, err := relay.OpenDKIM(dir)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := mailbox.Address{Local: "fred", Domain: "example.com"}
	for _, c := range []struct {
		name, header  string
		account, from mailbox.Address
		want          int
	}{
		{"as himself", submittedHeader, fred, fred, 2},
		{"with the null reverse-path", submittedHeader, fred, mailbox.Address{}, 2},
		{"from an alias of another domain", submittedHeader, elsewhere, fred, 2},
		{"as somebody of another domain of ours", submittedHeader, elsewhere, elsewhere, 0},
		{"of a domain without a key", "From: fred@example.com\r\n", elsewhere, elsewhere, 0},
		{"without an author", "Subject: x\r\n", fred, fred, 0},
	} {
		for _, body := range []string{"", "Yabba.\r\n", "a  b \r\n\r\n\r\n", strings.Repeat("Dabba ыы\r\n", 50000)} {
			o := newOffice()
			in := o.intake(t)
			in.DKIM = d
			l := letter("barney")
			l.Account, l.From = c.account, c.from
			if _, err := in.Submit(t.Context(), l, iotest.HalfReader(strings.NewReader(c.header+"\r\n"+body))); err != nil {
				t.Fatal(err)
			}
			q := only(t, o.queued)
			good, failed := verified(t, q.content, keys)
			if good != c.want || len(failed) != 0 || q.submission.Octets != int64(len(q.content)) {
				t.Errorf("%s, %d octets: %d good signatures, want %d; failed %v", c.name, len(body), good, c.want, failed)
			}
			if c.want == 0 {
				continue
			}
			for change, changed := range map[string]string{
				"another author":  strings.Replace(q.content, "Fred <fred@", "Fred <wilma@", 1),
				"an author added": strings.Replace(q.content, "Received: from a", "From: wilma@example.org\r\nReceived: from a", 1),
				"another subject": strings.Replace(q.content, "Subject: stones", "Subject: bones", 1),
				"a copy added":    strings.Replace(q.content, "Subject: stones", "Cc: a@b\r\nSubject: stones", 1),
				"another body":    q.content + "x\r\n",
			} {
				if good, _ := verified(t, changed, keys); good > 0 {
					t.Errorf("%s: %s is not noticed", c.name, change)
				}
			}
		}
	}
}

func TestRecipientsThatAreSuppressedAreNotTried(t *testing.T) {
	o := newOffice()
	n := o.failure() // of mail to barney
	if err := o.notifier.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	l := letter("betty", "Barney", "wilma@example.org") // the same mailbox, for all that we know
	l.Recipients[0].Notify, l.Recipients[1].Original = relay.NotifyFailure, "rfc822;B@example.com"
	o.now = o.now.Add(24 * time.Hour)
	if _, err := o.intake(t).Submit(t.Context(), l, strings.NewReader(original)); err != nil {
		t.Fatal(err)
	}
	s := only(t, o.queued).submission
	if !reflect.DeepEqual(s.Recipients, []mailbox.Address{parsed(t, "betty@example.com")}) || !reflect.DeepEqual(s.Notify, []relay.Notify{relay.NotifyFailure}) || s.Original != nil {
		t.Errorf("queued %+v", s)
	}
	mail := o.mail(t, "fred")
	if len(mail) != 2 {
		t.Fatalf("fred has %d messages, want the first notification and another", len(mail))
	}
	r := read(t, mail[1])
	if r.recipient.Get("Final-Recipient") != "rfc822; Barney@example.com" || r.recipient.Get("Status") != "5.1.1" || r.recipient.Get("Original-Recipient") != "rfc822;B@example.com" ||
		!strings.Contains(r.text, "not tried") || r.returned == "" {
		t.Errorf("told %q", mail[1])
	}

	// He who goes on writing does not make it last longer.
	found, err := o.suppressed.Suppressed(t.Context(), fred, o.now, n.Submission.Recipients)
	if err != nil || !only(t, found).Until.Equal(n.Recipients[0].Attempted.Add(relay.SuppressedFor)) {
		t.Errorf("suppressed %v, %v", found, err)
	}
	if err := o.suppressed.Allow(t.Context(), fred, n.Submission.Recipients[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := o.intake(t).Submit(t.Context(), letter("barney"), strings.NewReader(original)); err != nil || len(o.queued) != 2 {
		t.Errorf("off the list: %v, %d queued", err, len(o.queued))
	}
}

func TestOneNotificationTellsOfAllWhoAreSuppressedAndOneOfAllOurOwn(t *testing.T) {
	o := newOffice()
	for _, name := range []string{"barney", "betty"} {
		n := o.failure()
		n.Submission.Recipients[0].Local = name
		if err := o.notifier.Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	l := letter("barney", "wilma@example.org", "pebbles", "betty", "фред@example.org")
	l.Recipients[1].Notify, l.Recipients[4].Notify = relay.NotifySuccess, relay.NotifySuccess
	if _, err := o.intake(t).Submit(t.Context(), l, strings.NewReader(original)); err != nil {
		t.Fatal(err)
	}
	mail := o.mail(t, "fred")
	if len(mail) != 4 {
		t.Fatalf("fred has %d messages, want two and two", len(mail))
	}
	for i, want := range [][]string{{"barney@example.com failed", "betty@example.com failed"}, {"wilma@example.org delivered", `\x{444}\x{440}\x{435}\x{434}@example.org delivered`}} {
		var told []string
		for _, about := range read(t, mail[2+i]).recipients {
			_, address, _ := strings.Cut(about.Get("Final-Recipient"), "; ")
			told = append(told, address+" "+about.Get("Action"))
		}
		if !slices.Equal(told, want) {
			t.Errorf("told of %q; want %q", told, want)
		}
	}
}

func TestAMessageWhoseRecipientsAreAllSuppressedIsAccepted(t *testing.T) {
	o := newOffice()
	if err := o.notifier.Notify(t.Context(), o.failure()); err != nil {
		t.Fatal(err)
	}
	if id, err := o.intake(t).Submit(t.Context(), letter("barney"), strings.NewReader(original)); err != nil || id.IsZero() || len(o.queued) > 0 {
		t.Errorf("Submit = %s, %v, %d queued", id, err, len(o.queued))
	}
	if mail := o.mail(t, "fred"); len(mail) != 2 {
		t.Errorf("fred has %d messages, want two notifications", len(mail))
	}
}

type brokenSuppressions struct{ relay.Suppressions }

func (brokenSuppressions) Suppressed(context.Context, mailbox.Address, time.Time, []mailbox.Address) ([]relay.Suppression, error) {
	return nil, mailbox.ErrUnavailable
}

func TestNothingIsTakenWhileNobodyKnowsWhoIsSuppressed(t *testing.T) {
	o := newOffice()
	in := o.intake(t)
	in.Suppressions = brokenSuppressions{o.suppressed}
	if _, err := in.Submit(t.Context(), letter("barney", "wilma@example.org"), strings.NewReader(original)); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("Submit = %v", err)
	}
	if len(o.mail(t, "wilma")) != 0 {
		t.Error("our own have it")
	}
}

// RFC 3461, section 4.1.
func TestASenderHearsThatOurOwnHaveIt(t *testing.T) {
	o := newOffice()
	l := letter("wilma@example.org", "barney")
	l.Recipients[0].Notify, l.Recipients[1].Notify = relay.NotifySuccess, relay.NotifySuccess
	if _, err := o.intake(t).Submit(t.Context(), l, strings.NewReader(original)); err != nil {
		t.Fatal(err)
	}
	r := read(t, only(t, o.mail(t, "fred")))
	if r.recipient.Get("Final-Recipient") != "rfc822; wilma@example.org" || r.recipient.Get("Action") != "delivered" || r.recipient.Get("Status") != "2.0.0" {
		t.Errorf("told %v", r.recipient)
	}
}
