package web_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"restante/app"
	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
	"restante/rest"
	"restante/web"
	"restante/web/internal/browser"
)

// rowOf is an expression for the row of a service.
func rowOf(service string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#services tbody tr")].find(r => r.cells[0].textContent.startsWith(%q))`, service)
}

// press clicks on a button of a service.
func (w *walk) press(label, service string) {
	w.t.Helper()
	w.click(fmt.Sprintf(`button[aria-label="%s %s"]`, label, service))
}

func TestOperatorsSeeTheServices(t *testing.T) {
	w, d := relayed(t)
	d.submit("ann@example.com")
	w.until(`%s.cells[5].textContent.includes("temporary")`, rowOf(d.attempts()[0]))
	said := ask[string](w, `%s.innerText`, rowOf("north"))
	for _, want := range []string{"north", "smtp · smtp://north.example · configured", "rack 1", "up", "0 of 16", "of 5,000 a day"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in %q", want, said)
		}
	}
	counts := ask[string](w, `[...document.querySelectorAll("#counts li")].map(l => [...l.children].map(c => c.textContent).join(" ")).join("; ")`)
	if !strings.Contains(counts, "Waits 1 ;") || !strings.Contains(counts, "Deferred 1 normal 1;") {
		t.Errorf("counts %q", counts)
	}
	if got := ask[string](w, `JSON.stringify(localStorage) + document.cookie + location.href`); strings.Contains(got, "sesame") {
		t.Errorf("the token is in %s", got)
	}
}

func TestAServiceThatBeatsIsSeenWithItsLastBeat(t *testing.T) {
	w, d := relayed(t)
	r, err := d.pool.Register(t.Context(), pool.Document{Name: "east", Kind: "smtp", Endpoint: "smtp://127.0.0.1:2526"}, adminToken)
	w.must(err)
	for seq := range uint64(2) {
		_, err := d.pool.Beat(t.Context(), "east", r.Token, pool.Beat{Epoch: r.Epoch, Seq: seq + 1, Note: "all is well"})
		w.must(err)
	}
	w.until(`%s?.cells[7].textContent.includes("s ago") && %[1]s.cells[1].textContent.includes("says: all is well")`, rowOf("east"))
	w.until(`%s.querySelector(".is").textContent === "down"`, rowOf("east")) // as it beats no more
	w.until(`[...document.querySelectorAll("#events li")].some(l => l.textContent.includes("east") && l.textContent.includes("→ down"))`)
	w.must(d.pool.Remove(t.Context(), "east"))
	w.until(`!%s`, rowOf("east"))
}

func TestOperatorsSteerAService(t *testing.T) {
	w, d := relayed(t)
	state := func(want string) {
		t.Helper()
		w.until(`%s.querySelector(".is").textContent === %q`, rowOf("north"), want)
	}
	w.press("Drain", "north")
	state("draining")
	w.until(`document.querySelector("#health").textContent === "1 of 2 services take mail"`)
	w.until(`document.querySelector("#said").textContent.includes("north finishes")`)
	w.until(`document.activeElement.ariaLabel === "Resume north"`) // what stands where Drain was
	w.press("Resume", "north")
	state("up")
	w.press("Trip", "north")
	state("down")
	w.until(`document.querySelector("#events li").textContent.includes("up → down")`)
	w.press("Reset", "north")
	state("up")
	w.press("Probe", "north")
	w.until(`document.querySelector("#said").textContent.includes("north is being probed")`)

	weight := `document.querySelector('[aria-label="Weight of north"]')`
	ask[bool](w, `(%s.select(), %[1]s.focus(), true)`, weight)
	w.must(w.Type("20", browser.Enter))
	w.until(`document.querySelector("#said").textContent.includes("is 20")`)
	if got := d.service("north").Document.Weight; got != 20 {
		t.Errorf("weight %v", got)
	}
	ask[bool](w, `(%s.select(), true)`, weight)
	w.must(w.Type("-3", browser.Enter))
	w.until(`document.querySelector("#said .wrong")?.textContent.includes("above 0")`)
	w.until(`%s.value === "20"`, weight)
	if got := ask[string](w, `(async i => {
		i.value = "30";
		const weighed = i.onchange();
		i.value = "4"; // the first figure of what comes next
		await weighed;
		return i.value;
	})(%s)`, weight); got != "4" {
		t.Errorf("what somebody types has become %s", got)
	}
}

