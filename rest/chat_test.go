package rest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/textman"
)

const formType = "application/x-www-form-urlencoded"

// texter is a lodge whose texts may be flushed.
func texter(t testing.TB) *lodge {
	l := newLodge(t, func(o *PublicOptions) {
		options := o.Chat.Options
		options.Flush = true
		texts, err := textman.New(options)
		if err != nil {
			t.Fatal(err)
		}
		o.Chat = texts
	})
	return l
}

// text posts a text as a form.
func (l *lodge) text(t testing.TB, user, text string) int64 {
	t.Helper()
	form := url.Values{"username": {user}, "text": {text}}.Encode()
	return decode[chatPosted](t, l.answerTo("POST", "/chat", form, field("Content-Type", formType)), http.StatusCreated).ID
}

func TestTextsArePostedAndTaken(t *testing.T) {
	l := newLodge(t)
	first, second := l.text(t, "fred flintstone", "first"), l.text(t, "fred flintstone", "<second> & \"last\"\n")
	w := l.answerTo("GET", "/chat?username=fred+flintstone", "")
	if want := fmt.Sprintf(`[{"id":%d,"text":"<second> & \"last\"\n"},{"id":%d,"text":"first"}]`+"\n", second, first); w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("%d %s; want %s", w.Code, w.Body, want)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("it is %s", got)
	}
	if w := l.answerTo("GET", "/chat?username=fred+flintstone", ""); w.Code != http.StatusNotFound || w.Body.String() != `"Username not found"`+"\n" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("then %d %s %s", w.Code, w.Header(), w.Body)
	}
}

func TestTextsArePostedInEveryWay(t *testing.T) {
	l := newLodge(t)
	for name, c := range map[string]struct{ query, contentType, body string }{
		"form":                         {"", formType, "username=fred&text=hello"},
		"form with a message":          {"", formType + "; charset=utf-8", "username=fred&message=hello"},
		"form with both, the same":     {"", formType, "username=fred&message=hello&text=hello"},
		"form with a timeout":          {"", formType, "username=fred&text=hello&timeout=604800"},
		"JSON":                         {"", "application/json", `{"username":"fred","text":"hello"}`},
		"JSON with a message":          {"", "application/json", `{"username":"fred","text":null,"message":"hello","timeout":1}`},
		"query":                        {"?username=fred&text=hello&timeout=60", "", ""},
		"query with an empty body":     {"?username=fred&message=hello", "text/plain", ""},
		"query and form":               {"?username=fred", formType, "text=hello"},
		"query and JSON":               {"?timeout=5", "application/json", `{"username":"fred","text":"hello"}`},
		"the same in query and form":   {"?username=fred", formType, "username=fred&text=hello"},
		"an empty one and a message":   {"", formType, "username=fred&text=&message=hello"},
		"octets of UTF-8 in the query": {"?username=fred&text=%68ello", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/chat", "/v1/chat"} {
				w := l.answerTo("POST", path+c.query, c.body, field("Content-Type", c.contentType))
				id := decode[chatPosted](t, w, http.StatusCreated).ID
				got := decode[[]chatText](t, l.answerTo("GET", path+"?username=fred", ""), http.StatusOK)
				if !slices.Equal(got, []chatText{{id, "hello"}}) {
					t.Errorf("posted %d, took %v", id, got)
				}
			}
		})
	}
}

