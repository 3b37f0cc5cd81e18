package web_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// An elsewhere is a server that mail wants to be loaded from.
type elsewhere struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newElsewhere(t *testing.T) *elsewhere {
	e := &elsewhere{}
	pixel, err := base64.StdEncoding.DecodeString("R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==")
	if err != nil {
		t.Fatal(err)
	}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.asked = append(e.asked, r.URL.Path)
		if r.Header.Get("Referer") != "" || r.Header.Get("Cookie") != "" {
			e.asked = append(e.asked, "who came from "+r.Header.Get("Referer"))
		}
		w.Header().Set("Content-Type", "image/gif")
		w.Write(pixel)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *elsewhere) requests() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.asked)
}

// hostile is HTML that runs and loads what it can. E is the server elsewhere.
const hostile = `<html><head><title>x</title><base href="E/base/">
<meta http-equiv="refresh" content="0;url=E/refresh"><link rel="stylesheet" href="E/sheet.css">
<style>@import url(E/import.css); body { background: url(E/background.png) }</style></head>
<body onload="top.ran = 1" background="E/body.png">
<script>top.ran = 1; fetch("E/fetch")</script><script src="E/script.js"></script>
<img src="E/pixel.gif" onerror="top.ran = 1" width="40" height="40">
<img src="x" onerror="top.ran = 1"><svg onload="top.ran = 1"><image href="E/svg.png"/><script>top.ran = 1</script></svg>
<div style="background-image: url(E/style.png)">text</div><input autofocus onfocus="top.ran = 1">
<table background="E/table.png"><tr><td>cell</td></tr></table><video poster="E/poster.png" src="E/video.mp4" autoplay></video>
<iframe src="E/frame"></iframe><iframe srcdoc="<script>top.ran = 1</script>"></iframe><object data="E/object"></object><embed src="E/embed">
<form action="E/form"><button id="go">go</button></form><a id="js" href="javascript:top.ran = 1">link</a>
<picture><source srcset="E/source.png"><img srcset="E/set.png 2x"></picture><details open ontoggle="top.ran = 1">d</details>
<math><mtext></p><style><img src="x" onerror="top.ran = 1"></style></mtext></math></body></html>`

// ran reports whether anything of a mail has run.
func (w *walk) ran() bool { return ask[bool](w, `window.ran !== undefined || location.hash === ""`) }

// away lists the requests of the window that did not go to its server.
func (w *walk) away() (all []string) {
	for _, url := range w.Requests() {
		if !strings.HasPrefix(url, "http://"+w.house.ports["http"]+"/") && !strings.HasPrefix(url, "about:") {
			all = append(all, url)
		}
	}
	return all
}

func TestAMailRunsNothingAndLoadsNothingBeforeItsReaderAsks(t *testing.T) {
	w := open(t)
	email := w.make()
	e := newElsewhere(t)
	w.house.send(email, formatted("Hostile", strings.ReplaceAll(hostile, "E/", e.URL+"/")))
	w.listed(1)
	w.read(1)
	w.until(`document.querySelector("iframe.sheet")?.contentDocument?.body.textContent.includes("text")`)
	if asked := e.requests(); w.ran() || len(asked) > 0 || len(w.away()) > 0 {
		t.Fatalf("ran: %v, asked for %v, requests %v", w.ran(), asked, w.away())
	}

	w.click("#remote-show")
	w.until(`document.querySelector("iframe.sheet")?.contentDocument?.querySelector("img")?.naturalWidth > 0`)
	if asked := e.requests(); w.ran() || !slices.Contains(asked, "/pixel.gif") {
		t.Errorf("ran: %v, asked for %v", w.ran(), asked)
	}
	for _, path := range e.requests() {
		if !slices.Contains([]string{"/pixel.gif", "/set.png", "/source.png", "/body.png", "/table.png"}, path) {
			t.Errorf("images were wanted, and it loaded %s", path)
		}
	}
	if ask[bool](w, `document.querySelector("#remote").checkVisibility()`) {
		t.Error("it asks again")
	}
}

// The server makes mail safe. If it failed to, the frame would still hold.
func TestTheFrameHoldsWhateverTheServerLetsThrough(t *testing.T) {
	w := open(t)
	w.refused = true
	email := w.make()
	e := newElsewhere(t)
	w.house.send(email, plain("Hostile", "text"))
	w.listed(1)
	message, err := json.Marshal(map[string]any{
		"id": "1", "sender": "x", "subject": "Hostile", "received": "2026-01-01T00:00:00Z", "from": []string{}, "to": []string{},
		"body": "text", "attachments": []string{}, "html": strings.ReplaceAll(hostile, "E/", e.URL+"/"),
	})
	w.must(err)
	ask[bool](w, `(window.fetch = async () => new Response(%q, {headers: {"Content-Type": "application/json"}}), true)`, message)
	w.read(1)
	frame := `document.querySelector("iframe.sheet").contentDocument`
	w.until(`%s?.querySelector("#js")`, frame)
	ask[bool](w, `(%[1]s.querySelector("#js").click(), %[1]s.querySelector("#go").click(), true)`, frame)
	// An image of its own that is shown says that the others have had their turn.
	ask[bool](w, `new Promise(done => { const i = %[1]s.createElement("img"); i.onload = i.onerror = () => done(true); i.src = "/assets/icon.svg"; %[1]s.body.append(i) })`, frame)
	if asked := e.requests(); w.ran() || len(asked) > 0 {
		t.Errorf("ran: %v, asked for %v", w.ran(), asked)
	}
	if !strings.HasPrefix(ask[string](w, `document.querySelector("iframe.sheet").contentWindow.location.pathname`), "/frame") {
		t.Error("the frame went elsewhere")
	}
}

func TestTheFieldsOfAHeaderAreText(t *testing.T) {
	w := open(t)
	email := w.make()
	w.house.send(email, `From: "<img src=x onerror=ran=1>" <a@sender.example>
To: <{to}>
Subject: <script>ran=1</script><b>bold</b>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

<img src=x onerror=ran=1> https://sender.example/?a=<b>&c="d"
--b
Content-Type: application/x-<b>; name="<img src=x onerror=ran=1>.txt"
Content-Disposition: attachment

x
--b--
`)
	w.listed(1)
	w.read(1)
	if got := w.text("#subject"); got != "<script>ran=1</script><b>bold</b>" {
		t.Errorf("subject %q", got)
	}
	if n := ask[int](w, `document.querySelectorAll("main img, main b, main script").length`); w.ran() || n > 0 {
		t.Errorf("ran: %v, %d elements", w.ran(), n)
	}
	if got := ask[string](w, `document.querySelector("#body a").href`); got != "https://sender.example/?a=" {
		t.Errorf("link %q", got)
	}
}
