package relay_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
)

// An office is what notifications and submissions go through, in memory: fred and wilma
// of example.org have maildrops.
type office struct {
	stores     mailboxtest.Stores
	deliveries *mailbox.Deliveries
	ids        mailbox.MessageIDs
	suppressed relay.Suppressions
	notifier   *relay.Notifier
	now        time.Time

	resolveErr error
	queueErr   error
	queued     []queued
}

// queued is what an outbox was given.
type queued struct {
	submission relay.Submission
	content    string
}

func newOffice() *office {
	o := &office{stores: mailboxtest.Memory(), suppressed: relay.NewSuppressions(), now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	o.deliveries = o.stores.Deliveries()
	o.ids.Now = o.clock
	o.notifier = &relay.Notifier{
		Hostname: "mx.example.org", Router: o, Deliverer: o.deliveries, Outbox: o, Suppressions: o.suppressed,
		Log: slog.New(slog.DiscardHandler), Now: o.clock,
	}
	return o
}

func (o *office) clock() time.Time { return o.now }

func mailboxOf(name string) mailbox.Recipient {
	a := mailbox.Address{Local: name, Domain: "example.org"}
	return mailbox.Recipient{Address: a, Maildrop: mailbox.MaildropOf(a, 1)}
}

func (o *office) Resolve(_ context.Context, a mailbox.Address) ([]mailbox.Recipient, error) {
	switch {
	case o.resolveErr != nil:
		return nil, o.resolveErr
	case a.Domain != "example.org":
		return nil, mailbox.ErrNotLocal
	case a.Local != "fred" && a.Local != "wilma" && a.Local != "фред":
		return nil, mailbox.ErrNotFound
	}
	return []mailbox.Recipient{mailboxOf(a.Local)}, nil
}

func (o *office) Submit(_ context.Context, s relay.Submission, content io.Reader) (mailbox.MessageID, error) {
	b, err := io.ReadAll(content)
	if err == nil {
		err = o.queueErr
	}
	if err != nil {
		return mailbox.MessageID{}, err
	}
	o.queued = append(o.queued, queued{s, string(b)})
	return o.ids.Next(), nil
}

// mail is what a maildrop of example.org holds.
func (o *office) mail(t *testing.T, name string) (contents []string) {
	t.Helper()
	list, err := o.stores.Maildrops.List(t.Context(), mailboxOf(name).Maildrop)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		r, err := o.stores.Contents.Open(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(b))
	}
	return contents
}

// only is the one of some.
func only[T any](t *testing.T, all []T) T {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("there are %d, want one", len(all))
	}
	return all[0]
}

func parsed(t *testing.T, s string) mailbox.Address {
	t.Helper()
	a, err := mailbox.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const original = "Received: from a by b\r\nFrom: fred@example.org\r\nSubject: stones\r\nMessage-ID: <1@example.org>\r\n\r\nYabba.\r\n"

// failure is a notice about mail of fred's.
func (o *office) failure() relay.Notice {
	return relay.Notice{
		Message: o.ids.Next(), Action: relay.ActionFailed,
		Submission: &relay.Submission{
			Account: fred, From: fred, Recipients: []mailbox.Address{{Local: "barney", Domain: "example.com"}},
			HeaderID: "1@example.org", Accepted: o.now, Expires: o.now.Add(5 * 24 * time.Hour),
		},
		Recipients: []relay.Fate{{
			Outcome: relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.1.1", Text: "550 5.1.1 no such user"},
			Service: "agent 1", Attempted: o.now,
		}},
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(original)), nil },
	}
}

// A report is a notification that was read back.
type report struct {
	header     message.Header
	text       string
	message    textproto.Header // fields about the message
	recipient  textproto.Header // about the first recipient
	recipients []textproto.Header
	returned   string
	types      []string // of the parts
}

// read reads a notification as any program would.
func read(t *testing.T, content string) (r report) {
	t.Helper()
	for line := range strings.Lines(content) {
		if text, ok := strings.CutSuffix(line, "\r\n"); !ok || len(text) > 998 || strings.ContainsAny(text, "\r\n") {
			t.Errorf("line %q", line)
		}
	}
	e, err := message.Read(strings.NewReader(content))
	if err != nil {
		t.Fatalf("%v:\n%s", err, content)
	}
	kind, params, err := e.Header.ContentType()
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("Content-Type %s %v, %v", kind, params, err)
	}
	r.header = e.Header
	parts := e.MultipartReader()
	for {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return r
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := p.Header.ContentType()
		r.types = append(r.types, kind)
		body, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		switch len(r.types) {
		case 1:
			r.text = string(body)
		case 2:
			message, recipient, _ := strings.Cut(string(body), "\r\n\r\n")
			r.message = fieldsOf(t, message)
			for one := range strings.SplitSeq(strings.TrimSuffix(recipient, "\r\n"), "\r\n\r\n") {
				r.recipients = append(r.recipients, fieldsOf(t, one))
			}
			r.recipient = r.recipients[0]
		case 3:
			r.returned = string(body)
		}
	}
}

