package rest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/bits"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/net/http/httpguts"
	"pgregory.net/rapid"
)

// slowest is how long an answer may take where nothing is waited for.
const slowest = 5 * time.Second

func TestEveryAnswerIsOneOfTheDescription(t *testing.T) {
	// One for all histories: the first text waits for the next second, so that its id
	// is that of no text before a restart.
	l := newSorting(t, func(o *PublicOptions) {
		o.Ready = func(context.Context) error { return nil }
		o.Keys = map[string]string{"ann": "0123456789abcdef"}
		o.CreateRate = 1 << 20
	}).lodge
	close(l.stopping) // so that who waits for mail gets what is there
	book := readHandbook(t, l)
	visits, succeeded := 0, map[string]bool{}
	rapid.Check(t, func(rt *rapid.T) {
		v := &visitor{T: rt, handbook: book, lodge: l, seen: map[string][]string{}, succeeded: succeeded}
		v.settle()
		for range rapid.IntRange(1, 200).Draw(rt, "visits") {
			v.visit()
			visits++
		}
	})
	if visits < 500 {
		return // too few to meet every operation
	}
	for _, op := range book.operations {
		if !succeeded[op.ID] && op.ID != "flush-texts" { // which is not allowed here
			t.Errorf("%s never succeeded: the test does not reach it", op.ID)
		}
	}
}

// A handbook is the description, as a client reads it.
type handbook struct {
	operations []operation
	schemas    map[string]shape
	compiler   *jsonschema.Compiler
}

type operation struct {
	method, path string
	ID           string `json:"operationId"`
	Parameters   []struct {
		Name, In string
		Required bool
		Schema   shape
	}
	RequestBody struct {
		Content map[string]struct{ Schema shape }
	}
	Responses map[string]struct {
		Content map[string]any
		Headers map[string]any
	}
}

// A shape is what the description says of a value.
type shape struct {
	Ref        string `json:"$ref"`
	Type       any    // absent: string
	Enum       []any
	Examples   []any
	MinLength  int
	MaxLength  *int
	Minimum    *int64
	Maximum    *int64
	Format     string
	Properties map[string]shape
	Required   []string
}

const handbookURL = "http://restante.example/openapi.json"

func readHandbook(t *testing.T, l *lodge) *handbook {
	text := l.answerTo("GET", "/openapi.json", "").Body.Bytes()
	var d struct {
		Paths      map[string]map[string]operation
		Components struct{ Schemas map[string]shape }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	b := &handbook{schemas: d.Components.Schemas, compiler: jsonschema.NewCompiler()}
	b.compiler.AssertFormat()
	if err := b.compiler.AddResource(handbookURL, document); err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			op := d.Paths[path][method]
			op.method, op.path = strings.ToUpper(method), path
			b.operations = append(b.operations, op)
		}
	}
	if len(b.operations) < 10 {
		t.Fatalf("the description has %d operations", len(b.operations))
	}
	return b
}

// at finds the operation of a request. Without one, there is nothing under the path,
// or something that has other methods.
func (b *handbook) at(method, path string) (op *operation, found bool) {
	path = strings.TrimPrefix(path, "/v1")
	for i, o := range b.operations {
		if !matchesTemplate(o.path, path) {
			continue
		}
		found = true
		if o.method == method || method == http.MethodHead && o.method == http.MethodGet && op == nil {
			op = &b.operations[i]
		}
	}
	return op, found
}

func matchesTemplate(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool {
		return w == g || strings.HasPrefix(w, "{") && g != ""
	})
}

