package web_test

import (
	"strings"
	"testing"

	"restante/web/internal/browser"
)

func TestOperatorsSeeHowTheServerIs(t *testing.T) {
	t.Parallel()
	w := look(t, start(t))
	page := "http://" + w.house.ports["admin"] + "/status"
	w.must(w.Go(page))
	w.shows("#enter")
	w.click("#token")
	w.must(w.Type("wrong", browser.Enter))
	w.shows("#token-error")
	if ask[bool](w, `document.querySelector("#rooms").checkVisibility()`) {
		t.Error("without the token there is something to see")
	}
	w.must(w.Type("open sesame, please", browser.Enter))
	w.until(`document.querySelector("#health").textContent === "Ready"`)

	w.house.send("postmaster@example.org", plain("One", "text"))
	kept := `[...document.querySelectorAll(".tile")].find(t => t.querySelector("h3").textContent === "Messages kept")`
	w.until(`%s.querySelector(".range").textContent.includes("most")`, kept)
	w.until(`%s.querySelector("path:not(.below)").getAttribute("d")?.length > 10`, kept)
	rooms := ask[string](w, `[...document.querySelectorAll(".room")].filter(r => r.checkVisibility()).map(r => r.querySelector("h2").textContent).join()`)
	if want := "Mail that comes in,Mail that is fetched,Store on this machine,Temporary addresses,Texts,Process"; rooms != want {
		t.Errorf("rooms %s, want %s", rooms, want)
	}
	things, err := w.Things()
	w.must(err)
	for _, thing := range things {
		if strings.TrimSpace(thing.Name) == "" && (thing.Role == "button" || thing.Role == "heading" || thing.Role == "textbox") {
			t.Errorf("a %s has no name", thing.Role)
		}
	}

	w.must(w.Reload())
	w.until(`document.querySelector("#health").textContent === "Ready"`)
	if got := ask[string](w, `JSON.stringify(localStorage) + document.cookie + location.href`); strings.Contains(got, "sesame") {
		t.Errorf("the token is in %s", got)
	}
	w.click("#leave")
	w.shows("#enter")
	w.must(w.Reload())
	w.shows("#enter")

	w.must(w.Phone(360, 740))
	w.click("#token")
	w.must(w.Type("open sesame, please", browser.Enter))
	w.shows(".tile")
	if over := ask[int](w, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
		t.Errorf("%d pixels too wide for a phone", over)
	}
	w.house.end()
	w.until(`document.querySelector("#notice-text").textContent.includes("does not answer")`)
}
