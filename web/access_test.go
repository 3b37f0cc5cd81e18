package web_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"restante/web/internal/browser"
)

// states brings the page into its states, one after the other, and has a look at each.
func (w *walk) states(look func(state string)) {
	w.t.Helper()
	look("new")
	email := w.make()
	look("empty")
	w.click("#settings-toggle")
	look("settings")
	w.house.send(email, plain(strings.Repeat("Subject", 40), strings.Repeat("unbroken", 100)))
	w.listed(1)
	look("arrived")
	w.read(1)
	look("text")
	if ask[bool](w, `document.querySelector("#back").checkVisibility()`) {
		w.click("#back")
	}
	w.house.send(email, strings.Replace(formatted("HTML", `<table width="900"><tr><td><p>wide <img src="http://127.0.0.1:9/x.gif"></p></td></tr></table>`),
		"alice@", strings.Repeat("a", 60)+"@", 1))
	w.listed(2)
	w.read(1)
	w.until(`document.querySelector("iframe.sheet")?.contentDocument?.querySelector("table")`)
	look("html")
	w.click("#source-toggle")
	w.until(`document.querySelector(".source")?.textContent.includes("Received:")`)
	look("source")
	if ask[bool](w, `document.querySelector("#back").checkVisibility()`) {
		w.click("#back")
	}
	w.click("#remove")
	look("delete")
	w.must(w.Type(browser.Escape))
	w.visit("/#nobody@temp.example.org")
	w.shows("#gone-title")
	look("gone")
}

func TestEveryControlHasAName(t *testing.T) {
	w := open(t)
	controls := []string{"button", "link", "textbox", "combobox", "listbox", "option", "MenuListPopup", "dialog", "Iframe", "article", "timer", "group", "navigation"}
	w.states(func(state string) {
		things, err := w.Things()
		w.must(err)
		var roles []string
		for _, thing := range things {
			roles = append(roles, thing.Role)
			if slices.Contains(controls, thing.Role) && strings.TrimSpace(thing.Name) == "" && thing.Role != "timer" && thing.Role != "MenuListPopup" {
				t.Errorf("%s: a %s has no name", state, thing.Role)
			}
		}
		for _, landmark := range []string{"banner", "main", "contentinfo", "status"} {
			if state != "delete" && !slices.Contains(roles, landmark) {
				t.Errorf("%s: there is no %s in %v", state, landmark, slices.Compact(slices.Sorted(slices.Values(roles))))
			}
		}
		if ids := ask[string](w, `(() => { const all = [...document.querySelectorAll("[id]")].map(e => e.id); return all.filter((id, i) => all.indexOf(id) !== i).join() })()`); ids != "" {
			t.Errorf("%s: twice the same id: %s", state, ids)
		}
	})
}

func TestAPhoneNeedsNoHorizontalScrolling(t *testing.T) {
	w := open(t)
	w.must(w.Phone(360, 740))
	w.states(func(state string) {
		if over := ask[int](w, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			widest := ask[string](w, `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > 360.5).map(e => e.tagName + "#" + e.id).join(" ")`)
			t.Errorf("%s: %d pixels too wide: %s", state, over, widest)
		}
		small := ask[string](w, `[...document.querySelectorAll("button, .button, select, input")].filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 32).map(e => e.id || e.textContent).join()`)
		if small != "" {
			t.Errorf("%s: too small to touch: %s", state, small)
		}
	})
}

// contrasts lists texts that stand out less than WCAG 2.2, 1.4.3, asks for.
const contrasts = `(() => {
	const rgb = s => { const n = s.match(/[\d.]+/g).map(Number); return s.startsWith("color") ? [n[0]*255, n[1]*255, n[2]*255, n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1] };
	const light = c => { const l = c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v/12.92 : ((v+.055)/1.055)**2.4); return .2126*l[0] + .7152*l[1] + .0722*l[2] };
	const over = (a, b) => [0, 1, 2].map(i => a[i]*a[3] + b[i]*(1-a[3])).concat(1);
	const behind = e => { const all = []; for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); all.push(c); if (c[3] === 1) break } return all.reduceRight((under, c) => over(c, under), [255, 255, 255, 1]) };
	const bad = [];
	for (const e of document.querySelectorAll("body *")) {
		if (!e.checkVisibility({opacityProperty: true}) || e.closest("svg") || e.closest(".unseen") || e.closest("noscript") || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
		if (document.querySelector("dialog:open") && !e.closest("dialog")) continue;
		const s = getComputedStyle(e), ground = behind(e), ink = over(rgb(s.color), ground);
		const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
		const large = parseFloat(s.fontSize) >= 24 || parseFloat(s.fontSize) >= 18.66 && s.fontWeight >= 700;
		const ratio = (a + .05) / (b + .05);
		if (ratio < (large ? 3 : 4.5)) bad.push(e.tagName + "#" + e.id + "." + e.className + " " + ratio.toFixed(2));
	}
	return bad.join("; ");
})()`