func TestATextThatIsWrongIsRefusedInBothShapes(t *testing.T) {
	l := newLodge(t)
	empty, seconds := "must not be empty", "must be from 1 to 604800 seconds"
	for name, c := range map[string]struct {
		query, contentType, body string
		want                     map[string]string
	}{
		"nothing":                 {"", "", "", map[string]string{"username": empty, "text": empty}},
		"no user":                 {"", formType, "text=hello", map[string]string{"username": empty}},
		"empty user":              {"", formType, "username=&text=hello", map[string]string{"username": empty}},
		"no text":                 {"", formType, "username=fred", map[string]string{"text": empty}},
		"empty text":              {"", "application/json", `{"username":"fred","text":""}`, map[string]string{"text": empty}},
		"all digits":              {"", formType, "username=123&text=hello", map[string]string{"username": "must not be all digits"}},
		"a long user":             {"", formType, "username=" + strings.Repeat("x", 300) + "&text=hello", map[string]string{"username": "is too long"}},
		"a long text":             {"", formType, "username=fred&text=" + strings.Repeat("x", textman.MaxText+1), map[string]string{"text": "must not be longer than 65536 octets"}},
		"text and message":        {"", formType, "username=fred&text=a&message=b", map[string]string{"message": "must not differ from text"}},
		"timeout 0":               {"", formType, "username=fred&text=a&timeout=0", map[string]string{"timeout": seconds}},
		"timeout -1":              {"", formType, "username=fred&text=a&timeout=-1", map[string]string{"timeout": seconds}},
		"timeout of 10 years":     {"", formType, "username=fred&text=a&timeout=315360000", map[string]string{"timeout": seconds}},
		"timeout without end":     {"", formType, "username=fred&text=a&timeout=" + strings.Repeat("9", 100), map[string]string{"timeout": seconds}},
		"timeout of words":        {"", formType, "username=fred&text=a&timeout=soon", map[string]string{"timeout": "must be a whole number of seconds"}},
		"empty timeout":           {"", formType, "username=fred&text=a&timeout=", map[string]string{"timeout": "must be a whole number of seconds"}},
		"timeout 1.5":             {"", "application/json", `{"username":"fred","text":"a","timeout":1.5}`, map[string]string{"timeout": "must be a whole number of seconds"}},
		"timeout as a string":     {"", "application/json", `{"username":"fred","text":"a","timeout":"60"}`, map[string]string{"timeout": "must be a whole number of seconds"}},
		"all that can be":         {"", formType, "timeout=x", map[string]string{"username": empty, "text": empty, "timeout": "must be a whole number of seconds"}},
		"two timeouts":            {"?timeout=5", formType, "username=fred&text=a&timeout=6", map[string]string{"timeout": "is given twice and differs"}},
		"two users":               {"", formType, "username=fred&username=wilma&text=a", map[string]string{"username": "is given twice and differs"}},
		"no JSON":                 {"", "application/json", `{"username":`, map[string]string{"body": "is not a JSON object", "username": empty, "text": empty}},
		"JSON that goes on":       {"", "application/json", `{"username":"fred","text":"a"} {}`, map[string]string{"body": "is not a JSON object", "username": empty, "text": empty}},
		"a list":                  {"?username=fred&text=a", "application/json", `[]`, map[string]string{"body": "is not a JSON object"}},
		"null":                    {"?username=fred&text=a", "application/json", `null`, map[string]string{"body": "is not a JSON object"}},
		"wrong types":             {"", "application/json", `{"username":["fred"],"text":5}`, map[string]string{"username": "must be a string", "text": "must be a string"}},
		"an unknown member":       {"", "application/json", `{"username":"fred","text":"a","user":"x"}`, map[string]string{"body": `has a parameter "user" that is not known`}},
		"an unknown field":        {"", formType, "username=fred&text=a&Text=b", map[string]string{"body": `has a parameter "Text" that is not known`}},
		"an unknown parameter":    {"?x=1", formType, "username=fred&text=a", map[string]string{"query": `has a parameter "x" that is not known`}},
		"a long unknown one":      {"?" + strings.Repeat("x", 1000), formType, "username=fred&text=a", map[string]string{"query": `has a parameter "` + strings.Repeat("x", 40) + `" that is not known`}},
		"a malformed form":        {"", formType, "username=%zz&text=a", map[string]string{"body": "is malformed", "username": empty}},
		"a malformed query":       {"?username=%zz&text=a", "", "", map[string]string{"query": "is malformed", "username": empty}},
		"octets that are no text": {"", formType, "username=fred&text=%ff", map[string]string{"text": "must be UTF-8"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := l.answerTo("POST", "/chat"+c.query, c.body, field("Content-Type", c.contentType))
			got := decode[chatProblem](t, w, http.StatusBadRequest)
			if !maps.Equal(got.Errors, c.want) {
				t.Errorf("errors %q; want %q", got.Errors, c.want)
			}
			if got.Message != "Input payload validation failed" || got.Type != "urn:problem:invalid-text" || got.Title != "Bad Request" || got.Status != 400 {
				t.Errorf("%+v", got)
			}
			for name, why := range c.want {
				if !strings.Contains(got.Detail, name+": "+why) {
					t.Errorf("detail %q does not say that %s %s", got.Detail, name, why)
				}
			}
			if got := w.Header().Get("Content-Type"); got != problemType {
				t.Errorf("it is %s", got)
			}
		})
	}
	for name, c := range map[string]struct {
		query string
		want  map[string]string
	}{
		"nobody":              {"", map[string]string{"username": empty}},
		"all digits":          {"?username=7", map[string]string{"username": "must not be all digits"}},
		"a parameter of POST": {"?username=fred&text=a", map[string]string{"query": `has a parameter "text" that is not known`}},
		"malformed":           {"?%zz", map[string]string{"query": "is malformed"}},
	} {
		t.Run("taken by "+name, func(t *testing.T) {
			got := decode[chatProblem](t, l.answerTo("GET", "/chat"+c.query, ""), http.StatusBadRequest)
			if !maps.Equal(got.Errors, c.want) {
				t.Errorf("errors %q; want %q", got.Errors, c.want)
			}
			if w := l.answerTo("HEAD", "/chat"+c.query, ""); w.Code != http.StatusBadRequest {
				t.Errorf("HEAD: %d", w.Code)
			}
		})
	}
}

