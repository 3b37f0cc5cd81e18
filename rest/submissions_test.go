package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/auth"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
)

// An outbox takes what is for others, and may fail.
type outbox struct {
	mu    sync.Mutex
	fault error
	hold  chan struct{} // Submit waits for it; nil: it does not
	taken []taken
	ids   mailbox.MessageIDs
}

type taken struct {
	relay.Submission
	content string
}

func (o *outbox) Submit(_ context.Context, s relay.Submission, content io.Reader) (mailbox.MessageID, error) {
	text, err := io.ReadAll(content)
	if err != nil {
		return mailbox.MessageID{}, err
	}
	o.mu.Lock()
	hold := o.hold
	o.mu.Unlock()
	if hold != nil {
		<-hold
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fault != nil {
		return mailbox.MessageID{}, o.fault
	}
	o.taken = append(o.taken, taken{s, string(text)})
	return o.ids.Next(), nil
}

func (o *outbox) set(change func(*outbox)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(o)
}

// all is what was taken.
func (o *outbox) all() []taken {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.taken)
}

// doorman knows one password, "secret", of every account of the directory.
type doorman struct {
	*mailbox.Directory
	mu    sync.Mutex
	fault error
	asked []auth.Attempt
}

func (d *doorman) Verify(ctx context.Context, a auth.Attempt) (auth.Identity, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, a)
	address, err := mailbox.ParseAddress(a.User)
	switch {
	case d.fault != nil:
		return auth.Identity{}, d.fault
	case err != nil, a.Password != "secret":
		return auth.Identity{}, auth.ErrCredentials
	}
	route, err := d.Lookup(ctx, address)
	return auth.Identity{Address: address, Maildrop: route.Maildrop}, err
}

// A sorting office is a public interface that users submit mail to.
type sorting struct {
	*lodge
	doorman *doorman
	outbox  *outbox
}