// validate compares a value with the schema of an answer.
func (b *handbook) validate(op *operation, status, contentType string, value any) error {
	escape := strings.NewReplacer("~", "~0", "/", "~1").Replace
	pointer := ""
	for _, step := range []string{"paths", op.path, strings.ToLower(op.method), "responses", status, "content", contentType, "schema"} {
		pointer += "/" + url.PathEscape(escape(step))
	}
	schema, err := b.compiler.Compile(handbookURL + "#" + pointer)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// A visitor plays one history of requests.
type visitor struct {
	*rapid.T
	*handbook
	lodge     *lodge
	seen      map[string][]string // what answers had, by the names of the members
	succeeded map[string]bool     // operations, of all visitors
}

// one draws one of those.
func one[T any](v *visitor, label string, of ...T) T {
	return rapid.SampledFrom(of).Draw(v.T, label)
}

// rarely is true once in about n times. Numbers would be drawn small more often.
func (v *visitor) rarely(n int, label string) bool {
	for range bits.Len(uint(n) - 1) {
		if !rapid.Bool().Draw(v.T, label) {
			return false
		}
	}
	return true
}

// latest is one of those that came last, which are most often still there.
func (v *visitor) latest(label string, of []string) string {
	return one(v, label, of[max(0, len(of)-4):]...)
}

// A request is what is sent.
type request struct {
	method, target string
	header         http.Header
	body           string
}

// settle makes something that visits can be about.
func (v *visitor) settle() {
	v.send(request{"POST", "/mailboxes", http.Header{}, ""})
	v.send(request{"POST", "/chat", http.Header{"Content-Type": {"application/json"}}, `{"username":"ann","text":"hello"}`})
	v.note("username", "ann")
	v.send(request{"POST", "/mailboxes/" + v.seen["email"][0] + "/messages", http.Header{"Content-Type": {"message/rfc822"}},
		"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: application/pdf\r\n\r\nx\r\n--x--\r\n"})
	// Most that are drawn have something that cannot be sent.
	v.send(request{"POST", "/submissions", http.Header{"Content-Type": {"message/rfc822"}, "Authorization": {alice("secret")}},
		"From: alice@example.org\r\nTo: bob@example.com\r\n\r\nHello.\r\n"})
}

// alice is the credentials of the account that may submit.
func alice(password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("alice@example.org:"+password))
}

func (v *visitor) visit() {
	n := 0
	for range 8 { // each operation as often as the others
		n *= 2
		if rapid.Bool().Draw(v.T, "operation") {
			n++
		}
	}
	r := v.request(&v.operations[n%len(v.operations)])
	if links := v.seen["link"]; len(links) > 0 && v.rarely(6, "follow") {
		r = request{method: "GET", target: v.latest("link", links), header: http.Header{}}
	}
	if v.rarely(25, "other method") {
		r.method = one(v, "method", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
	}
	v.oddHeader(r.header)
	v.send(r)
}

// request is one for an operation, valid or nearly so.
func (v *visitor) request(op *operation) request {
	r := request{method: op.method, header: http.Header{}}
	path, query := op.path, url.Values{}
	for _, p := range op.Parameters {
		if !p.Required && v.rarely(2, "absent") || p.Required && p.In != "path" && v.rarely(20, "absent") {
			continue
		}
		if p.In == "query" && len(op.RequestBody.Content) > 0 && !v.rarely(8, "twice") {
			continue // the body has it too
		}
		value := fmt.Sprint(v.value(p.Name, p.Schema))
		switch p.In {
		case "path":
			path = strings.Replace(path, "{"+p.Name+"}", url.PathEscape(value), 1)
		case "query":
			query.Add(p.Name, value)
		case "header":
			setHeader(r.header, p.Name, value)
		}
	}
	if v.rarely(20, "odd query") {
		query.Add(one(v, "name", "limit", "username", "x", "", "a[b]", "compat"), v.odd())
	}
	raw := query.Encode()
	if v.rarely(40, "broken query") {
		raw += one(v, "query", "&%zz=1", ";", "&&&", "?", "&limit", "&limit=%ff", "&timeout=+1")
	}
	if raw != "" {
		path += "?" + raw
	}
	r.target = one(v, "prefix", "", "", "/v1") + path
	if v.rarely(60, "odd path") {
		r.target = one(v, "path", "/", "/v1", "/v1/v1/chat", "/mailboxes/", "//mailboxes", "/chat/", "/mailboxes/./messages", "/mailboxes/../chat", "/%2e%2e/chat", "/chat%2f", "/nothing", "/mailboxes/a/b/c", "/MAILBOXES")
	}
	v.fill(&r, op)
	if op.ID == "submit" && !v.rarely(20, "nobody") {
		password := one(v, "password", "secret", "secret", "secret", "guess")
		r.header.Set("Authorization", alice(password))
	}
	return r
}

// fill gives a body to a request.
func (v *visitor) fill(r *request, op *operation) {
	types := slices.Sorted(maps.Keys(op.RequestBody.Content))
	if len(types) == 0 {
		if v.rarely(20, "unasked body") {
			r.body = v.oddBody()
		}
		return
	}
	if op.ID != "post-message" && v.rarely(4, "no body") {
		return
	}
	kind := one(v, "type", types...)
	s := op.RequestBody.Content[kind].Schema
	switch kind {
	case "application/json":
		text, err := json.Marshal(v.object(s))
		if err != nil {
			v.Fatal(err)
		}
		r.body = string(text)
	case "application/x-www-form-urlencoded":
		form := url.Values{}
		for name, value := range v.object(s) {
			form.Set(name, fmt.Sprint(value))
		}
		r.body = form.Encode()
	default:
		r.body = v.mail()
	}
	if v.rarely(12, "odd body") {
		r.body = v.oddBody()
	}
	if n := len(r.body); n > 0 && v.rarely(15, "cut") {
		r.body = r.body[:rapid.IntRange(0, n-1).Draw(v.T, "cut at")]
	}
	if v.rarely(12, "other type") {
		kind = one(v, "type", "", "text/plain", "application/json", "application/json; charset=utf-8", "application/JSON", "application/x-www-form-urlencoded",
			"message/rfc822", "message/rfc822; x=\"", "multipart/form-data", "application/cbor", "application/problem+json", ";", "*/*", "json")
	}
	setHeader(r.header, "Content-Type", kind)
}

// object is a value of a schema, or nearly so.
func (v *visitor) object(s shape) map[string]any {
	s = v.resolve(s)
	o := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		switch {
		case slices.Contains(s.Required, name):
			if v.rarely(20, "missing") {
				continue
			}
		case v.rarely(2, "absent"):
			continue
		}
		o[name] = v.value(name, s.Properties[name])
		if name == "username" {
			v.note(name, fmt.Sprint(o[name])) // no answer has it
		}
		if v.rarely(15, "wrong type") {
			o[name] = one[any](v, "value", nil, true, 7, -1, 1.5, 1e300, json.Number("99999999999999999999"), "7", "", []any{}, []any{"x"}, map[string]any{"x": 1})
		}
	}
	if v.rarely(15, "unknown") {
		o[v.odd()] = v.odd()
	}
	return o
}