func fieldsOf(t *testing.T, text string) textproto.Header {
	t.Helper()
	h, err := textproto.ReadHeader(bufio.NewReader(strings.NewReader(text + "\r\n\r\n")))
	if err != nil {
		t.Fatalf("fields %q: %v", text, err)
	}
	return h
}

func TestASenderIsToldOfAFailure(t *testing.T) {
	o := newOffice()
	n := o.failure()
	n.Submission.EnvelopeID = "QQ314159"
	n.Submission.Original = []string{"rfc822;Barney@example.com"}
	if err := o.notifier.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	content := only(t, o.mail(t, "fred"))
	if !strings.HasPrefix(content, "Return-Path: <>\r\n") {
		t.Errorf("begins with %.40q; want the null reverse-path", content)
	}
	r := read(t, content)
	for name, want := range map[string]string{
		"To": "<fred@example.org>", "From": "Mail Delivery System <MAILER-DAEMON@mx.example.org>", "Auto-Submitted": "auto-replied",
		"In-Reply-To": "<1@example.org>", "References": "<1@example.org>", "Date": "Sun, 22 Nov 2026 12:00:00 +0000", "MIME-Version": "1.0",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %s; want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"Original-Envelope-Id": "QQ314159", "Reporting-MTA": "dns; mx.example.org", "Arrival-Date": "Sun, 22 Nov 2026 12:00:00 +0000",
	} {
		if got := r.message.Get(name); got != want {
			t.Errorf("%s: %s; want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"Original-Recipient": "rfc822;Barney@example.com", "Final-Recipient": "rfc822; barney@example.com", "Action": "failed",
		"Status": "5.1.1", "Remote-MTA": "x-service; agent 1", "Diagnostic-Code": "smtp; 550 5.1.1 no such user",
		"Last-Attempt-Date": "Sun, 22 Nov 2026 12:00:00 +0000", "Will-Retry-Until": "",
	} {
		if got := r.recipient.Get(name); got != want {
			t.Errorf("%s: %s; want %s", name, got, want)
		}
	}
	if want := "message/delivery-status"; r.types[1] != want || r.types[2] != "text/rfc822-headers" {
		t.Errorf("parts %v", r.types)
	}
	if want, _, _ := strings.Cut(original, "\r\n\r\n"); r.returned != want+"\r\n" {
		t.Errorf("returned %q; want the header", r.returned)
	}
	if !strings.Contains(r.text, "<barney@example.com>") || !strings.Contains(r.text, "no such user") {
		t.Errorf("people read %q", r.text)
	}
}

// RFC 3464, section 2.1: one notification has fields about each recipient. Who does not
// want to hear of one hears of the others.
func TestASenderIsToldOfSeveralRecipientsAtOnce(t *testing.T) {
	o := newOffice()
	n := o.failure()
	s := n.Submission
	for _, name := range []string{"betty@example.com", "bammbamm@example.com"} {
		s.Recipients = append(s.Recipients, parsed(t, name))
	}
	s.Notify = []relay.Notify{0, relay.NotifyNever, relay.NotifyFailure}
	for i, text := range []string{1: "550 5.1.1 no Betty", 2: "550 5.1.1 no child"} {
		if i > 0 {
			n.Recipients = append(n.Recipients, relay.Fate{Recipient: i, Outcome: relay.Outcome{Result: relay.BadRecipient, Enhanced: "5.1.1", Text: text}})
		}
	}
	if err := o.notifier.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	r := read(t, only(t, o.mail(t, "fred")))
	var told []string
	for _, about := range r.recipients {
		told = append(told, about.Get("Final-Recipient")+" "+about.Get("Action")+" "+about.Get("Diagnostic-Code"))
	}
	if want := []string{"rfc822; barney@example.com failed smtp; 550 5.1.1 no such user", "rfc822; bammbamm@example.com failed smtp; 550 5.1.1 no child"}; !slices.Equal(told, want) {
		t.Errorf("told of %q", told)
	}
	if !strings.Contains(r.text, "<barney@example.com>") || !strings.Contains(r.text, "no child") || strings.Contains(r.text, "betty") {
		t.Errorf("people read %q", r.text)
	}
	found, err := o.suppressed.Suppressed(t.Context(), fred, o.now, s.Recipients)
	if err != nil || len(found) != 3 {
		t.Errorf("suppressed %v, %v; want all", found, err)
	}
}

// RFC 2045, section 6.4: what is around a part of 8 bits has them too.
func TestANotificationIsOfEightBitsWhereAPartIs(t *testing.T) {
	for text, want := range map[string]bool{"550 5.1.1 no such user": false, "550 5.1.1 нет такого": true} {
		o := newOffice()
		n := o.failure()
		n.Submission.From, n.Recipients[0].Outcome.Text = parsed(t, "fred@example.net"), text
		if err := o.notifier.Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		q := only(t, o.queued)
		if r := read(t, q.content); r.header.Get("Content-Transfer-Encoding") != "8bit" || q.submission.EightBit != want {
			t.Errorf("%s: Content-Transfer-Encoding %q, 8 bits %v; want %v", text, r.header.Get("Content-Transfer-Encoding"), q.submission.EightBit, want)
		}
	}
}

// RFC 3461, section 4.1 and 6.2.
func TestASenderHearsWhatHeAskedFor(t *testing.T) {
	const failed, delayed, relayed, delivered = relay.ActionFailed, relay.ActionDelayed, relay.ActionRelayed, relay.ActionDelivered
	for wants, told := range map[relay.Notify][]relay.Action{
		0:                   {failed, delayed},
		relay.NotifyNever:   nil,
		relay.NotifySuccess: {relayed, delivered},
		relay.NotifyFailure: {failed},
		relay.NotifyDelay:   {delayed},
		relay.NotifyFailure | relay.NotifySuccess: {failed, relayed, delivered},
	} {
		for action := failed; action <= delivered; action++ {
			t.Run(fmt.Sprintf("%s of %b", action, wants), func(t *testing.T) {
				o := newOffice()
				n := o.failure()
				n.Action, n.Submission.Notify = action, []relay.Notify{wants}
				if err := o.notifier.Notify(t.Context(), n); err != nil {
					t.Fatal(err)
				}
				hears := false
				for _, a := range told {
					hears = hears || a == action
				}
				mail := o.mail(t, "fred")
				if (len(mail) == 1) != hears || len(mail) > 1 {
					t.Fatalf("%d notifications, hears of it: %v", len(mail), hears)
				}
				if hears {
					r := read(t, mail[0])
					if got := r.recipient.Get("Action"); got != action.String() {
						t.Errorf("the action is %s", got)
					}
				}
			})
		}
	}
}

func TestTheStatusFitsTheAction(t *testing.T) {
	for _, c := range []struct {
		action  relay.Action
		outcome relay.Outcome
		expired bool
		status  string
	}{
		{relay.ActionFailed, relay.Outcome{Result: relay.BadRecipient, Enhanced: "5.2.2"}, false, "5.2.2"},
		{relay.ActionFailed, relay.Outcome{Result: relay.BadRecipient}, false, "5.1.1"},
		{relay.ActionFailed, relay.Outcome{Result: relay.BadMessage, Code: 413}, false, "5.6.0"},
		{relay.ActionFailed, relay.Outcome{Result: relay.Temporary, Enhanced: "4.2.2"}, false, "5.0.0"},
		{relay.ActionFailed, relay.Outcome{Result: relay.Temporary, Enhanced: "4.2.2"}, true, "5.4.7"},
		{relay.ActionDelayed, relay.Outcome{Result: relay.Temporary, Enhanced: "4.2.2"}, false, "4.2.2"},
		{relay.ActionDelayed, relay.Outcome{Result: relay.BadMessage, Enhanced: "5.6.0"}, false, "4.0.0"},
		{relay.ActionRelayed, relay.Outcome{Enhanced: "2.6.0"}, false, "2.6.0"},
		{relay.ActionRelayed, relay.Outcome{Code: 202}, false, "2.0.0"},
	} {
		o := newOffice()
		n := o.failure()
		n.Action, n.Recipients[0].Outcome, n.Expired, n.Submission.Notify = c.action, c.outcome, c.expired, []relay.Notify{^relay.NotifyNever}
		if err := o.notifier.Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		r := read(t, only(t, o.mail(t, "fred")))
		if got := r.recipient.Get("Status"); got != c.status {
			t.Errorf("%s after %v: %s; want %s", c.action, c.outcome, got, c.status)
		}
	}
}

func TestANotificationIsNeverAnswered(t *testing.T) {
	o := newOffice()
	n := o.failure()
	n.Submission.From = mailbox.Address{}
	if err := o.notifier.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if mail := o.mail(t, "fred"); len(mail)+len(o.queued) != 0 {
		t.Errorf("told %q and %v", mail, o.queued)
	}
}

func TestASenderWhoIsNotOursIsToldThroughTheQueue(t *testing.T) {
	o := newOffice()
	n := o.failure()
	n.Submission.From = parsed(t, "fred@example.net")
	if err := o.notifier.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	q := only(t, o.queued)
	s := q.submission
	if !s.From.IsZero() || only(t, s.Recipients) != n.Submission.From || s.Account != fred || only(t, s.Notify) != relay.NotifyNever ||
		s.Octets != int64(len(q.content)) {
		t.Errorf("queued %+v", s)
	}
	r := read(t, q.content)
	if r.header.Has("Return-Path") || r.header.Get("Message-ID") != "<"+s.HeaderID+">" {
		t.Errorf("Return-Path %q, Message-ID %q", r.header.Get("Return-Path"), r.header.Get("Message-ID"))
	}
}

func TestASenderWhoIsGoneIsNotTold(t *testing.T) {
	o := newOffice()
	n := o.failure()
	n.Submission.From = parsed(t, "betty@example.org")
	if err := o.notifier.Notify(t.Context(), n); err != nil || len(o.queued) != 0 {
		t.Errorf("Notify = %v, %d queued", err, len(o.queued))
	}
	o.notifier.Outbox = nil
	n.Submission.From = parsed(t, "betty@example.net")
	if err := o.notifier.Notify(t.Context(), n); err != nil {
		t.Errorf("without a queue: %v", err)
	}
}

func TestANotificationThatIsRepeatedIsTheSameMessage(t *testing.T) {
	o := newOffice()
	n := o.failure()
	f := mailboxtest.Faulty(o.stores, mailboxtest.Nth(2, mailboxtest.Lie))
	o.notifier.Deliverer = f.Deliveries()
	if err := o.notifier.Notify(t.Context(), n); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Fatalf("Notify = %v, want ErrUnavailable", err)
	}
	for range 2 {
		o.now = o.now.Add(29 * time.Minute)
		if err := o.notifier.Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if first := read(t, only(t, o.mail(t, "fred"))); first.header.Get("Message-ID") == "" {
		t.Error("no Message-ID")
	}
	n.Recipients[0].Recipient = 1
	n.Submission.Recipients = append(n.Submission.Recipients, n.Submission.Recipients[0])
	second, both, delayed := n, n, n
	both.Recipients = append(slices.Clone(n.Recipients), relay.Fate{Recipient: 0})
	delayed.Action = relay.ActionDelayed
	for i, other := range []relay.Notice{second, o.failure(), both, delayed} {
		if err := o.notifier.Notify(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if mail := o.mail(t, "fred"); len(mail) != i+2 {
			t.Errorf("%d messages after another recipient, message, group and action; want %d", len(mail), i+2)
		}
	}
}

// A sweep takes an old content that is not listed for orphaned.
func TestTheIDOfANotificationIsYoung(t *testing.T) {
	o := newOffice()
	n := o.failure()
	o.now = o.now.Add(5*24*time.Hour + 59*time.Minute)
	if err := o.notifier.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	list, err := o.stores.Maildrops.List(t.Context(), mailboxOf("fred").Maildrop)
	if err != nil {
		t.Fatal(err)
	}
	if age := o.now.Sub(only(t, list).ID.Time()); age < 0 || age > time.Hour {
		t.Errorf("the id is %v old", age)
	}
}

// RFC 3461, sections 4.3 and 6.2.
func TestAsMuchOfTheContentIsReturnedAsWasAskedForWithinALimit(t *testing.T) {
	header, body, _ := strings.Cut(original, "\r\n\r\n")
	large := header + "\r\n\r\n" + strings.Repeat(body, 256<<10/len(body))
	for _, c := range []struct {
		name    string
		full    bool
		action  relay.Action
		content string
		want    string
	}{
		{"the header", false, relay.ActionFailed, original, header + "\r\n"},
		{"all", true, relay.ActionFailed, original, original},
		{"the header of what is large", true, relay.ActionFailed, large, header + "\r\n"},
		{"the header of what is delayed", true, relay.ActionDelayed, original, header + "\r\n"},
		{"a header without a body", false, relay.ActionFailed, header + "\r\n", header + "\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOffice()
			n := o.failure()
			n.Action, n.Submission.FullReturn = c.action, c.full
			n.Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(c.content)), nil }
			if err := o.notifier.Notify(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			kind := "text/rfc822-headers"
			if c.want == original {
				kind = "message/rfc822"
			}
			if r := read(t, only(t, o.mail(t, "fred"))); r.returned != c.want || r.types[2] != kind {
				t.Errorf("returned %q as %s; want %q as %s", r.returned, r.types[2], c.want, kind)
			}
		})
	}
}

func TestANotificationGoesWithoutAContentThatIsGone(t *testing.T) {
	o := newOffice()
	n := o.failure()
	n.Open = func(context.Context) (io.ReadCloser, error) { return nil, mailbox.ErrUnavailable }
	if err := o.notifier.Notify(t.Context(), n); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("Notify = %v where the content cannot be had now", err)
	}
	n.Open = func(context.Context) (io.ReadCloser, error) { return nil, mailbox.ErrNotFound }
	if err := o.notifier.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if r := read(t, only(t, o.mail(t, "fred"))); len(r.types) != 2 {
		t.Errorf("parts %v", r.types)
	}
}