func TestAServiceThatSomebodyElseChangedIsNotChanged(t *testing.T) {
	w, d := relayed(t)
	w.click("#hold") // and so it does not hear of it
	other := 30.0
	_, err := d.pool.Patch(t.Context(), "north", -1, pool.Patch{Weight: &other})
	w.must(err)
	ask[bool](w, `(e => (e.select(), e.focus(), true))(document.querySelector('[aria-label="Weight of north"]'))`)
	w.must(w.Type("20", browser.Enter))
	w.until(`document.querySelector("#said .wrong")?.textContent.includes("somebody has changed it")`)
	if got := d.service("north").Document.Weight; got != 30 {
		t.Errorf("weight %v", got)
	}
}

func TestTheQueueIsBrowsedPageByPage(t *testing.T) {
	w, d := relayed(t)
	var to []string
	for i := range 60 {
		to = append(to, fmt.Sprintf("reader%d@%s", i, []string{"example.com", "example.net"}[i%20/19]))
	}
	d.submit(to...)
	rows := func(n int, and string) {
		t.Helper()
		w.until(`document.querySelectorAll("#queue tbody tr").length === %d && %s`, n, and)
	}
	w.click("#look")
	rows(50, "true")
	w.click("#next")
	rows(10, `document.querySelector("#next").disabled`)
	w.click("#previous")
	rows(50, `document.querySelector("#previous").disabled`)
	w.click("#domain")
	w.must(w.Type("Example.NET", browser.Enter))
	rows(3, "true")
	if got := ask[string](w, `document.querySelector("#queue tbody tr").innerText`); !strings.Contains(got, "fred@example.org") || !strings.Contains(got, "451 4.2.1 come <b>back</b> later") {
		t.Errorf("it says %q", got)
	}
	w.must(w.Type("!", browser.Enter))
	w.shows("#queue-error")
	ask[bool](w, `(document.querySelector("#domain").value = "", document.querySelector("#state").value = "held", true)`)
	w.click("#look")
	w.shows("#no-entries")
}

// unfold shows the entry of the first row.
func (w *walk) unfold() {
	w.t.Helper()
	w.click("#look")
	w.until(`document.querySelector("#look").ariaDisabled === "false"`) // or these are the rows of before
	w.click("#queue tbody tr .link")
	w.shows("#entry")
}

func TestOperatorsSteerAnEntry(t *testing.T) {
	w, d := relayed(t)
	d.submit("ann@example.com", "bob@example.com")
	w.unfold()
	lines := w.text("#entry-lines")
	for _, want := range []string{d.waiting(relay.QueueAny)[0].Entry.Message.String(), "fred@example.org", "deferred", "temporary", "451 4.2.1"} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in %q", want, lines)
		}
	}
	before := len(d.attempts())
	w.click("#retry")
	w.until(`!document.querySelector("#entry").open && document.querySelector("#said").textContent.includes("ann@example.com is tried now")`)
	w.must(await(func() bool { return len(d.attempts()) > before }))

	w.until(`document.activeElement.textContent === "ann@example.com"`)
	w.must(w.Type(browser.Enter))
	w.shows("#entry")
	before = len(d.attempts())
	by := ask[string](w, `document.querySelector("#by").value`)
	if at := w.text("#entry-lines"); strings.Contains(at, "Service"+by) {
		t.Errorf("%s is offered, which was asked last: %s", by, at)
	}
	w.click("#reroute")
	w.must(await(func() bool { return slices.Contains(d.attempts()[before:], by) }))
	w.until(`!document.querySelector("#entry").open`)

	w.unfold()
	w.click("#cancel")
	w.at("#cancel-no")
	w.must(w.Type(browser.Enter))
	w.at("#cancel")
	if n := len(d.waiting(relay.QueueAny)); n != 2 {
		t.Errorf("%d wait", n)
	}
	w.must(w.Type(browser.Enter))
	w.click("#cancel-yes")
	w.until(`document.querySelector("#said").textContent.includes("ann@example.com is given up")`)
	w.until(`document.querySelectorAll("#queue tbody tr").length === 1`)
	if all := d.waiting(relay.QueueAny); len(all) != 1 || all[0].Recipient.Local != "bob" {
		t.Errorf("%v waits", all)
	}
}

