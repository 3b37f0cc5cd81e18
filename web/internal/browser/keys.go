package browser

import "github.com/chromedp/chromedp/kb"

// Keys that write nothing.
const (
	Tab       = kb.Tab
	Enter     = kb.Enter
	Escape    = kb.Escape
	Delete    = kb.Delete
	Home      = kb.Home
	End       = kb.End
	ArrowUp   = kb.ArrowUp
	ArrowDown = kb.ArrowDown
)