func (v *visitor) resolve(s shape) shape {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return v.schemas[name]
	}
	return s
}

// likely are values that mean something here.
var likely = map[string][]string{
	"domain":        {"temp.example.org", "temp.example.org", "temp.example.net", "TEMP.example.org.", "example.org", "text.example.org"},
	"local_part":    {"fred", "ann", "größe", `"a b"`, "o'hara", "a+b", "postmaster", "50%25", "a/b", "?", "#"},
	"sender":        {"Alice <alice@example.org>", "bob@example.org", "Größe <g@example.org>", "a@example.org, b@example.org", "<>"},
	"sent":          {"2026-01-31T12:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59", "2026-01-31T12:00:60Z", "2026-02-30T12:00:00Z"},
	"wait":          {"1s", "0s", "60s", "61s", "-1s", "1ms", "1h", "1e9s", "5"},
	"username":      {"ann", "bob", "Ann B", "ünal", "123", "ann@text.example.org"},
	"text":          {"hello", "Grüße", "a\r\n.\r\nb", "\n"},
	"message":       {"hello"},
	"Prefer":        {"return=representation", "return=minimal", `return="minimal"; x=1, wait=5`, ","},
	"If-None-Match": {"*", `""`, `W/"x", "y"`, ",,"},
	"number":        {"1", "2"},
	"to":            {"dan@example.net", "fred@example.org", "zoe@example.org", `"a,b"@example.net`, "größe@example.net"},
	"email":         {"nobody@temp.example.org", "fred@example.org", "ann@text.example.org", "postmaster@temp.example.org", `"a b"@temp.example.org`, ".", "..", "a/../b@temp.example.org"},
	"id":            {"00000000-0000-1000-8000-000000000000", "ffffffff-ffff-1fff-bfff-ffffffffffff", "00000000-0000-0000-0000-000000000000", "..", "."},
	"from":          {"b25l", "b______________________w", "bgAAAAAAAAAQAIAAAAAAAAA", "bwAAAAAAAAAQAIAAAAAAAAA"},
}

// aliases are members of answers whose values fit for what has another name.
var aliases = map[string]string{"after": "id", "Last-Event-ID": "id", "If-None-Match": "etag"}

