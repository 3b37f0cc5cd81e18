package provider

import (
	"fmt"
	"strings"

	"restante/mailbox"
	"restante/relay"
)

// What the sender wants to hear goes on to a next hop that knows of it (RFC 3461, section
// 5.2), so that nobody beyond tells him what he does not want. Of success he hears from us:
// that the mail was relayed.

// dsnOfMail are the parameters of MAIL.
func (t *transaction) dsnOfMail() (params string) {
	if _, ok := t.ext["DSN"]; !ok {
		return ""
	}
	s := t.mail.Submission
	if s.FullReturn {
		params += " RET=FULL"
	}
	if s.EnvelopeID != "" && mailbox.IsASCII(s.EnvelopeID) {
		params += " ENVID=" + xtext(s.EnvelopeID)
	}
	return params
}

// dsnOfRcpt are the parameters of RCPT for the recipient at a place of the mail.
func (t *transaction) dsnOfRcpt(n int) (params string) {
	if _, ok := t.ext["DSN"]; !ok {
		return ""
	}
	s, of := t.mail.Submission, t.mail.Recipients[n]
	if s.Notify != nil && s.Notify[of] != 0 {
		params += " NOTIFY=" + notifyWords(s.Notify[of])
	}
	if s.Original == nil {
		return params
	}
	switch kind, address, _ := strings.Cut(s.Original[of], ";"); {
	case kind == "rfc822" && mailbox.IsASCII(address):
		params += " ORCPT=rfc822;" + xtext(address)
	case kind == "utf-8":
		params += " ORCPT=utf-8;" + unicodeXtext(address)
	}
	return params
}

// notifyWords are the words of NOTIFY, without success.
func notifyWords(n relay.Notify) string {
	var words []string
	if n&relay.NotifyFailure != 0 {
		words = append(words, "FAILURE")
	}
	if n&relay.NotifyDelay != 0 {
		words = append(words, "DELAY")
	}
	if n&relay.NotifyNever != 0 || len(words) == 0 {
		return "NEVER"
	}
	return strings.Join(words, ",")
}

// xtext is ASCII as RFC 3461, section 4, writes it.
func xtext(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unicodeXtext is an international address in ASCII (RFC 6533, section 3).
func unicodeXtext(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c < '!' || c > '~' || c == '+' || c == '=' || c == '\\' {
			fmt.Fprintf(&b, `\x{%02X}`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}
