package rest

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// withFiles is a message with HTML of the worst kind and two attachments.
var withFiles = strings.ReplaceAll(`From: Mallory <m@example.com>
To: fred@temp.example.org
Subject: Files
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html; charset=utf-8

<p onclick="alert(1)">Hello</p><script>alert(2)</script><img src="http://tracker.example/x.gif">
--b
Content-Type: text/html; name="page.html"
Content-Disposition: attachment; filename="../../päge \"1\".html"
Content-Transfer-Encoding: base64

`+base64.StdEncoding.EncodeToString([]byte("<script>alert(3)</script>"))+`
--b
Content-Type: application/pdf
Content-Disposition: attachment; filename=two.pdf

%PDF
--b--
`, "\n", "\r\n")

func TestAMessageIsReadWithWhatItHas(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	posted := l.raw(t, made.Email, withFiles)
	at := "/mailboxes/" + made.Email + "/messages/" + posted.ID
	w := l.answerTo("GET", at, "")
	got := decode[Message](t, w, http.StatusOK)
	if got.Subject != "Files" || got.Size != int64(len(withFiles)) || !strings.Contains(got.Body, "Hello") || len(got.Attachments) != 2 {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"<script", "onclick", ` src="http`} {
		if strings.Contains(got.HTML, bad) {
			t.Errorf("the HTML has %s: %s", bad, got.HTML)
		}
	}
	if !strings.Contains(got.HTML, "data-remote-src") {
		t.Errorf("the HTML has lost its image: %s", got.HTML)
	}
	first := got.Attachments[0]
	if first.Number != 1 || strings.ContainsAny(first.Name, "/\\") || !strings.Contains(first.Name, "päge") || first.ContentType != "text/html" || first.Size != 25 ||
		first.Href != at+"/attachments/1" {
		t.Errorf("%+v", first)
	}
	if h := w.Header(); h.Get("Cache-Control") != "private, immutable" || h.Get("Vary") != "Accept" || h.Get("ETag") == "" {
		t.Errorf("%s", h)
	}
}

func TestAMessageIsReadAsItCame(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	at := "/mailboxes/" + made.Email + "/messages/" + l.raw(t, made.Email, strings.ReplaceAll(withFiles, "\r\n", "\n")).ID
	for _, w := range []*httptest.ResponseRecorder{l.answerTo("GET", at+"/raw", ""), l.answerTo("GET", at, "", field("Accept", "message/rfc822"))} {
		if w.Code != http.StatusOK || w.Body.String() != withFiles {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
		h := w.Header()
		if h.Get("Content-Type") != "message/rfc822" || h.Get("Content-Length") != fmt.Sprint(len(withFiles)) ||
			!strings.HasPrefix(h.Get("Content-Disposition"), "attachment; filename=") || !strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox;") {
			t.Errorf("%s", h)
		}
	}
}