func TestTextStandsOutInLightAndInDark(t *testing.T) {
	grounds := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			w := look(t, start(t))
			w.must(w.Prefer("prefers-color-scheme", scheme, "prefers-reduced-motion", "reduce"))
			w.visit("/")
			w.states(func(state string) {
				if bad := ask[string](w, "%s", contrasts); bad != "" {
					t.Errorf("%s: %s", state, bad)
				}
			})
			grounds[scheme] = ask[string](w, `getComputedStyle(document.documentElement).backgroundColor`)
		})
	}
	if grounds["light"] == grounds["dark"] {
		t.Errorf("both are %s", grounds["light"])
	}
}

func TestNothingMovesForThoseWhoWantThat(t *testing.T) {
	w := open(t)
	w.must(w.Prefer("prefers-reduced-motion", "reduce"))
	w.house.send(w.make(), plain("One", "text"))
	w.listed(1)
	if moving := ask[string](w, `document.getAnimations({subtree: true}).map(a => a.effect.target.className).join()`); moving != "" {
		t.Errorf("moving: %s", moving)
	}
}

// tabTo goes forward to an element as somebody without a mouse does. What has the
// focus on the way must be marked.
func (w *walk) tabTo(condition string) {
	w.t.Helper()
	var passed []string
	for range 30 {
		w.must(w.Type(browser.Tab))
		at := ask[string](w, `(e => e.tagName + "#" + e.id)(document.activeElement)`)
		passed = append(passed, at)
		if !strings.HasPrefix(at, "BODY") && !strings.HasPrefix(at, "IFRAME") &&
			!ask[bool](w, `(s => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(document.activeElement))`) {
			w.t.Errorf("the focus on %s cannot be seen", at)
		}
		if ask[bool](w, "Boolean((e => %s)(document.activeElement))", condition) {
			return
		}
	}
	w.t.Fatalf("Tab never comes to %s: %v", condition, passed)
}

func (w *walk) at(selector string) {
	w.t.Helper()
	w.until(`document.activeElement.matches(%q)`, selector)
}

func TestEverythingGoesByKeyboard(t *testing.T) {
	w := open(t)
	w.tabTo(`e.id === "make-button"`)
	w.must(w.Type(browser.Enter))
	w.live()
	email := w.text("#address")
	for i := range 3 {
		w.house.send(email, formatted(fmt.Sprintf("Mail %d", i+1), `<p>text <a href="https://sender.example/">link</a></p>`))
	}
	w.listed(3)

	// One stop for the list, arrows within it.
	w.tabTo(`e.matches("#messages li")`)
	w.must(w.Type(browser.End))
	w.at("#messages li:nth-child(3)")
	w.must(w.Type(browser.ArrowDown))
	w.at("#messages li:nth-child(3)")
	w.must(w.Type(browser.ArrowUp))
	w.at("#messages li:nth-child(2)")
	w.must(w.Type(browser.Home))
	w.at("#messages li:nth-child(1)")
	w.must(w.Type(browser.ArrowDown, browser.Enter))
	w.shows("#letter")
	w.at("#subject")
	if got := w.text("#subject"); got != "Mail 2" {
		t.Errorf("it reads %q", got)
	}

	// Into the mail, and out of it on the other side.
	w.until(`document.querySelector("iframe.sheet")?.contentDocument?.querySelector("a")`)
	w.tabTo(`e.tagName === "IFRAME" && e.contentDocument.activeElement.tagName === "A"`)
	w.tabTo(`e === document.body || e.tagName !== "IFRAME"`)
	w.must(w.TypeBack(browser.Tab))
	w.at("iframe")
	ask[bool](w, `(document.querySelector("#subject").focus(), true)`)
	w.must(w.Type(browser.Escape))
	w.at("#messages li:nth-child(2)")

	w.must(w.Type(browser.Delete))
	w.listed(2)
	w.at("#messages li:nth-child(2)")

	ask[bool](w, `(document.querySelector("#copy").focus(), true)`)
	w.tabTo(`e.id === "remove"`)
	w.must(w.Type(browser.Enter))
	w.at("#sure-no")
	w.must(w.Type(browser.Escape))
	w.at("#remove")
	w.must(w.Type(browser.Enter))
	w.tabTo(`e.id === "sure-yes"`)
	w.must(w.Type(browser.Enter))
	w.shows("#make")
}