func TestAnEntryThatIsGoneMeanwhileSaysSo(t *testing.T) {
	w, d := relayed(t)
	d.submit("ann@example.com")
	w.unfold()
	q, err := d.node.Queue()
	w.must(err, q.Cancel(t.Context(), d.waiting(relay.QueueAny)[0].Entry, "somebody else"))
	w.click("#retry")
	w.until(`document.querySelector("#entry-error").textContent.includes("nothing is left to do")`)
}

func TestABacklogIsAdoptedWhereItsDataCentreIsTypedTwice(t *testing.T) {
	w, d := relayed(t)
	there := d.journal.Process("dc2")
	w.must(there.Open(t.Context(), relay.Segment{Lane: d.ids.Next(), ID: new(mailbox.MessageIDs).Next()}))
	asked := func() int { return strings.Count(strings.Join(w.Requests(), "\n"), "/v1/adoptions") }
	w.click("#adopt")
	w.shows("#adoption")
	w.click("#adoption-yes")
	w.until(`document.querySelector("#adoption-error").textContent === "Which data centre?"`)
	w.click("#datacenter")
	w.must(w.Type("dc2"))
	w.click("#again")
	w.must(w.Type("dc1", browser.Enter))
	w.until(`document.querySelector("#adoption-error").textContent === "The two are not the same."`)
	if asked() != 0 {
		t.Error("it was asked for before it was sure")
	}
	ask[bool](w, `(document.querySelector("#again").select(), true)`)
	w.must(w.Type("dc2", browser.Enter))
	w.until(`document.querySelector("#said").textContent.includes("1 process may")`)
	if asked() != 1 || ask[bool](w, `document.querySelector("#adoption").open`) {
		t.Errorf("asked for %d times", asked())
	}
}

func TestTheRelayWantsTheToken(t *testing.T) {
	t.Parallel()
	d := newDepot(t)
	w := look(t, d.house())
	w.must(w.Go(d.server.URL + "/relay"))
	w.click("#token")
	w.must(w.Type("wrong", browser.Enter))
	w.shows("#token-error")
	if ask[bool](w, `document.querySelector("#rooms").checkVisibility()`) {
		t.Error("without the token there is something to see")
	}
	d.enter(w)
	w.must(w.Reload())
	w.until(`document.querySelector("#health").textContent === "2 of 2 services take mail"`)
	w.click("#leave")
	w.shows("#enter")
	if left := ask[string](w, `document.querySelector("#services tbody").textContent + document.querySelector("#events").textContent`); left != "" {
		t.Errorf("it still has %q", left)
	}
	w.must(w.Reload())
	w.shows("#enter")
}

func TestAServerThatMailDoesNotLeaveSaysSo(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(rest.Admin(rest.AdminOptions{Token: adminToken, Log: slog.New(slog.DiscardHandler), Pages: web.Relay()}))
	t.Cleanup(server.Close)
	w := look(t, nil)
	w.must(w.Go(server.URL + "/relay"))
	w.click("#token")
	w.must(w.Type(adminToken, browser.Enter))
	w.shows("#none")
}

func TestAServerThatGoesAwayIsMissed(t *testing.T) {
	w, d := relayed(t)
	w.must(d.server.Listener.Close())
	d.server.CloseClientConnections()
	w.until(`document.querySelector("#notice-text").textContent.includes("does not answer")`)
	w.until(`document.querySelector("#watching").classList.contains("away")`)
}

// relayStates brings the page into its states, and has a look at each.
func (w *walk) relayStates(d *depot, look func(state string)) {
	w.t.Helper()
	d.submit(strings.Repeat("ann", 12)+"@example.com", "bob@"+strings.Repeat("sub.", 20)+"example.com")
	_, err := d.pool.Trip("south")
	w.must(err)
	w.until(`%s.querySelector(".is").textContent === "down"`, rowOf("south"))
	w.press("Drain", "north")
	w.until(`%s.querySelector(".is").textContent === "draining"`, rowOf("north"))
	w.click("#look")
	w.until(`document.querySelectorAll("#queue tbody tr").length === 2`)
	look("page")
	w.unfold()
	look("entry")
	w.click("#cancel")
	look("sure")
	w.must(w.Type(browser.Escape))
	w.until(`!document.querySelector("#entry").open`)
	w.click("#adopt")
	w.click("#adoption-yes")
	w.shows("#adoption-error")
	look("adoption")
}