// RFC 6533.
func TestANotificationOfInternationalMailIsInUTF8(t *testing.T) {
	o := newOffice()
	n := o.failure()
	s := n.Submission
	s.UTF8, s.From, s.FullReturn = true, parsed(t, "фред@example.org"), true
	s.Recipients, s.Original = []mailbox.Address{parsed(t, "пётр@example.com")}, []string{"utf-8;Пётр@example.com"}
	n.Recipients[0].Outcome.Text = "550 5.1.1 нет такого"
	if err := o.notifier.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	r := read(t, only(t, o.mail(t, "фред")))
	if r.types[1] != "message/global-delivery-status" || r.types[2] != "message/global" {
		t.Errorf("parts %v", r.types)
	}
	for name, want := range map[string]string{
		"Final-Recipient": "utf-8; пётр@example.com", "Original-Recipient": "utf-8;Пётр@example.com", "Diagnostic-Code": "smtp; 550 5.1.1 нет такого",
	} {
		if got := r.recipient.Get(name); got != want {
			t.Errorf("%s: %s; want %s", name, got, want)
		}
	}
}

func TestWhatOthersSayCannotBreakANotification(t *testing.T) {
	o := newOffice()
	n := o.failure()
	s := n.Submission
	n.Recipients[0].Outcome.Text = "550 5.1.1 нет\r\nAction: delivered\x00" + strings.Repeat("ы", 1000)
	n.Recipients[0].Service, s.EnvelopeID, s.Original = "a\r\nb", "x\r\n\r\ny", []string{"utf-8;Пётр@example.com\r\n"}
	s.HeaderID = "1@\r\nBcc: wilma@example.org"
	if err := o.notifier.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	content := only(t, o.mail(t, "fred"))
	r := read(t, content)
	if r.header.Has("Bcc") || r.recipient.Get("Action") != "failed" || r.recipient.Len() != 7 {
		t.Errorf("got %s", content)
	}
	if _, fields, _ := strings.Cut(content, "message/delivery-status"); strings.ContainsFunc(fields, func(r rune) bool { return r > '~' }) {
		t.Errorf("beyond ASCII: %q", fields)
	}
	if got, want := r.recipient.Get("Original-Recipient"), `utf-8;\x{41F}\x{451}\x{442}\x{440}@example.com`; got != want {
		t.Errorf("Original-Recipient: %s; want %s", got, want)
	}
}

func TestAFailureOfTheRouterOrTheStoreIsTold(t *testing.T) {
	o := newOffice()
	o.resolveErr = mailbox.ErrUnavailable
	if err := o.notifier.Notify(t.Context(), o.failure()); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("Notify = %v where nobody knows the sender", err)
	}
	o.resolveErr, o.queueErr = mailbox.ErrNotLocal, mailbox.ErrUnavailable
	if err := o.notifier.Notify(t.Context(), o.failure()); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("Notify = %v where the queue is away", err)
	}
}