// newSorting has the accounts fred, ann, bob and alice of example.org, and the alias sales of fred.
func newSorting(t testing.TB, edit ...func(*PublicOptions)) *sorting {
	t.Helper()
	s := &sorting{outbox: new(outbox)}
	s.lodge = newLodge(t, append([]func(*PublicOptions){s.submissions}, edit...)...)
	s.doorman.Directory = s.directory
	for _, local := range []string{"fred", "ann", "bob", "alice"} {
		a := mailbox.Address{Local: local, Domain: "example.org"}
		if _, err := s.directory.Create(context.Background(), a, mailbox.Route{Kind: mailbox.Account, Secret: bcryptHash}); err != nil {
			t.Fatal(err)
		}
	}
	sales := mailbox.Address{Local: "sales", Domain: "example.org"}
	fred := mailbox.Address{Local: "fred", Domain: "example.org"}
	if _, err := s.directory.Create(context.Background(), sales, mailbox.Route{Kind: mailbox.Alias, Targets: []mailbox.Address{fred}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// submissions gives users a way out to the options of a lodge. The directory of the
// doorman comes later.
func (s *sorting) submissions(o *PublicOptions) {
	s.doorman = new(doorman)
	stores := mailboxtest.Memory()
	intake := &relay.Intake{
		Hostname: "mx.example.org", Deliverer: &mailbox.Deliveries{
			Contents: stores.Contents, Project: mailbox.Projector{Maildrops: stores.Maildrops}, IDs: new(mailbox.MessageIDs), Log: slog.New(slog.DiscardHandler),
		},
		Outbox: s.outbox, IDs: new(mailbox.MessageIDs), Log: slog.New(slog.DiscardHandler),
	}
	intake.Notifier = &relay.Notifier{Hostname: "mx.example.org", Log: slog.New(slog.DiscardHandler)}
	o.Submissions = &SubmissionOptions{Verifier: s.doorman, Router: s.doorman, Intake: intake, Hostname: "mx.example.org", InsecureAuth: true}
}

const letterToSend = "From: Fred <fred@example.org>\nTo: Ann <ann@example.com>\nBcc: Cid <cid@example.com>\nSubject: hello\n\nHello.\n"

// submit submits a message as fred does.
func (s *sorting) submit(query, message string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	edit = append([]func(*http.Request){field("Content-Type", "message/rfc822"), as("fred@example.org", "secret")}, edit...)
	return s.answerTo("POST", "/submissions?"+query, message, edit...)
}

func as(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// paths are the recipients of what was taken.
func (t taken) paths() string {
	var all []string
	for _, a := range t.Recipients {
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

func TestASubmissionLeavesAsItsHeaderSays(t *testing.T) {
	s := newSorting(t)
	answer := decode[Submitted](t, s.submit("", letterToSend), http.StatusAccepted)
	if _, err := mailbox.ParseMessageID(answer.ID); err != nil {
		t.Error(err)
	}
	all := s.outbox.all()
	if len(all) != 1 {
		t.Fatalf("%d were taken", len(all))
	}
	m := all[0]
	if m.Account.String() != "fred@example.org" || m.From != m.Account || m.paths() != "ann@example.com cid@example.com" || m.Class != relay.Normal || m.UTF8 {
		t.Errorf("%+v", m.Submission)
	}
	for _, line := range []string{"Received: from [192.0.2.1]\r\n\tby mx.example.org (Restante) with HTTP id ", "\r\nMessage-ID: <", "\r\nDate: ", "\r\nTo: Ann <ann@example.com>\r\n", "\r\n\r\nHello.\r\n"} {
		if !strings.Contains(m.content, line) {
			t.Errorf("no %q in %q", line, m.content)
		}
	}
	if strings.Contains(m.content, "Bcc") {
		t.Errorf("everybody reads of the blind copy: %q", m.content)
	}
}

func TestASubmissionLeavesAsTheRequestSays(t *testing.T) {
	s := newSorting(t)
	query := url.Values{"from": {"sales@example.org"}, "to": {"dan@example.net", `"a,b"@example.net`, "größe@example.net"}, "class": {"high"}}
	decode[Submitted](t, s.submit(query.Encode(), letterToSend), http.StatusAccepted)
	m := s.outbox.all()[0]
	if m.From.String() != "sales@example.org" || m.paths() != `dan@example.net "a,b"@example.net größe@example.net` || m.Class != relay.High || !m.UTF8 {
		t.Errorf("%+v", m.Submission)
	}
	decode[Submitted](t, s.submit("from=fred%2Blists@example.org&to=dan@example.net", "Subject: ä\n\n"), http.StatusAccepted)
	if m := s.outbox.all()[1]; m.From.String() != "fred+lists@example.org" || !m.UTF8 {
		t.Errorf("%+v", m.Submission)
	}
}

func TestAHeaderSaysForWhomAMessageIsInManyWays(t *testing.T) {
	for fields, want := range map[string]string{
		"To: a@example.com, Ann B <b@example.com>\nTo: c@example.com\nCc: A@EXAMPLE.com, a@example.com": "a@example.com b@example.com c@example.com",
		"To: undisclosed-recipients:;\nBcc: a@example.com":                                              "a@example.com",
		"To: friends: a@example.com, b@example.com;\nCc:":                                               "a@example.com b@example.com",
		"To: =?x-unknown?q?=E4?= <a@example.com>,\n =?utf-8?q?=C3=A4?= <b@example.com>":                 "a@example.com b@example.com",
		"Bcc: a@example.com": "a@example.com",
	} {
		s := newSorting(t)
		w := s.submit("", "From: fred@example.org\n"+fields+"\n\nHello.\n")
		if w.Code != http.StatusAccepted {
			t.Errorf("%q: %d %s", fields, w.Code, w.Body)
		} else if got := s.outbox.all()[0].paths(); got != want {
			t.Errorf("%q: %s, want %s", fields, got, want)
		}
	}
	s := newSorting(t)
	decode[Submitted](t, s.submit("", "From: ann@example.org, bob@example.org\nSender: fred@example.org\nTo: a@example.com\n\n"), http.StatusAccepted)
}

func TestASubmissionThatCannotBeIsRefused(t *testing.T) {
	s := newSorting(t)
	for name, c := range map[string]struct {
		query, message string
		status         int
		kind           string
	}{
		"no header":           {"", "hello\n", 422, "malformed-message"},
		"no sender":           {"to=a@example.com", "Subject: x\n\n", 422, "no-sender"},
		"nobody":              {"", "From: fred@example.org\n\n", 422, "no-recipients"},
		"broken To":           {"", "From: fred@example.org\nTo: <<>>\n\n", 422, "malformed-message"},
		"To without domain":   {"", "From: fred@example.org\nTo: ann\n\n", 422, "malformed-message"},
		"odd address":         {"", "From: fred@example.org\nTo: a@b..c\n\n", 422, ""},
		"odd to":              {"to=ann", letterToSend, 422, "malformed-address"},
		"odd from":            {"from=fred", letterToSend, 422, "malformed-address"},
		"another's":           {"from=ann@example.org", letterToSend, 403, "sender-not-yours"},
		"nobody's":            {"from=zoe@example.org", letterToSend, 403, "sender-not-yours"},
		"elsewhere's":         {"from=fred@example.com", letterToSend, 403, "sender-not-yours"},
		"another's header":    {"", "From: ann@example.org\nTo: a@example.com\n\n", 403, "sender-not-yours"},
		"unknown local":       {"to=zoe@example.org", letterToSend, 422, "recipient-unknown"},
		"odd class":           {"class=low", letterToSend, 422, "invalid-request"},
		"Return-Path":         {"", "Return-Path: <x@example.org>\n" + letterToSend, 422, "malformed-message"},
		"circles":             {"", strings.Repeat("Received: x\n", 101) + letterToSend, 422, "too-many-hops"},
		"large header":        {"", "X: " + strings.Repeat("x", relay.MaxHeader) + "\n" + letterToSend, 422, "header-too-large"},
		"too large":           {"", strings.Repeat("x", defaultMaxSubmission+1), 413, "request-too-large"},
		"too many":            {"to=a@example.com" + strings.Repeat("&to=a@example.com", 1000), letterToSend, 422, "too-many-recipients"},
		"empty":               {"", "", 400, "malformed-request"},
		"long key":            {"", letterToSend, 422, "invalid-request"},
		"not this parameter":  {"subject=x", letterToSend, 422, "invalid-request"},
		"none of these types": {"", letterToSend, 415, "unsupported-media-type"},
	} {
		w := s.submit(c.query, c.message, func(r *http.Request) {
			switch name {
			case "long key":
				r.Header.Set("Idempotency-Key", strings.Repeat("k", 256))
			case "none of these types":
				r.Header.Set("Content-Type", "text/plain")
			}
		})
		t.Log(name)
		if c.kind != "" {
			wantProblem(t, w, c.status, c.kind)
		} else if w.Code != c.status {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if n := len(s.outbox.all()); n > 0 {
		t.Errorf("%d were taken", n)
	}
}

func TestOnlyUsersSubmit(t *testing.T) {
	s := newSorting(t, func(o *PublicOptions) { o.Keys = map[string]string{"ann": "0123456789abcdef"} })
	for name, edit := range map[string]func(*http.Request){
		"nobody":         func(r *http.Request) { r.Header.Del("Authorization") },
		"wrong password": as("fred@example.org", "guess"),
		"no address":     as("", "secret"),
		"an API key":     field("Authorization", "Bearer 0123456789abcdef"),
		"rubbish":        field("Authorization", "Basic !"),
	} {
		w := s.submit("", letterToSend, edit, func(r *http.Request) { r.Body = io.NopCloser(unread{t}) })
		t.Log(name)
		wantProblem(t, w, http.StatusUnauthorized, "credentials-required")
		if w.Header().Get("WWW-Authenticate") != `Basic realm="restante", charset="UTF-8"` {
			t.Errorf("WWW-Authenticate is %q", w.Header().Get("WWW-Authenticate"))
		}
	}
	s.doorman.fault = fmt.Errorf("secret text: %w", mailbox.ErrUnavailable)
	s.doorman.asked = nil
	w := s.submit("", letterToSend)
	wantProblem(t, w, http.StatusServiceUnavailable, "storage-unavailable")
	if w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%s %s", w.Header(), w.Body)
	}
	if a := s.doorman.asked[0]; a.Remote.String() != "192.0.2.1" || a.User != "fred@example.org" {
		t.Errorf("%+v", a)
	}
}

func TestATemporaryMailboxSendsNothing(t *testing.T) {
	s := newSorting(t)
	made := s.mailbox(t, "")
	w := s.submit("from="+made.Email+"&to=ann@example.com", letterToSend, as(made.Email, "secret"))
	wantProblem(t, w, http.StatusForbidden, "account-required")
	if n := len(s.outbox.all()); n > 0 {
		t.Errorf("%d were taken", n)
	}
}

// unread is a body that nobody may read before its sender is known.
type unread struct{ *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.Error("the message of a stranger was read")
	return 0, io.EOF
}

func TestPasswordsAreTakenUnderTLSOnly(t *testing.T) {
	s := newSorting(t, func(o *PublicOptions) { o.Submissions.InsecureAuth = false })
	wantProblem(t, s.submit("", letterToSend), http.StatusForbidden, "tls-required")
	if len(s.doorman.asked) > 0 {
		t.Error("the password was looked at")
	}
	decode[Submitted](t, s.submit("", letterToSend, func(r *http.Request) { r.TLS = new(tls.ConnectionState) }), http.StatusAccepted)
}

func TestASubmissionIsUnderTheOtherPathsToo(t *testing.T) {
	s := newSorting(t)
	edit := []func(*http.Request){field("Content-Type", "message/rfc822")}
	wantProblem(t, s.answerTo("POST", "/v1/submissions", letterToSend, edit...), http.StatusUnauthorized, "credentials-required")
	decode[Submitted](t, s.answerTo("POST", "/v1/submissions", letterToSend, append(edit, as("ann@example.org", "secret"), func(r *http.Request) {
		r.URL.RawQuery = "from=ann@example.org"
	})...), http.StatusAccepted)
	if w := s.answerTo("GET", "/submissions", ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("%d %s", w.Code, w.Header())
	}
	if w := newLodge(t).answerTo("POST", "/submissions", letterToSend); w.Code != http.StatusNotFound {
		t.Errorf("without a way out: %d", w.Code)
	}
}

func TestAMessageToOurOwnIsDelivered(t *testing.T) {
	s := newSorting(t)
	decode[Submitted](t, s.submit("to=ann@example.org&to=sales@example.org", letterToSend), http.StatusAccepted)
	if n := len(s.outbox.all()); n > 0 {
		t.Errorf("%d left", n)
	}
	decode[Submitted](t, s.submit("to=ann@example.org&to=dan@example.net", letterToSend), http.StatusAccepted)
	if all := s.outbox.all(); len(all) != 1 || all[0].paths() != "dan@example.net" {
		t.Errorf("%+v", all)
	}
}

func TestARepeatWithTheSameKeyIsTheSameMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSorting(t)
		again := func(key, query, message string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
			return s.submit(query, message, append(edit, field("Idempotency-Key", key))...)
		}
		first := decode[Submitted](t, again("1", "", letterToSend), http.StatusAccepted)
		if second := decode[Submitted](t, again("1", "", letterToSend), http.StatusAccepted); second != first || len(s.outbox.all()) != 1 {
			t.Errorf("%v after %v, %d were taken", second, first, len(s.outbox.all()))
		}
		wantProblem(t, again("1", "", letterToSend+"."), http.StatusUnprocessableEntity, "key-reused")
		wantProblem(t, again("1", "to=a@example.com", letterToSend), http.StatusUnprocessableEntity, "key-reused")
		wantProblem(t, again("1", "class=bulk", letterToSend), http.StatusUnprocessableEntity, "key-reused")
		if other := decode[Submitted](t, again("2", "", letterToSend), http.StatusAccepted); other == first {
			t.Error("another key is the same message")
		}
		if other := decode[Submitted](t, again("1", "from=ann@example.org", letterToSend, as("ann@example.org", "secret")), http.StatusAccepted); other == first {
			t.Error("another account has the same keys")
		}
		time.Sleep(repeatsKept)
		if later := decode[Submitted](t, again("1", "", letterToSend), http.StatusAccepted); later == first {
			t.Error("it is remembered for more than a day")
		}
	})
}

func TestARepeatWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSorting(t)
		hold := make(chan struct{})
		s.outbox.set(func(o *outbox) { o.hold = hold })
		send := func() *httptest.ResponseRecorder { return s.submit("", letterToSend, field("Idempotency-Key", "1")) }
		var first *httptest.ResponseRecorder
		var sending sync.WaitGroup
		sending.Go(func() { first = send() })
		synctest.Wait()
		w := send()
		wantProblem(t, w, http.StatusConflict, "submission-under-way")
		if w.Header().Get("Retry-After") != "1" {
			t.Errorf("%s", w.Header())
		}
		close(hold)
		sending.Wait()
		if a, b := decode[Submitted](t, first, http.StatusAccepted), decode[Submitted](t, send(), http.StatusAccepted); a != b {
			t.Errorf("%v and %v", a, b)
		}
	})
}

func TestAKeyOfWhatFailedMayBeUsedAgain(t *testing.T) {
	s := newSorting(t)
	for _, c := range []struct {
		fault  error
		status int
		kind   string
	}{
		{fmt.Errorf("secret text: %w", mailbox.ErrUnavailable), http.StatusServiceUnavailable, "storage-unavailable"},
		{fmt.Errorf("secret text: %w", mailbox.ErrFull), http.StatusInsufficientStorage, "storage-full"},
		{relay.ErrBatch, http.StatusUnprocessableEntity, "too-many-recipients"},
		{errors.New("secret text"), http.StatusInternalServerError, "internal-error"},
	} {
		s.outbox.set(func(o *outbox) { o.fault = c.fault })
		w := s.submit("", letterToSend, field("Idempotency-Key", "1"))
		wantProblem(t, w, c.status, c.kind)
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("the client reads %s", w.Body)
		}
	}
	s.outbox.set(func(o *outbox) { o.fault = nil })
	decode[Submitted](t, s.submit("", "From: fred@example.org\nTo: other@example.com\n\n", field("Idempotency-Key", "1")), http.StatusAccepted)
}

func TestKeysAreForgottenWhereThereAreTooMany(t *testing.T) {
	r := newRepeats()
	id := new(mailbox.MessageIDs).Next()
	use := func(account, key string) (known bool) {
		end, before, err := r.begin(mailbox.Address{Local: account, Domain: "example.org"}, key, [32]byte{})
		if err != nil {
			t.Fatal(err)
		}
		end(id)
		return !before.IsZero()
	}
	use("ann", "first")
	for i := range mostRepeatsOne + 1 {
		use("fred", fmt.Sprint(i))
	}
	if !use("ann", "first") {
		t.Error("one account made the server forget the keys of another")
	}
	if !use("fred", "1") || use("fred", "0") {
		t.Error("not the oldest key was forgotten")
	}
	for i := range mostRepeats {
		use(fmt.Sprint("user", i), "1")
	}
	if use("ann", "first") {
		t.Error("nothing was forgotten")
	}
	if len(r.byKey) != mostRepeats || r.all.Len() != mostRepeats || len(r.accounts) != mostRepeats {
		t.Errorf("%d keys, %d in order, of %d accounts", len(r.byKey), r.all.Len(), len(r.accounts))
	}
}
