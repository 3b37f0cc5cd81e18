package web_test

import (
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"restante/web/internal/browser"
)

func TestMailAppearsWithoutReloading(t *testing.T) {
	w := open(t)
	email := w.make()
	if !strings.HasSuffix(email, "@temp.example.org") || len(email) != 26+len("@temp.example.org") {
		t.Fatalf("address %q", email)
	}
	ask[bool](w, `window.here = true`)
	w.house.send(email, plain("One", "first"))
	w.listed(1)
	w.until(`document.querySelector("#announcer").textContent === "New mail from Alice: One."`)
	w.house.send(email, plain("Two", "second"))
	w.listed(2)
	if first := w.text("#messages li:first-child .about"); first != "Two" {
		t.Errorf("on top is %q", first)
	}
	if title := ask[string](w, "document.title"); !strings.HasPrefix(title, "(2) ") {
		t.Errorf("title %q", title)
	}
	w.read(2)
	if got := w.text("#body"); got != "first" {
		t.Errorf("it says %q", got)
	}
	if title := ask[string](w, "document.title"); !strings.HasPrefix(title, "(1) ") {
		t.Errorf("title %q after one was read", title)
	}
	if !ask[bool](w, `window.here === true`) {
		t.Error("the page was loaded again")
	}
}

func TestAReloadStaysAtTheAddress(t *testing.T) {
	w := open(t)
	email := w.make()
	w.house.send(email, plain("One", "first"))
	w.listed(1)
	w.read(1)
	for _, again := range []func(){
		func() { w.must(w.Reload()) },
		func() { w.visit("/frame"); w.visit("/") }, // without the fragment
	} {
		again()
		w.live()
		w.listed(1)
		if got := w.text("#address"); got != email {
			t.Errorf("the address is %q, was %q", got, email)
		}
		if ask[bool](w, `document.querySelector("#messages li").classList.contains("new")`) {
			t.Error("it forgot what was read")
		}
	}
	other := look(t, w.house) // who has only the link
	other.visit("/#" + email)
	other.listed(1)
	other.click("#settings-toggle")
	other.shows("#password-lost")
}

func TestANameCanBeChosenOnce(t *testing.T) {
	w := open(t)
	w.click("#local")
	w.must(w.Type("Fred", browser.Enter))
	w.live()
	if got := w.text("#address"); !strings.EqualFold(got, "fred@temp.example.org") {
		t.Fatalf("address %q", got)
	}
	w.click(`a[href="#new"]`)
	w.shows("#others a")
	w.click("#local")
	w.must(w.Type("fred", browser.Enter))
	w.shows("#local-error")
	if got := w.focused(); got != "local" {
		t.Errorf("the focus is on %q", got)
	}
	w.must(w.Type(" x", browser.Enter)) // no address at all
	w.until(`document.querySelector("#local-error").textContent.includes("cannot")`)
	w.click("#others a")
	w.shows("#address")
}

func TestTheShownPasswordOpensTheMailboxByPOP3(t *testing.T) {
	w := open(t)
	email := w.make()
	w.house.send(email, plain("One", "first"))
	w.listed(1)
	w.click("#settings-toggle")
	w.shows("#password")
	if server := w.text("#settings dl"); !strings.Contains(server, w.house.ports["pop3s"]) || !strings.Contains(server, w.house.ports["pop3"]) {
		t.Errorf("servers: %s", server)
	}
	c, err := textproto.Dial("tcp", w.house.ports["pop3"])
	w.must(err)
	defer c.Close()
	for _, line := range []string{"", "USER " + w.text("#user"), "PASS " + w.text("#password"), "STAT", "QUIT"} {
		if line != "" {
			w.must(c.PrintfLine("%s", line))
		}
		answer, err := c.ReadLine()
		if err != nil || !strings.HasPrefix(answer, "+OK") || line == "STAT" && !strings.HasPrefix(answer, "+OK 1 ") {
			t.Fatalf("%s: %s, %v", strings.Fields(line + " -")[0], answer, err)
		}
	}
}