func TestTheLongestTextPassesInEveryForm(t *testing.T) {
	l := newLodge(t)
	text := strings.Repeat("\x01", textman.MaxText)
	encoded, err := json.Marshal(map[string]string{"username": "fred", "text": text})
	if err != nil {
		t.Fatal(err)
	}
	for contentType, body := range map[string]string{
		"application/json": string(encoded),
		formType:           url.Values{"username": {"fred"}, "text": {text}}.Encode(),
	} {
		decode[chatPosted](t, l.answerTo("POST", "/chat", body, field("Content-Type", contentType)), http.StatusCreated)
		got := decode[[]chatText](t, l.answerTo("GET", "/chat?username=fred", ""), http.StatusOK)
		if len(got) != 1 || got[0].Text != text {
			t.Errorf("%s: %d texts", contentType, len(got))
		}
	}
	w := l.answerTo("POST", "/chat", strings.Repeat("x", maxChat+1), field("Content-Type", formType))
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the limit: %d", w.Code)
	}
}

func TestABodyOfAnotherKindIsNotUnderstood(t *testing.T) {
	l := newLodge(t)
	for _, kind := range []string{"text/plain", "multipart/form-data; boundary=x", "", "application", "application/json; charset"} {
		if w := l.answerTo("POST", "/chat", "username=fred&text=a", field("Content-Type", kind)); w.Code != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d %s", kind, w.Code, w.Body)
		}
	}
}

func TestHEADTakesNoTexts(t *testing.T) {
	l := newLodge(t)
	looks := func(want int) {
		t.Helper()
		if w := l.answerTo("HEAD", "/chat?username=fred", ""); w.Code != want {
			t.Errorf("HEAD: %d, want %d", w.Code, want)
		}
	}
	looks(http.StatusNotFound)
	l.text(t, "fred", "text")
	looks(http.StatusOK)
	looks(http.StatusOK)
	decode[[]chatText](t, l.answerTo("GET", "/chat?username=fred", ""), http.StatusOK)
	looks(http.StatusNotFound)
}

