package main

import (
	"fmt"
	"strings"

	"restante/web/internal/browser"
)

// A scene is a state of a page.
type scene struct {
	name        string
	phone, dark bool
	play        func(*stage) error
}

// A stage is where a scene is played.
type stage struct {
	*browser.Window
	server *server
	email  string
}

var scenes = []scene{
	{name: "new", play: (*stage).new},
	{name: "new-phone", phone: true, play: (*stage).new},
	{name: "new-dark", dark: true, play: (*stage).new},
	{name: "name-taken", play: (*stage).taken},
	{name: "empty", play: (*stage).made},
	{name: "empty-phone", phone: true, play: (*stage).made},
	{name: "empty-dark", dark: true, play: (*stage).made},
	{name: "settings", play: (*stage).settings},
	{name: "settings-phone", phone: true, play: (*stage).settings},
	{name: "arriving", play: (*stage).arriving},
	{name: "arriving-phone", phone: true, play: (*stage).arriving},
	{name: "text", play: (*stage).text},
	{name: "html", play: (*stage).html},
	{name: "html-phone", phone: true, play: (*stage).html},
	{name: "html-dark", dark: true, play: (*stage).html},
	{name: "source", play: (*stage).source},
	{name: "delete", play: (*stage).sure},
	{name: "expired", play: (*stage).expired},
	{name: "expired-phone", phone: true, play: (*stage).expired},
	{name: "status-token", play: (*stage).token},
	{name: "status", play: (*stage).status},
	{name: "status-dark", dark: true, play: (*stage).status},
	{name: "status-phone", phone: true, play: (*stage).status},
	{name: "relay", play: (*stage).relay},
	{name: "relay-dark", dark: true, play: (*stage).relay},
	{name: "relay-phone", phone: true, play: (*stage).relay},
	{name: "relay-entry", play: (*stage).entry},
	{name: "relay-entry-phone", phone: true, play: (*stage).entry},
	{name: "relay-adoption", dark: true, play: (*stage).adoption},
	{name: "away", play: (*stage).away}, // the last one
}

// all does one thing after the other, up to the first that fails.
func all(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) click(selector string) func() error { return func() error { return s.Click(selector) } }
func (s *stage) until(condition string) func() error {
	return func() error { return s.Until(condition) }
}

func (s *stage) new() error {
	return all(func() error { return s.Go("http://" + s.server.ports["http"] + "/") }, s.until(`document.querySelector("#make").checkVisibility()`))
}

func (s *stage) made() error {
	return all(s.new, s.click("#make-button"), s.until(`document.querySelector("#watching").dataset.how === "live"`), func() (err error) {
		s.email, err = browser.Ask[string](s.Window, `document.querySelector("#address").textContent`)
		return err
	})
}

func (s *stage) taken() error {
	return all(func() error { return s.Go("http://" + s.server.ports["http"] + "/#new") },
		s.until(`document.querySelector("#make").checkVisibility()`),
		func() error {
			_, err := browser.Ask[bool](s.Window, `fetch("v1/mailboxes", {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"local_part":"fred"}'}).then(r => true)`)
			return err
		},
		s.click("#local"), func() error { return s.Type("fred") }, s.click("#make-button"),
		s.until(`document.querySelector("#local-error").checkVisibility()`))
}

func (s *stage) settings() error { return all(s.made, s.click("#settings-toggle")) }

// deliver sends letters to the address and waits for them.
func (s *stage) deliver(letters ...string) error {
	for i, letter := range letters {
		if err := all(
			func() error { return s.server.send("robot@sender.example", s.email, letter) },
			s.until(fmt.Sprintf(`document.querySelectorAll("#messages li").length === %d`, i+1)),
		); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) arriving() error {
	return all(s.made, func() error { return s.deliver(newsletter, welcome, confirm) })
}

// read opens the letter of a place in the list.
func (s *stage) read(place int) error {
	return all(s.click(fmt.Sprintf("#messages li:nth-child(%d)", place)), s.until(`document.querySelector("#letter").checkVisibility()`))
}

func (s *stage) text() error { return all(s.arriving, func() error { return s.read(2) }) }

func (s *stage) html() error {
	return all(s.arriving, func() error { return s.read(3) },
		s.until(`document.querySelector("iframe.sheet")?.contentDocument?.querySelector("h1")`),
		s.until(`document.querySelector("iframe.sheet").contentDocument.querySelector("img").complete`))
}

func (s *stage) source() error {
	return all(s.html, s.click("#source-toggle"), s.until(`document.querySelector(".source")?.textContent.length > 100`))
}

func (s *stage) sure() error { return all(s.made, s.click("#remove")) }

func (s *stage) expired() error {
	return all(s.new,
		func() error {
			_, err := browser.Ask[bool](s.Window, `document.querySelector("#life").append(new Option("2 seconds", 2, true, true)) ?? true`)
			return err
		},
		s.click("#make-button"), s.until(`document.querySelector("#gone-title").checkVisibility()`))
}

// away stops the server for good.
func (s *stage) away() error {
	return all(s.arriving, s.server.stop, s.until(`document.querySelector("#watching").dataset.how === "away"`),
		s.click("#messages li:nth-child(1)"), s.until(`document.querySelector("#notice").checkVisibility()`))
}

func (s *stage) token() error {
	return all(func() error { return s.Go("http://" + s.server.ports["admin"] + "/status") }, s.until(`document.querySelector("#enter").checkVisibility()`))
}

func (s *stage) status() error {
	return all(s.made, func() error { return s.token() },
		s.click("#token"), func() error { return s.Type(s.server.token + "\r") },
		s.until(`document.querySelector(".tile p")`),
		func() error {
			// Something to see: more of it each time the page looks.
			for i := range 5 {
				for range 1 + 3*(i%3) {
					if err := s.server.send("robot@sender.example", s.email, strings.Replace(welcome, "1@", fmt.Sprintf("%d@", i), 1)); err != nil {
						return err
					}
				}
				asked, err := browser.Ask[string](s.Window, `document.querySelector("#asked").textContent`)
				if err != nil {
					return err
				}
				if err := s.Until(fmt.Sprintf(`document.querySelector("#asked").textContent !== %q`, asked)); err != nil {
					return err
				}
			}
			return nil
		})
}