func TestCopyingPutsTheAddressOnTheClipboard(t *testing.T) {
	w := open(t)
	email := w.make()
	ask[bool](w, `(navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve() }, true)`)
	w.click("#copy")
	w.until(`window.copied === %q`, email)
	w.until(`document.querySelector("#announcer").textContent === "Address copied."`)
}

func TestAttachmentsAreSavedAndImagesOfTheMailShown(t *testing.T) {
	w := open(t)
	email := w.make()
	dir := t.TempDir()
	w.must(w.Save(dir))
	w.house.send(email, `From: Alice <alice@sender.example>
To: <{to}>
Subject: Parts
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: multipart/related; boundary=r

--r
Content-Type: text/html

<p style="color: rgb(1, 2, 3)">See: <img src="cid:dot@x" alt="A dot"></p>
--r
Content-Type: image/gif
Content-ID: <dot@x>
Content-Transfer-Encoding: base64

R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==
--r--
--b
Content-Type: text/plain; name="list.txt"
Content-Disposition: attachment; filename="list.txt"

one two three
--b--
`)
	w.listed(1)
	w.read(1)
	w.until(`document.querySelector("iframe.sheet")?.contentDocument?.querySelector("img")?.naturalWidth === 1`)
	if colour := ask[string](w, `getComputedStyle(document.querySelector("iframe.sheet").contentDocument.querySelector("p")).color`); colour != "rgb(1, 2, 3)" {
		t.Errorf("the paragraph is %s", colour)
	}
	if n := ask[int](w, `document.querySelectorAll("#attachments li").length`); n != 1 {
		t.Errorf("%d attachments beside the text", n)
	}
	w.click("#attachments a")
	w.must(await(func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "list.txt"))
		return err == nil && strings.TrimSpace(string(text)) == "one two three"
	}))

	w.click("#source-toggle")
	w.until(`document.querySelector(".source")?.textContent.includes("Content-ID: <dot@x>")`)
	w.click("#source-toggle")
	w.shows("iframe.sheet")
	w.click("#as-text")
	w.until(`document.querySelector("#body .text")?.textContent.includes("See:")`)
	w.click("#download")
	w.must(await(func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "*.eml"))
		if len(files) != 1 {
			return false
		}
		text, err := os.ReadFile(files[0])
		return err == nil && strings.Contains(string(text), "boundary=b")
	}))
}

func TestMessagesAndTheAddressAreDeleted(t *testing.T) {
	w := open(t)
	email := w.make()
	for _, subject := range []string{"One", "Two"} {
		w.house.send(email, plain(subject, "text"))
	}
	w.listed(2)
	w.read(1)
	w.click("#delete")
	w.listed(1)
	if left := w.text("#messages .about"); left != "One" {
		t.Errorf("left is %q", left)
	}
	if ask[bool](w, `document.querySelector("#letter").checkVisibility()`) {
		t.Error("the deleted message is still shown")
	}
	if !ask[bool](w, `document.activeElement.matches("#messages li")`) {
		t.Errorf("the focus is on %q", w.focused())
	}

	w.click("#remove")
	w.shows("#sure")
	if got := w.focused(); got != "sure-no" {
		t.Errorf("the focus is on %q", got)
	}
	w.click("#sure-yes")
	w.shows("#make")
	if ask[bool](w, `document.querySelector("#others").checkVisibility()`) || strings.Contains(ask[string](w, `localStorage.getItem("restante") ?? ""`), email) {
		t.Error("the deleted address is remembered")
	}
	w.visit("/#" + email)
	w.shows("#gone-title")
}

// Somebody else may delete what is shown here.
func TestWhatAnotherProgramDeletesGoesFromThePage(t *testing.T) {
	w := open(t)
	email := w.make()
	w.house.send(email, plain("One", "text"))
	w.listed(1)
	w.read(1)
	other := look(t, w.house)
	other.visit("/#" + email)
	other.listed(1)
	other.read(1)
	other.click("#delete")
	w.listed(0)
	w.shows("#empty")
	other.click("#remove")
	other.click("#sure-yes")
	w.shows("#gone-title")
}

