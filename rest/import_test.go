package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"restante/auth"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// addresses are those of a listing, in order.
func addresses(t *testing.T, body string) string {
	t.Helper()
	var l listing
	if err := json.Unmarshal([]byte(body), &l); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	list := make([]string, 0, len(l.Accounts))
	for _, a := range l.Accounts {
		list = append(list, a.Address)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// importEvents plays an import and reads its answer.
func (s *site) importEvents(t *testing.T, text string) []ImportEvent {
	t.Helper()
	w := s.answerTo("POST", "/accounts/import", text, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var events []ImportEvent
	for line := range strings.Lines(w.Body.String()) {
		var ev ImportEvent
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		events = append(events, ev)
	}
	return events
}

func TestAnImportMakesWhatItCanAndReportsTheRest(t *testing.T) {
	s := newHandler()
	s.account(t, "taken@example.org")
	const phc = "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"
	events := s.importEvents(t, strings.Join([]string{
		"\ufeff# made by hand",
		"",
		"   ",
		"one@example.org:secret",
		"Two@Example.org: with: colon and spaces \r",
		"three@example.net:" + bcryptHash,
		"four@example.org:" + phc,
		"five@example.org:{BLF-CRYPT}" + bcryptHash + ":1000:1000::/home:",
		"taken@example.org:secret",
		"one@example.org:again",
		"six@example.com:secret",
		"nonsense",
		"@example.org:secret",
		"seven@example.org:",
		"eight@example.org:$6$salt$hash",
		"nine@example.org:$2y$31$" + bcryptHash[7:],
		"ten@example.org:caf\xe9",
		"eleven@example.org:" + strings.Repeat("x", maxImportLine),
		`"a:b"@example.org:` + bcryptHash,
		"  # the end",
	}, "\n"))

	last := events[len(events)-1]
	if want := (ImportEvent{Made: 6, Failed: 10, Done: true}); last != want {
		t.Errorf("the last event is %+v, want %+v", last, want)
	}
	got := make(map[int]ImportEvent)
	for _, ev := range events[:len(events)-1] {
		if ev.Line == 0 {
			continue // how far it is
		}
		got[ev.Line] = ev
	}
	for line, want := range map[int][2]string{
		9:  {"taken@example.org", "the address exists"},
		10: {"one@example.org", "line 4 is for the same address"},
		11: {"six@example.com", "not served here"},
		12: {"", "no colon"},
		13: {"", "malformed address"},
		14: {"seven@example.org", "no password"},
		15: {"eight@example.org", "neither $argon2id$ nor bcrypt"},
		16: {"nine@example.org", "cost 31"},
		17: {"ten@example.org", "not UTF-8"},
	} {
		if got[line].Address != want[0] || !strings.Contains(got[line].Error, want[1]) {
			t.Errorf("line %d: %+v, want %s: %s", line, got[line], want[0], want[1])
		}
		delete(got, line)
	}
	if len(got) != 1 || !strings.Contains(got[18].Error, "longer than") {
		t.Errorf("other lines that failed: %v", got)
	}
	for address, password := range map[string]string{
		"one@example.org": "secret", "two@example.org": " with: colon and spaces ", "three@example.net": "secret",
		"four@example.org": "password", "five@example.org": "secret", `"a:b"@example.org`: "secret",
	} {
		if route := s.route(t, address); route.Kind != mailbox.Account || !auth.Check(route.Secret, password) {
			t.Errorf("%s with %q: %+v", address, password, route)
		}
	}
	if s.route(t, "eight@example.org").Kind != mailbox.Vacant {
		t.Error("a hash nobody can check became a password")
	}
}

func TestThousandsOfAccountsAreImportedThroughTheClient(t *testing.T) {
	s := newSite(t)
	s.account(t, "user4321@example.org")
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "user%d@example.org:%s%s\n", i, bcryptHash, strings.Repeat(":", 200))
	}
	text.WriteString("the last line") // in the second request
	var failed []ImportEvent
	made, bad, err := s.Import(t.Context(), strings.NewReader(text.String()), func(ev ImportEvent) {
		if ev.Line > 0 {
			failed = append(failed, ev)
		}
	})
	if err != nil || made != 4999 || bad != 2 {
		t.Errorf("%d made, %d failed: %v", made, bad, err)
	}
	if len(failed) != 2 || failed[0].Line != 4322 || failed[1].Line != 5001 {
		t.Errorf("failed: %+v", failed)
	}
	if requests := strings.Count(s.log.String(), "accounts imported"); requests < 2 {
		t.Errorf("%d requests: the test was to be of several", requests)
	}
	n := 0
	for _, err := range s.List(t.Context(), "example.org", "account") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 5000 {
		t.Errorf("%d accounts are listed", n)
	}
}

func TestAnImportStopsWhenStorageIsGoneForGood(t *testing.T) {
	s := newSite(t)
	var puts atomic.Int32
	s.breakCalls("Addresses.Put", func(ctx context.Context, c mailboxtest.Call) error {
		if puts.Add(1) > 100 {
			return mailbox.ErrUnavailable
		}
		return c.Do(ctx)
	})
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "user%d@example.org:%s\n", i, bcryptHash)
	}
	made, failed, err := s.Import(t.Context(), strings.NewReader(text.String()), nil)
	if err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("error is %v", err)
	}
	if made != 100 || failed < importPatience || failed > importPatience+2*importWorkers {
		t.Errorf("%d made, %d failed", made, failed)
	}
	t.Run("and a repeat makes the rest", func(t *testing.T) {
		s.breakCalls("", nil)
		made, failed, err := s.Import(t.Context(), strings.NewReader(text.String()), nil)
		if err != nil || made != 4900 || failed != 100 {
			t.Errorf("%d made, %d failed: %v", made, failed, err)
		}
	})
}