// value is one for a name: what an answer had, what means something, what the schema
// allows, or anything.
func (v *visitor) value(name string, s shape) any {
	known := v.seen[name]
	if alias := aliases[name]; alias != "" {
		known = v.seen[alias]
	}
	if name == "from" && s.Format == "" && len(s.Examples) > 0 {
		return one[any](v, name, "alice@example.org", "fred@example.org", "alice+x@example.org", "", v.odd()) // of a submission
	}
	if name == "from" && len(known) == 0 {
		known = v.seen["id"]
	}
	switch {
	case v.rarely(16, "odd "+name):
		return v.odd()
	case len(known) > 0 && !v.rarely(4, "another "+name):
		return v.latest(name, known)
	case len(likely[name]) > 0 && !v.rarely(4, "allowed "+name):
		return one(v, name, likely[name]...)
	}
	return v.allowed(s)
}

// allowed is a value that the schema allows.
func (v *visitor) allowed(s shape) any {
	if len(s.Enum) > 0 {
		return one(v, "of the enum", s.Enum...)
	}
	switch s.Type {
	case "integer", "number":
		least, most := int64(-1<<63), int64(1<<63-1)
		if s.Minimum != nil {
			least = *s.Minimum
		}
		if s.Maximum != nil {
			most = *s.Maximum
		}
		return rapid.Int64Range(least, most).Draw(v.T, "number")
	case "boolean":
		return rapid.Bool().Draw(v.T, "boolean")
	}
	if s.Format == "uuid" {
		return rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[14][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`).Draw(v.T, "uuid")
	}
	if len(s.Examples) > 0 && rapid.Bool().Draw(v.T, "example") {
		return one(v, "example", s.Examples...)
	}
	most := 30
	if s.MaxLength != nil {
		most = min(most, *s.MaxLength)
	}
	return rapid.StringN(min(s.MinLength, most), most, -1).Draw(v.T, "text")
}

var oddities = []string{
	"", " ", "null", "0", "-1", "+1", "01", "1.5", "1e300", "99999999999999999999", "-9223372036854775808", "true", "[]", "{}",
	strings.Repeat("a", 300), strings.Repeat("ä", 300), strings.Repeat("a.", 200), strings.Repeat("9", 300),
	"\x00", "a\r\nBcc: b@example.org", "\n", "\t", "\x7f", "\u0085", "\u2028", "\ufeff", "\u202ea", "e\u0301", "日本語", "👩‍👩‍👧", "\ufffd", "\xff\xfe", "\xed\xa0\x80",
	".", "..", "/", "//", "\\", "%", "%00", "%zz", "%2f", "?", "#", ";", "&", "=", "+", ",", "'", `"`, "<script>alert(1)</script>", "' OR 1=1", "${x}", "*",
	"@", "a@", "@b", "a@b@c", "a@[127.0.0.1]", "a@[IPv6:::1]", `"@temp.example.org`, "a@temp.example.org.", "xn--", "=?utf-8?q?=00?=", "=?x?b?x?=",
}

// odd is text that nobody expects.
func (v *visitor) odd() string {
	if rapid.Bool().Draw(v.T, "made up") {
		return rapid.String().Draw(v.T, "odd")
	}
	return one(v, "odd", oddities...)
}

func (v *visitor) oddBody() string {
	return one(v, "body", "", " ", "null", "7", `"x"`, "[]", "{}", "{", "{}{}", "\x00\xff", "[[[[", strings.Repeat("[", 20_000), `{"a":`+strings.Repeat(" ", 70_000)+"1}",
		`{"ttl":60,"ttl":"x"}`, `{"TTL":60}`, `{"sender":"a@example.org","Sender":7}`, `{"sender":"\ud800"}`, `{"local_part":"\u0000"}`, `{"username":"ann","text":"x","timeout":1e1}`,
		"username=ann&text=%zz", "username=ann&text=x;y", "username&text", "=", "\ufeff{}", v.odd())
}

// mail is a message as it might come.
func (v *visitor) mail() string {
	if v.rarely(8, "no mail") {
		return v.oddBody()
	}
	b := &strings.Builder{}
	header := func(name string, values ...string) {
		if !v.rarely(4, "no "+name) {
			fmt.Fprintf(b, "%s: %s\r\n", name, one(v, name, append(values, v.odd())...))
		}
	}
	for _, name := range []string{"From", "To", "Cc", "Reply-To"} {
		header(name, "Alice <alice@example.org>", "=?utf-8?q?Gr=C3=B6=C3=9Fe?= <g@example.org>", "undisclosed-recipients:;", "a@example.org, =?x?q?y?= <b@example.org>", `"`)
	}
	header("Subject", "One", "=?utf-8?b?8J+YgA==?=", "=?iso-8859-1?q?=E9?=", "\xe9")
	header("Date", "Sat, 31 Jan 2026 13:00:00 +0100", "Fri, 31 Dec 9999 23:59:59 -2359", "1 Jan 0001 00:00:00 +2359", "31 Feb 2026 00:00:00 +0000")
	header("Message-ID", "<x@example.org>", "<>")
	switch one(v, "kind", "attached", "attached", "plain", "html") {
	case "plain":
		header("Content-Type", "text/plain; charset=utf-8", "text/plain; charset=unknown", "text/", "multipart/mixed")
		header("Content-Transfer-Encoding", "base64", "quoted-printable", "8bit", "x")
		b.WriteString("\r\n" + v.odd())
	case "html":
		b.WriteString("Content-Type: text/html\r\n\r\n<p onclick=x>" + v.odd() + "<img src='http://example.org/'><a href=\"" + v.odd() + "\">")
	default:
		b.WriteString("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\ntext\r\n--x\r\n")
		header("Content-Type", "application/pdf; name=a.pdf", "text/html", "image/png", "a/b/c", "text/plain; name*=utf-8''%e2%82%ac", "application/x;=", "ü/x", "message/rfc822")
		header("Content-ID", "<1>", "<a b>")
		header("Content-Disposition", "attachment; filename=a.pdf", "inline; filename=\"a\\\"b\"", "attachment; filename*=utf-8''%0d%0aX", "attachment; filename=\xff")
		b.WriteString("\r\n" + v.odd() + "\r\n--x--\r\n")
	}
	return b.String()
}

// oddHeader sets fields that no operation asks for.
func (v *visitor) oddHeader(h http.Header) {
	if !v.rarely(6, "header") {
		return
	}
	values := map[string][]string{
		"Accept":            {"application/json", "message/rfc822", "text/html", "*/*;q=0", "application/*;q=0.1, message/rfc822;q=1", "application/cbor", "application/problem+json"},
		"Accept-Encoding":   {"gzip", "identity;q=0"},
		"Authorization":     {"Bearer 0123456789abcdef", "Bearer x", "Basic eDp5", "Bearer"},
		"X-Api-Key":         {"0123456789abcdef", "x"},
		"Origin":            {"null", "https://a.example"},
		"Prefer":            likely["Prefer"],
		"If-None-Match":     likely["If-None-Match"],
		"If-Match":          {"*", `"x"`},
		"If-Modified-Since": {"Sat, 31 Jan 2026 13:00:00 GMT"},
		"Range":             {"bytes=0-1", "bytes=9-1"},
		"Content-Encoding":  {"gzip"},
		"Last-Event-Id":     {"x"},
		"X-Forwarded-For":   {"192.0.2.9"},
		"Connection":        {"upgrade"},
	}
	name := one(v, "field", slices.Sorted(maps.Keys(values))...)
	setHeader(h, name, one(v, name, append(values[name], v.odd())...))
}

// setHeader leaves out what the server's own parser refuses.
func setHeader(h http.Header, name, value string) {
	if value = strings.Trim(value, " \t"); httpguts.ValidHeaderFieldValue(value) {
		h.Set(name, value)
	}
}

// send plays a request and looks at the answer.
func (v *visitor) send(q request) {
	r, err := http.NewRequestWithContext(v.Context(), q.method, "http://restante.example"+q.target, strings.NewReader(q.body))
	if err != nil {
		v.Fatalf("%q: %v", q.target, err)
	}
	r.RequestURI, r.Header, r.RemoteAddr = q.target, q.header, "192.0.2.1:1234"
	v.Logf("%s %q %q %.300q", q.method, q.target, q.header, q.body)
	w := httptest.NewRecorder()
	began := time.Now()
	v.lodge.handler.ServeHTTP(w, r)
	took := time.Since(began)
	v.Logf("-> %d %q %.300q", w.Code, w.Header(), w.Body)

	if took > slowest {
		v.Errorf("it took %s", took)
	}
	if w.Code >= 500 {
		v.Errorf("%d is the server's fault", w.Code)
	}
	if w.Header().Get("X-Content-Type-Options") != "nosniff" {
		v.Error("a browser may guess what the answer is")
	}
	for name, values := range w.Header() {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				v.Errorf("%s: %q cannot stand in a header", name, value)
			}
		}
	}
	v.look(q.method, r.URL, w)
}