func TestExpiryIsShownWhenItComes(t *testing.T) {
	w := open(t)
	ask[bool](w, `(() => {
		document.querySelector("#life").append(new Option("3 seconds", 3, true, true));
		window.began = Date.now();
		window.clock = [];
		new MutationObserver(() => clock.push(document.querySelector("#timer").textContent)).observe(document.querySelector("#timer"), {childList: true});
		new MutationObserver(() => window.ended ??= Date.now()).observe(document.querySelector("#gone-title"), {childList: true});
		return true;
	})()`)
	w.click("#make-button")
	w.shows("#gone-title")
	clock := ask[[]string](w, `clock`)
	if !slices.IsSortedFunc(clock, func(a, b string) int { return strings.Compare(b, a) }) || slices.Contains(clock, "0:04") {
		t.Errorf("the clock showed %v", clock)
	}
	if lived := ask[int](w, `ended - began`); lived < 2900 {
		t.Errorf("it was over after %d ms", lived)
	}
	if got := w.text("#gone-title"); got != "This address has expired" {
		t.Errorf("it says %q", got)
	}
	if got := w.focused(); got != "gone-title" {
		t.Errorf("the focus is on %q", got)
	}
	w.click(`[data-show~=gone] a[href="#new"]`)
	w.shows("#make")
	w.visit("/#nobody@temp.example.org")
	w.shows("#gone-title")
	if got := w.text("#gone-title"); got != "There is no such address" {
		t.Errorf("it says %q", got)
	}
}

func TestAServerThatIsAwayIsSaidAndMissedMailComesLater(t *testing.T) {
	w := open(t)
	email := w.make()
	w.house.send(email, plain("One", "text"))
	w.listed(1)
	w.house.end()
	w.until(`document.querySelector("#watching").dataset.how === "away"`)
	w.click("#messages li")
	w.until(`document.querySelector("#notice-text").textContent === "The message did not come: the server does not answer."`)

	for flag, field := range map[string]*string{"http": &w.house.config.HTTP, "smtp": &w.house.config.SMTP} {
		*field = w.house.ports[flag]
	}
	w.house.begin()
	w.house.send(email, plain("Two", "text"))
	w.live()
	w.listed(2)
	w.click("#notice-retry")
	w.shows("#letter")
	if ask[bool](w, `document.querySelector("#notice").checkVisibility()`) {
		t.Error("the notice stays")
	}
}

func TestMailComesWhereEventsDoNot(t *testing.T) {
	t.Parallel()
	w := look(t, start(t))
	w.must(w.Block("*://*:*/*/events"))
	w.visit("/")
	w.click("#make-button")
	w.until(`document.querySelector("#watching").dataset.how === "polling"`)
	w.house.send(w.text("#address"), plain("One", "text"))
	w.listed(1)
}

func TestTooManyRequestsAreExplained(t *testing.T) {
	w := open(t)
	ask[bool](w, `(window.fetch = async () => new Response('{"type":"urn:problem:too-many-mailboxes","status":429}', {status: 429, headers: {"Retry-After": "90"}}), true)`)
	w.click("#make-button")
	w.shows("#notice")
	if got, want := w.text("#notice-text"), "The address was not made: that was too often. Try again in 2 minutes."; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

func TestOlderMessagesAreShownWhenAskedFor(t *testing.T) {
	w := open(t)
	email := w.make()
	for range 55 {
		w.house.send(email, plain("Many", "text"))
	}
	w.listed(55) // each was told
	w.must(w.Reload())
	w.listed(50)
	w.click("#older")
	w.listed(55)
	if ask[bool](w, `document.querySelector("#older").checkVisibility()`) {
		t.Error("there are no more, and the button is there")
	}
}
