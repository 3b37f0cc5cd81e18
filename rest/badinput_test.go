package rest

import (
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"restante/mailbox"
)

func TestAWishThatCannotBeIsAProblem(t *testing.T) {
	l := newLodge(t)
	for body, want := range map[string]struct {
		status int
		kind   string
	}{
		"{":                            {http.StatusBadRequest, "malformed-request"},
		"\x00\xff":                     {http.StatusBadRequest, "malformed-request"},
		"{}{}":                         {http.StatusBadRequest, "malformed-request"},
		strings.Repeat("[", 60_000):    {http.StatusBadRequest, "malformed-request"},
		"[]":                           {http.StatusUnprocessableEntity, "invalid-request"},
		`"x"`:                          {http.StatusUnprocessableEntity, "invalid-request"},
		`{"local":"fred"}`:             {http.StatusUnprocessableEntity, "invalid-request"},
		`{"local_part":7}`:             {http.StatusUnprocessableEntity, "invalid-request"},
		`{"ttl":"60"}`:                 {http.StatusUnprocessableEntity, "invalid-request"},
		`{"ttl":1.5}`:                  {http.StatusUnprocessableEntity, "invalid-request"},
		`{"ttl":1e300}`:                {http.StatusUnprocessableEntity, "invalid-request"},
		`{"ttl":99999999999999999999}`: {http.StatusUnprocessableEntity, "invalid-request"},
		`{"ttl":0}`:                    {http.StatusUnprocessableEntity, "ttl-out-of-range"},
		`{"ttl":-1}`:                   {http.StatusUnprocessableEntity, "ttl-out-of-range"},
		`{"ttl":315360000}`:            {http.StatusUnprocessableEntity, "ttl-out-of-range"},
		`{"ttl":9223372036854775807}`:  {http.StatusUnprocessableEntity, "ttl-out-of-range"},
		`{"local_part":"a b"}`:         {http.StatusUnprocessableEntity, "malformed-address"},
		`{"local_part":"a@b"}`:         {http.StatusUnprocessableEntity, "malformed-address"},
		`{"local_part":"a\r\nb"}`:      {http.StatusUnprocessableEntity, "malformed-address"},
		`{"local_part":".a"}`:          {http.StatusUnprocessableEntity, "malformed-address"},
		`{"local_part":"fred+lists"}`:  {http.StatusUnprocessableEntity, "malformed-address"},
		`{"local_part":"` + strings.Repeat("ä", 64) + `"}`:  {http.StatusUnprocessableEntity, "malformed-address"},
		`{"local_part":"` + strings.Repeat("a", 300) + `"}`: {http.StatusUnprocessableEntity, "invalid-request"},
		`{"domain":"example.org"}`:                          {http.StatusUnprocessableEntity, "domain-not-local"},
		`{"domain":"text.example.org"}`:                     {http.StatusUnprocessableEntity, "domain-not-local"},
		`{"domain":"example.com"}`:                          {http.StatusUnprocessableEntity, "domain-not-local"},
		`{"domain":".."}`:                                   {http.StatusUnprocessableEntity, "malformed-address"},
		`{"local_part":"postmaster"}`:                       {http.StatusConflict, "mailbox-exists"},
	} {
		wantProblem(t, l.answerTo("POST", "/mailboxes", body, from("127.0.0.1:1")), want.status, want.kind)
	}
	w := l.answerTo("POST", "/mailboxes", "local_part=fred", field("Content-Type", "application/x-www-form-urlencoded"))
	wantProblem(t, w, http.StatusUnsupportedMediaType, "unsupported-media-type")
}

func TestStrangeAddressesAreOnesOrProblems(t *testing.T) {
	l := newLodge(t)
	for local, email := range map[string]string{
		`\"a b\"`: `"a b"@temp.example.org`, "größe": "größe@temp.example.org", "o'hara!#$%&*-/=?^_{|}~": "o'hara!#$%&*-/=?^_{|}~@temp.example.org",
	} {
		made := l.mailbox(t, `{"local_part":"`+local+`"}`)
		if made.Email != email {
			t.Errorf("%s became %s", local, made.Email)
		}
		at := "/mailboxes/" + url.PathEscape(made.Email)
		l.handlerAnswers(t, at)
		if w := l.answerTo("POST", at+"/messages", `{"sender":"a@example.com"}`); w.Code != http.StatusCreated {
			t.Errorf("%s: %d %s", at, w.Code, w.Body)
		} else {
			l.handlerAnswers(t, w.Header().Get("Location"))
		}
	}
	for _, email := range []string{"x", "@", "a@b@c", "a b@temp.example.org", strings.Repeat("a", 300) + "@temp.example.org", "a@" + strings.Repeat("b.", 200) + "c", "%00@temp.example.org", "%ff@temp.example.org", `"@temp.example.org`} {
		path := "/mailboxes/" + email
		if !strings.Contains(email, "%") {
			path = "/mailboxes/" + url.PathEscape(email)
		}
		for _, request := range []string{"GET " + path, "DELETE " + path, "GET " + path + "/messages", "GET " + path + "/events"} {
			method, path, _ := strings.Cut(request, " ")
			wantProblem(t, l.answerTo(method, path, ""), http.StatusUnprocessableEntity, "malformed-address")
		}
	}
	if _, err := l.directory.Create(t.Context(), mailbox.Address{Local: "fred", Domain: "example.org"}, mailbox.Route{Kind: mailbox.Account}); err != nil {
		t.Fatal(err)
	}
	for _, email := range []string{"fred@example.org", "ann@text.example.org", "nobody@temp.example.org", "x@elsewhere.example"} {
		wantProblem(t, l.answerTo("GET", "/mailboxes/"+email, ""), http.StatusNotFound, "mailbox-not-found")
	}
}