func TestTheRelayFitsAPhone(t *testing.T) {
	w, d := relayed(t)
	w.must(w.Phone(360, 740))
	w.relayStates(d, func(state string) {
		if over := ask[int](w, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			widest := ask[string](w, `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > 360.5).map(e => e.tagName + "#" + e.id + "." + e.className).join(" ")`)
			t.Errorf("%s: %d pixels too wide: %s", state, over, widest)
		}
		small := ask[string](w, `[...document.querySelectorAll("button, .button, select, input")].filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 32).map(e => e.id || e.textContent || e.ariaLabel).join()`)
		if small != "" {
			t.Errorf("%s: too small to touch: %s", state, small)
		}
	})
}

func TestTheRelayStandsOutInLightAndInDarkAndHasNames(t *testing.T) {
	controls := []string{"button", "link", "textbox", "spinbutton", "combobox", "dialog", "table", "region", "heading"}
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			w, d := relayed(t)
			w.must(w.Prefer("prefers-color-scheme", scheme, "prefers-reduced-motion", "reduce"))
			w.relayStates(d, func(state string) {
				if bad := ask[string](w, "%s", contrasts); bad != "" {
					t.Errorf("%s: %s", state, bad)
				}
				things, err := w.Things()
				w.must(err)
				var roles []string
				for _, thing := range things {
					roles = append(roles, thing.Role)
					if slices.Contains(controls, thing.Role) && strings.TrimSpace(thing.Name) == "" {
						t.Errorf("%s: a %s has no name", state, thing.Role)
					}
				}
				for _, role := range []string{"table", "columnheader", "rowheader", "cell"} {
					if state == "page" && !slices.Contains(roles, role) {
						t.Errorf("there is no %s in %v", role, slices.Compact(slices.Sorted(slices.Values(roles))))
					}
				}
				if moving := ask[string](w, `document.getAnimations({subtree: true}).map(a => a.effect.target.className).join()`); moving != "" {
					t.Errorf("%s: moving: %s", state, moving)
				}
			})
		})
	}
}

func TestTheRelayGoesByKeyboard(t *testing.T) {
	w, d := relayed(t)
	d.submit("ann@example.com")
	w.tabTo(`e.ariaLabel === "Weight of north"`)
	w.tabTo(`e.ariaLabel === "Drain north"`)
	w.must(w.Type(browser.Enter))
	w.until(`document.activeElement.ariaLabel === "Resume north"`)
	w.tabTo(`e.id === "look"`)
	w.must(w.Type(browser.Enter))
	w.until(`document.querySelectorAll("#queue tbody tr").length === 1`)
	w.tabTo(`e.textContent === "ann@example.com"`)
	w.must(w.Type(browser.Enter))
	w.at("#entry-close")
	w.must(w.Type(browser.Escape))
	w.until(`document.activeElement.textContent === "ann@example.com"`)
	w.tabTo(`e.id === "adopt"`)
	w.must(w.Type(browser.Enter))
	w.at("#datacenter")
	w.must(w.Type(browser.Escape))
	w.at("#adopt")
}

func TestTheStatusLeadsToTheRelayWhereMailLeaves(t *testing.T) {
	t.Parallel()
	h := start(t)
	w := look(t, h)
	show := func() {
		t.Helper()
		w.must(w.Go("http://" + h.ports["admin"] + "/status"))
		w.click("#token")
		w.must(w.Type("open sesame, please", browser.Enter))
		w.until(`document.querySelector("#health").textContent === "Ready"`)
	}
	show()
	if ask[bool](w, `document.querySelector("#relay").checkVisibility()`) {
		t.Error("no mail leaves, and there is a way to look at it")
	}
	h.end()
	h.config.Relay = app.RelayConfig{Enrol: "who has this may register", Networks: []string{"127.0.0.0/8"}, Scheduler: "p2c", Concurrency: 64}
	h.begin()
	show()
	w.click("#relay")
	w.shows("#no-services")
	if got := w.text("#health"); got != "0 of 0 services take mail" {
		t.Errorf("it says %q", got)
	}
}