// look compares an answer with the description.
func (v *visitor) look(method string, at *url.URL, w *httptest.ResponseRecorder) {
	body := w.Body.Bytes()
	kind := w.Header().Get("Content-Type")
	if parsed, _, err := mime.ParseMediaType(kind); err == nil {
		kind = parsed
	}
	op, found := v.at(method, at.EscapedPath())
	switch {
	case method == http.MethodOptions && w.Code == http.StatusNoContent:
		if !found || w.Header().Get("Allow") == "" {
			v.Errorf("OPTIONS is answered with Allow: %q", w.Header().Get("Allow"))
		}
		return
	case op == nil:
		if w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusUnauthorized {
			v.Errorf("%d for what there is not", w.Code)
		}
		if method != http.MethodHead {
			v.problem(w.Code, kind, body)
		}
		return
	}
	status := strconv.Itoa(w.Code)
	documented, ok := op.Responses[status]
	if !ok {
		status = "default"
		documented, ok = op.Responses[status]
	}
	if !ok {
		v.Fatalf("%s answers %s, of which the description does not know", op.ID, strconv.Itoa(w.Code))
	}
	if w.Code < 400 && method == op.method {
		v.succeeded[op.ID] = true
	}
	if w.Code == http.StatusNoContent || w.Code == http.StatusNotModified {
		if len(body) > 0 {
			v.Errorf("%s has a body: %q", status, body)
		}
		return
	}
	for name := range documented.Headers {
		if name == "Location" && w.Header().Get(name) == "" {
			v.Errorf("there is no %s", name)
		}
	}
	if method == http.MethodHead {
		return
	}
	if _, any := documented.Content["*/*"]; any {
		if !strings.Contains(kind, "/") {
			v.Errorf("content of type %q", kind)
		}
		return
	}
	if documented.Content[kind] == nil {
		v.Fatalf("%s answers %s with %q, of which the description does not know", op.ID, status, kind)
	}
	if !strings.HasSuffix(kind, "json") {
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		v.Fatalf("%v in %q", err, body)
	}
	if err := v.validate(op, status, kind, value); err != nil {
		v.Errorf("%s answers %s with %s: %v", op.ID, status, body, err)
	}
	if w.Code >= 400 && !(op.path == chatPath && w.Code == http.StatusNotFound) {
		v.problem(w.Code, kind, body)
	}
	v.remember("", value)
	v.note("etag", w.Header().Get("ETag"))
	v.note("link", w.Header().Get("Location"))
}

