package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a window waits for what is to come, on a machine that has
// much else to do.
const patience = time.Minute

// A Window shows one page at a time. It shares nothing with other windows of the
// browser, neither storage nor cache.
type Window struct {
	ctx context.Context

	mu       sync.Mutex
	requests []string
	said     []string
}

// Open opens a window, which stop closes.
func (b *Browser) Open() (w *Window, stop func(), err error) {
	ctx, stop := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	w = &Window{ctx: ctx}
	if err := chromedp.Listen(ctx, w.hear); err != nil {
		stop()
		return nil, nil, fmt.Errorf("browser: open a window: %w", err)
	}
	for _, enable := range []func() error{
		func() error { _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); return err },
		func() error { _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); return err },
		func() error { return w.Resize(1280, 860) },
	} {
		if err := enable(); err != nil {
			stop()
			return nil, nil, fmt.Errorf("browser: open a window: %w", err)
		}
	}
	return w, stop, nil
}

// hear notes what the window asks for, and what it says to a developer.
func (w *Window) hear(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		w.requests = append(w.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			text += " " + thrown.Description
		}
		w.said = append(w.said, text)
	case *log.EventEntryAdded:
		w.said = append(w.said, fmt.Sprintf("%s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	}
}

// Requests are the URLs that the window has asked for, those of frames included.
func (w *Window) Requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

// Said is what went wrong in the page, and what its policies refused.
func (w *Window) Said() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.said)
}

// do runs steps within the patience of the window.
func (w *Window) do(what string, steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		return fmt.Errorf("browser: %s: %w", what, err)
	}
	return nil
}

// Go shows a URL.
func (w *Window) Go(url string) error { return w.do("go to "+url, chromedp.Navigate(url)) }

// Reload shows the page again.
func (w *Window) Reload() error { return w.do("reload", chromedp.Reload()) }

// Resize makes the window so large, in CSS pixels.
func (w *Window) Resize(width, height int64) error {
	return w.do("resize", chromedp.EmulateViewport(width, height))
}

// Phone makes the window that of a phone of this size, in CSS pixels: it is touched,
// has two pixels of the screen for each, and scroll bars that take no room.
func (w *Window) Phone(width, height int64) error {
	return w.do("resize", chromedp.EmulateViewport(width, height, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
}

// Prefer sets what the person at the window prefers, such as prefers-color-scheme
// and dark.
func (w *Window) Prefer(features ...string) error {
	var all []*emulation.MediaFeature
	for i := 0; i < len(features); i += 2 {
		all = append(all, &emulation.MediaFeature{Name: features[i], Value: features[i+1]})
	}
	_, err := chromedp.Call(w.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: all})
	return err
}

// Click clicks on the element that a CSS selector finds, when it can be seen. Where the
// page draws it anew between the two, it is looked for again.
func (w *Window) Click(selector string) error {
	for tries := 1; ; tries++ {
		err := w.do("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
		if err == nil || tries == 3 || !strings.Contains(err.Error(), "Could not find node") {
			return err
		}
	}
}

// Type types into the element that has the focus.
func (w *Window) Type(keys ...string) error {
	return w.do("type", chromedp.KeyEvent(strings.Join(keys, "")))
}

// TypeBack types with the shift key held, as to go back with Tab.
func (w *Window) TypeBack(key string) error {
	return w.do("type", chromedp.KeyEvent(key, chromedp.KeyModifiers(chromedp.ModifierShift)))
}

// Save lets the window save downloads in a directory.
func (w *Window) Save(dir string) error {
	_, err := chromedp.CallBrowser(w.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, BrowserContextID: chromedp.FromContext(w.ctx).BrowserContextID, DownloadPath: dir,
	})
	return err
}

// Block makes every request to URLs of these patterns fail, as if nobody answered.
func (w *Window) Block(patterns ...string) error {
	var all []*network.BlockPattern
	for _, p := range patterns {
		all = append(all, &network.BlockPattern{URLPattern: p, Block: true})
	}
	_, err := chromedp.Call(w.ctx, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: all})
	return err
}

// Picture is what the window shows, as PNG.
func (w *Window) Picture() ([]byte, error) {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	answer, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	return answer.Data, err
}

// A Thing is a part of the page as programs for the blind are told of it.
type Thing struct{ Role, Name string }

// Things are all that such programs are told of the page, apart from its frames.
func (w *Window) Things() ([]Thing, error) {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	answer, err := chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		return nil, fmt.Errorf("browser: ask for the accessibility tree: %w", err)
	}
	var all []Thing
	for _, n := range answer.Nodes {
		if !n.Ignored {
			all = append(all, Thing{text(n.Role), text(n.Name)})
		}
	}
	return all, nil
}

func text(v *accessibility.Value) (s string) {
	if v != nil && json.Unmarshal(v.Value, &s) != nil {
		return string(v.Value)
	}
	return s
}

// Ask evaluates an expression in the page, which may be a promise.
func Ask[T any](w *Window, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		return v, fmt.Errorf("browser: ask for %s: %w", expression, err)
	}
	return v, nil
}

// How often Until asks.
const pollInterval = 15 * time.Millisecond

// Until waits until a condition holds in the page. It asks from outside: what waits
// inside would be a script that the page's own policy refuses.
func (w *Window) Until(condition string) error {
	deadline := time.Now().Add(patience)
	for {
		ok, err := Ask[bool](w, "Boolean("+condition+")")
		if ok && err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("browser: waited %s for %s: %w", patience, condition, err)
		}
		time.Sleep(pollInterval)
	}
}
