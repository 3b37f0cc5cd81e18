package web

import "net/http"

// Content-Security-Policies (CSP Level 3). Styles in the text of a document are not
// allowed anywhere: the script sets those of a mail one by one.
const (
	// Mail is HTML that strangers wrote, so the script may make a document of text
	// only by its policy "mail" (Trusted Types), which has one use.
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types mail"

	// A frame shows one mail. It has an origin, so that the script of the page can
	// fill it, and no scripts. What comes with the mail is shown, and nothing else.
	framePolicy = "default-src 'none'; style-src 'self'; img-src 'self' data:" + frameRest
	// The same, when its reader has asked for images from elsewhere.
	remoteFramePolicy = "default-src 'none'; style-src 'self'; img-src 'self' data: https: http:" + frameRest

	frameRest = "; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; " +
		"sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"

	statusPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

	filePolicy = "default-src 'none'; frame-ancestors 'none'"
)

// secure sets what all answers have.
func secure(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
}