func TestTextsAreFlushedWhereThatIsAllowed(t *testing.T) {
	l := newLodge(t)
	id := l.text(t, "fred", "text")
	if w := l.answerTo("DELETE", "/chat", ""); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "urn:problem:flush-not-allowed") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := decode[[]chatText](t, l.answerTo("GET", "/chat?username=fred", ""), http.StatusOK); !slices.Equal(got, []chatText{{id, "text"}}) {
		t.Errorf("after a flush that was refused there is %v", got)
	}
	l = texter(t)
	l.text(t, "fred", "text")
	if w := l.answerTo("DELETE", "/chat", ""); w.Code != http.StatusOK || w.Body.String() != "{}\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := l.answerTo("GET", "/chat?username=fred", ""); w.Code != http.StatusNotFound {
		t.Errorf("after a flush: %d %s", w.Code, w.Body)
	}
}

func TestWhatCannotBeDoneToTextsIsRefused(t *testing.T) {
	l := newLodge(t, func(o *PublicOptions) { o.Page = http.NotFoundHandler() })
	for _, c := range []struct{ method, path, allow string }{
		{"DELETE", "/", "GET, HEAD"},
		{"PUT", "/chat", "DELETE, GET, HEAD, POST"},
		{"PATCH", "/v1/chat", "DELETE, GET, HEAD, POST"},
	} {
		w := l.answerTo(c.method, c.path, "")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != c.allow || w.Header().Get("Content-Type") != problemType {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Header())
		}
	}
	without := newLodge(t, func(o *PublicOptions) { o.Chat = nil })
	if w := without.answerTo("GET", "/chat?username=fred", ""); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "no-such-resource") {
		t.Errorf("without the service: %d %s", w.Code, w.Body)
	}
}

func TestAStoreThatIsAwayIsNoMissingUser(t *testing.T) {
	l := newLodge(t)
	l.text(t, "fred", "text")
	for calls, requests := range map[string][]string{
		"Maildrops.Newest": {"GET /chat?username=fred", "HEAD /chat?username=fred"},
		"Contents.Open":    {"GET /chat?username=fred"},
		"Contents.Put":     {"POST /chat?username=fred&text=" + strings.Repeat("a", mailbox.MaxInline)},
		"Maildrops.Add":    {"POST /chat?username=fred&text=a"},
	} {
		l.breakCalls(calls, mailboxtest.Fail)
		for _, request := range requests {
			method, path, _ := strings.Cut(request, " ")
			w := l.answerTo(method, path, "")
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
				t.Errorf("%s without %s: %d %s", request, calls, w.Code, w.Header())
			}
			if strings.Contains(w.Body.String(), "fault on purpose") {
				t.Errorf("%s tells what the store said: %s", request, w.Body)
			}
		}
	}
	l.breakCalls("", nil)
	if got := decode[[]chatText](t, l.answerTo("GET", "/chat?username=fred", ""), http.StatusOK); len(got) != 1 {
		t.Errorf("then there is %v", got)
	}
}

func TestATextEndsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLodge(t)
		for _, timeout := range []string{"", "&timeout=3600"} {
			decode[chatPosted](t, l.answerTo("POST", "/chat?username=fred&text=a"+timeout, ""), http.StatusCreated)
		}
		time.Sleep(time.Minute)
		if got := decode[[]chatText](t, l.answerTo("GET", "/chat?username=fred", ""), http.StatusOK); len(got) != 1 {
			t.Errorf("after a minute there is %v", got)
		}
	})
}

func TestEveryAnswerAboutTextsIsDescribed(t *testing.T) {
	l := newLodge(t)
	var described struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]any `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(l.answerTo("GET", "/openapi.json", "").Body.Bytes(), &described); err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{
		"POST /chat?username=fred&text=a", "GET /chat?username=fred", "GET /chat?username=fred", "GET /chat", "POST /chat", "HEAD /chat?username=fred", "DELETE /chat",
	} {
		method, path, _ := strings.Cut(request, " ")
		w := l.answerTo(method, path, "")
		answer, ok := described.Paths["/chat"][strings.ToLower(method)].Responses[fmt.Sprint(w.Code)]
		if _, typed := answer.Content[w.Header().Get("Content-Type")]; !ok || method != "HEAD" && !typed {
			t.Errorf("%s: %d of %s is not described", request, w.Code, w.Header().Get("Content-Type"))
		}
	}
}