func TestAMessageThatCannotBeIsAProblem(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	at := "/mailboxes/" + made.Email + "/messages"
	for body, want := range map[string]struct {
		status int
		kind   string
	}{
		"":                                      {http.StatusBadRequest, "malformed-request"},
		"{":                                     {http.StatusBadRequest, "malformed-request"},
		"null":                                  {http.StatusUnprocessableEntity, "invalid-request"},
		"{}":                                    {http.StatusUnprocessableEntity, "invalid-request"},
		`{"sender":""}`:                         {http.StatusUnprocessableEntity, "invalid-request"},
		`{"sender":7}`:                          {http.StatusUnprocessableEntity, "invalid-request"},
		`{"sender":"a@example.com","text":"x"}`: {http.StatusUnprocessableEntity, "invalid-request"},
		`{"sender":"a@example.com","sent":"yesterday"}`:              {http.StatusBadRequest, "malformed-date"},
		`{"sender":"a@example.com","sent":"2026-13-31T12:00:00Z"}`:   {http.StatusBadRequest, "malformed-date"},
		`{"sender":"a@example.com\r\nBcc: b@example.com"}`:           {http.StatusUnprocessableEntity, "unusable-field"},
		`{"sender":"a@example.com","subject":"x\nBcc: y@z.example"}`: {http.StatusUnprocessableEntity, "unusable-field"},
		`{"sender":"a@example.com","subject":"x\u0000"}`:             {http.StatusUnprocessableEntity, "unusable-field"},
	} {
		wantProblem(t, l.answerTo("POST", at, body, from("127.0.0.1:1"), field("Content-Type", "application/json")), want.status, want.kind)
	}
	wantProblem(t, l.answerTo("POST", at, "x", field("Content-Type", "text/plain")), http.StatusUnsupportedMediaType, "unsupported-media-type")
	wantProblem(t, l.answerTo("POST", at, "x", field("Content-Type", ";")), http.StatusUnsupportedMediaType, "unsupported-media-type")
	if page := l.page(t, at); len(page.Data) != 0 {
		t.Errorf("kept all the same: %+v", page.Data)
	}
	for _, body := range []string{"no header at all", "\x00\xff\xfe", "Subject: " + strings.Repeat("x", 100_000), "\n"} {
		if w := l.answerTo("POST", at, body, from("127.0.0.1:1"), field("Content-Type", "message/rfc822")); w.Code != http.StatusCreated {
			t.Errorf("%.20q: %d %s", body, w.Code, w.Body)
		}
	}
}

func TestARequestIsAtMostSoLong(t *testing.T) {
	l := newLodge(t, func(o *PublicOptions) { o.MaxMessage = 200_000 })
	made := l.mailbox(t, "")
	at := "/mailboxes/" + made.Email + "/messages"
	rfc822 := field("Content-Type", "message/rfc822")
	if w := l.answerTo("POST", at, strings.Repeat("x", 200_000), rfc822); w.Code != http.StatusCreated {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, l.answerTo("POST", at, strings.Repeat("x", 200_001), rfc822), http.StatusRequestEntityTooLarge, "request-too-large")
	wantProblem(t, l.answerTo("POST", "/mailboxes", strings.Repeat(" ", maxRequest+1)), http.StatusRequestEntityTooLarge, "request-too-large")
	never := func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(endless{}), -1 }
	for _, path := range []string{at, "/mailboxes", "/chat"} {
		wantProblem(t, l.answerTo("POST", path, "x", never), http.StatusRequestEntityTooLarge, "request-too-large")
	}
	wantProblem(t, l.answerTo("POST", at, "x", func(r *http.Request) { r.Body = io.NopCloser(brokenReader{}) }), http.StatusBadRequest, "malformed-request")
	wantProblem(t, l.answerTo("POST", at, "x", func(r *http.Request) { r.Body = io.NopCloser(slowReader{}) }), http.StatusRequestTimeout, "request-timeout")
}

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestManySlowRequestsShareOneRoom(t *testing.T) {
	r := newRoom(1000, 600)
	first, second := &guest{room: r}, &guest{room: r}
	if _, err := io.ReadAll(first.reader(strings.NewReader(strings.Repeat("x", 900)))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(second.reader(strings.NewReader(strings.Repeat("x", 900)))); err != errNoRoom {
		t.Errorf("the second: %v", err)
	}
	if _, err := io.ReadAll((&guest{room: r}).reader(strings.NewReader(""))); err != nil {
		t.Errorf("one without a body: %v", err)
	}
	second.leave()
	first.leave()
	third := &guest{room: r}
	if _, err := io.ReadAll(third.reader(strings.NewReader(strings.Repeat("x", 1000)))); err != nil {
		t.Errorf("when they have left: %v", err)
	}
	third.leave()
	one := client{network: netip.MustParsePrefix("192.0.2.1/32")}
	greedy, again := &guest{room: r, client: one}, &guest{room: r, client: one}
	if _, err := io.ReadAll(greedy.reader(strings.NewReader(strings.Repeat("x", 500)))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(again.reader(strings.NewReader(strings.Repeat("x", 101)))); err != errNoRoom {
		t.Errorf("beyond the share of a client: %v", err)
	}
	again.leave()

	l := newLodge(t)
	at := "/mailboxes/" + l.mailbox(t, "").Email + "/messages"
	w := l.answerTo("POST", at, "x", func(r *http.Request) { r.Body = io.NopCloser(noRoom{}) })
	wantProblem(t, w, http.StatusServiceUnavailable, "busy")
	if w.Header().Get("Retry-After") == "" {
		t.Errorf("%s", w.Header())
	}
}

// noRoom is a body of which too much is there.
type noRoom struct{}

func (noRoom) Read([]byte) (int, error) { return 0, errNoRoom }