func TestAnImportGoesOnAfterAFailureOfStorage(t *testing.T) {
	s := newHandler()
	var puts atomic.Int32
	s.breakCalls("Addresses.Put", func(ctx context.Context, c mailboxtest.Call) error {
		if puts.Add(1)%10 == 0 {
			return mailbox.ErrUnavailable
		}
		return c.Do(ctx)
	})
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "user%d@example.org:%s\n", i, bcryptHash)
	}
	events := s.importEvents(t, text.String())
	if want := (ImportEvent{Made: 900, Failed: 100, Done: true}); events[len(events)-1] != want {
		t.Errorf("%+v, want %+v", events[len(events)-1], want)
	}
}

func TestAnImportEndsWithItsClient(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	var puts atomic.Int32
	s.breakCalls("Addresses.Put", func(ctx context.Context, c mailboxtest.Call) error {
		if puts.Add(1) == 50 {
			cancel()
		}
		if puts.Load() >= 50 {
			<-ctx.Done() // until the server has noticed
			return ctx.Err()
		}
		return c.Do(ctx)
	})
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "user%d@example.org:%s\n", i, bcryptHash)
	}
	if _, _, err := s.Import(ctx, strings.NewReader(text.String()), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if n := puts.Load(); n > 50+2*importWorkers {
		t.Errorf("%d accounts were tried", n)
	}
}

func TestAnImportIsBounded(t *testing.T) {
	s := newHandler()
	kibibyte := "#" + strings.Repeat("x", 1022) + "\n"
	w := s.answerTo("POST", "/accounts/import", strings.Repeat(kibibyte, maxImport/1024)+"#")
	wantProblem(t, w, http.StatusRequestEntityTooLarge, "request-too-large")
	if events := s.importEvents(t, strings.Repeat(kibibyte, maxImport/1024)); len(events) != 1 || !events[0].Done {
		t.Errorf("%v", events)
	}
	wantProblem(t, s.answerTo("POST", "/accounts/import", ""), http.StatusBadRequest, "")
}

func TestAListThatIsNoneIsNotSent(t *testing.T) {
	c := &Client{Base: "127.0.0.1:1", Token: "x"}
	_, _, err := c.Import(t.Context(), strings.NewReader(strings.Repeat("x", 1<<20)), nil)
	if err == nil || !strings.Contains(err.Error(), "not a list of accounts") {
		t.Errorf("error is %v", err)
	}
	if made, failed, err := c.Import(t.Context(), strings.NewReader(""), nil); made != 0 || failed != 0 || err != nil {
		t.Errorf("nothing: %d, %d, %v", made, failed, err)
	}
	if _, _, err := c.Import(t.Context(), brokenReader{}, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a reader that breaks: %v", err)
	}
}

// FuzzImportLine asserts that a line is an account with a canonical address and
// either a password or a hash that can be checked, or an error, or nothing.
func FuzzImportLine(f *testing.F) {
	for _, s := range []string{
		"", "# x", "fred@example.org:secret", "fred@example.org:" + bcryptHash, `"a:b"@[IPv6:::1]:x:y`,
		"fred@example.org:{CRYPT}" + bcryptHash + ":::", "fred@example.org:$6$x$y", ":", "a@b:\x00", strings.Repeat(":", 3000),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line, ok, err := parseImportLine(s)
		if !ok || err != nil {
			if !ok && err != nil {
				t.Errorf("no account, and %v", err)
			}
			if line.Password != "" {
				t.Error("a password beside an error")
			}
			return
		}
		if again, err := mailbox.ParseAddress(line.address.String()); err != nil || again != line.address {
			t.Errorf("address %q is read again as %v, %v", line.address, again, err)
		}
		if line.Hash != "" && (line.Password != "" || auth.ValidHash(line.Hash) != nil) {
			t.Errorf("hash %q, password %q", line.Hash, line.Password)
		}
		if auth.LooksLikeHash(line.Password) {
			t.Errorf("hash %q is taken for a password", line.Password)
		}
		if line.Password != "" && !strings.HasSuffix(strings.TrimSuffix(s, "\r"), ":"+line.Password) {
			t.Errorf("password %q of line %q", line.Password, s)
		}
	})
}