func TestAnAttachmentIsSentToBeKept(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	at := "/mailboxes/" + made.Email + "/messages/" + l.raw(t, made.Email, withFiles).ID + "/attachments/"
	w := l.answerTo("GET", at+"1", "")
	if w.Code != http.StatusOK || w.Body.String() != "<script>alert(3)</script>" {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	for name, want := range map[string]string{
		"Content-Type":            "text/html",
		"X-Content-Type-Options":  "nosniff",
		"Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
		"Cache-Control":           "private, immutable",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if got := w.Header().Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; filename*=utf-8''") || strings.Contains(got, "..%2F") {
		t.Errorf("Content-Disposition is %q", got)
	}
	if w := l.answerTo("GET", at+"2", ""); strings.TrimSpace(w.Body.String()) != "%PDF" || w.Header().Get("Content-Type") != "application/pdf" {
		t.Errorf("%d %s: %s", w.Code, w.Header(), w.Body)
	}
	wantProblem(t, l.answerTo("GET", at+"3", ""), http.StatusNotFound, "attachment-not-found")
	for _, number := range []string{"0", "-1", "x", "99999999999999999999"} {
		wantProblem(t, l.answerTo("GET", at+number, ""), http.StatusUnprocessableEntity, "invalid-request")
	}
}

func TestTheTypeOfAnAttachmentIsATypeOrNone(t *testing.T) {
	for given, want := range map[string]string{
		"text/html": "text/html", "TEXT/Plain": "text/plain", "text/html; charset=utf-7": "text/html",
		"": "application/octet-stream", "text": "application/octet-stream", "text/html\r\nX: y": "application/octet-stream", "a/b/c": "application/octet-stream",
	} {
		if got := contentType(given); got != want {
			t.Errorf("%q is sent as %q, want %q", given, got, want)
		}
	}
}

func TestWhatAClientHasIsNotSentAgain(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	at := "/mailboxes/" + made.Email + "/messages/" + l.raw(t, made.Email, withFiles).ID
	tags := map[string]bool{}
	for _, path := range []string{at, at + "/raw", at + "/attachments/1", at + "/attachments/2"} {
		tag := l.answerTo("GET", path, "").Header().Get("ETag")
		if tags[tag] {
			t.Errorf("%s has the tag of another: %s", path, tag)
		}
		tags[tag] = true
		for _, seen := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			w := l.answerTo("GET", path, "", field("If-None-Match", seen))
			if w.Code != http.StatusNotModified || w.Body.Len() > 0 || w.Header().Get("ETag") != tag {
				t.Errorf("%s with %s: %d %s", path, seen, w.Code, w.Header())
			}
		}
		if w := l.answerTo("GET", path, "", field("If-None-Match", `"x"`)); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := l.answerTo("GET", at, "", field("If-None-Match", "*"), field("Accept", "image/png")); w.Code != http.StatusNotAcceptable {
		t.Errorf("%d", w.Code)
	}
	l.answerTo("DELETE", at, "")
	wantProblem(t, l.answerTo("GET", at, "", field("If-None-Match", "*")), http.StatusNotFound, "message-not-found")
}

func TestNegotiation(t *testing.T) {
	for accept, want := range map[string]string{
		"": jsonType, "*/*": jsonType, "application/json": jsonType, "application/*;q=0.1": jsonType,
		"message/rfc822": rfc822Type, "message/*": rfc822Type, "text/html, message/rfc822;q=0.5, */*;q=0.1": rfc822Type,
		"*/*, application/json;q=0": rfc822Type, "Message/RFC822": rfc822Type, "x, message/rfc822": rfc822Type,
		"text/html": "", "application/json;q=0": "", "image/*, text/*": "", ";;;": "",
	} {
		if got := negotiate(accept, jsonType, rfc822Type); got != want {
			t.Errorf("%q: %q, want %q", accept, got, want)
		}
	}
}

func TestAMessageOfAnotherMailboxIsNotThere(t *testing.T) {
	l := newLodge(t)
	mine, other := l.mailbox(t, ""), l.mailbox(t, "")
	id := l.post(t, mine.Email, "mine", "mine").ID
	for _, id := range []string{id, "x", "2b5c7e1e-1111-4111-8111-111111111111", (&mailbox.MessageIDs{}).Next().String()} {
		at := "/mailboxes/" + other.Email + "/messages/" + id
		for _, request := range []string{"GET " + at, "DELETE " + at, "GET " + at + "/raw", "GET " + at + "/attachments/1"} {
			method, path, _ := strings.Cut(request, " ")
			w := l.answerTo(method, path, "")
			if id == "x" {
				wantProblem(t, w, http.StatusUnprocessableEntity, "invalid-request")
				continue
			}
			wantProblem(t, w, http.StatusNotFound, "message-not-found")
		}
	}
	l.handlerAnswers(t, "/mailboxes/"+mine.Email+"/messages/"+id)
}

func (l *lodge) handlerAnswers(t *testing.T, path string) {
	t.Helper()
	if w := l.answerTo("GET", path, ""); w.Code != http.StatusOK {
		t.Errorf("%s: %d %s", path, w.Code, w.Body)
	}
}

func TestAStoreThatFailsIsAProblemForEverybodyToo(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	at := "/mailboxes/" + made.Email
	id := l.raw(t, made.Email, withFiles).ID
	l.handler = Public(PublicOptions{Mailboxes: l.mailboxes, Log: quiet()})
	for _, calls := range []string{"Addresses.", "Maildrops.", "Contents."} {
		for _, request := range [][2]string{
			{"POST /mailboxes", ""}, {"GET " + at, ""}, {"GET " + at + "/messages", ""}, {"POST " + at + "/messages", `{"sender":"a@example.com"}`},
			{"GET " + at + "/messages/" + id, ""}, {"GET " + at + "/messages/" + id + "/raw", ""}, {"GET " + at + "/messages/" + id + "/attachments/1", ""},
			{"GET " + at + "/messages?wait=10s", ""},
		} {
			for err, want := range map[error]int{
				mailbox.ErrUnavailable: http.StatusServiceUnavailable,
				mailbox.ErrFull:        http.StatusInsufficientStorage,
				io.ErrNoProgress:       http.StatusInternalServerError,
			} {
				used := false
				l.breakCalls(calls, func(context.Context, mailboxtest.Call) error {
					used = true
					return fmt.Errorf("secret driver text: %w", err)
				})
				method, path, _ := strings.Cut(request[0], " ")
				w := l.answerTo(method, path, request[1])
				l.breakCalls("", nil)
				if !used {
					continue
				}
				wantProblem(t, w, want, map[int]string{503: "storage-unavailable", 507: "storage-full", 500: "internal-error"}[want])
				if strings.Contains(w.Body.String(), "driver") || (w.Header().Get("Retry-After") == "") != (want != http.StatusServiceUnavailable) {
					t.Errorf("%s: %s %s", request[0], w.Header(), w.Body)
				}
			}
		}
	}
}