// problem looks at an error.
func (v *visitor) problem(status int, kind string, body []byte) {
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal(body, &p); err != nil || kind != problemType {
		v.Fatalf("%d is no problem document but %q: %q", status, kind, body)
	}
	if p.Status != status || p.Title != http.StatusText(status) || !strings.HasPrefix(p.Type, "urn:problem:") || p.Detail == "" {
		v.Errorf("%d is the problem %+v", status, p)
	}
}

// remember takes down what an answer had, for requests to come.
func (v *visitor) remember(name string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			v.remember(name, value[name])
		}
	case []any:
		for _, one := range value {
			v.remember(name, one)
		}
	case json.Number:
		v.note(name, value.String())
	case string:
		switch name {
		case "next", "prev":
			if u, err := url.Parse(value); err == nil {
				v.note("from", u.Query().Get("from"))
			}
			fallthrough
		case "source", "href":
			name = "link"
		}
		v.note(name, value)
	}
}

func (v *visitor) note(name, value string) {
	if value != "" {
		v.seen[name] = append(v.seen[name], value)
	}
}

func TestAPathThatTheRouterWouldCleanLeadsNowhere(t *testing.T) {
	l := newLodge(t)
	for _, path := range []string{"//mailboxes", "/mailboxes//messages", "/mailboxes/./messages", "/mailboxes/../healthz", "/mailboxes/..", "/v1/../healthz", "/v1//healthz", "/./healthz"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			wantProblem(t, l.answerTo(method, path, ""), http.StatusNotFound, "no-such-resource")
		}
	}
	wantProblem(t, l.answerTo("GET", "/mailboxes/%2e%2e/messages", ""), http.StatusUnprocessableEntity, "malformed-address")
}
