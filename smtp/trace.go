package smtp

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"time"

	"restante/mailbox"
)

// A trace is what the Received field says (RFC 5321, section 4.4).
type trace struct {
	helo     string // as the client gave it
	remote   netip.Addr
	hostname string
	protocol string // see protocol
	id       string // of the session
	tls      *tls.ConnectionState
	reverse  mailbox.Address
	forward  *mailbox.Address // the one recipient; nil where there are several
	at       time.Time
}

// fields are the trace fields of final delivery, the Return-Path on top.
func (t trace) fields() []byte {
	b := make([]byte, 0, 512)
	b = append(b, "Return-Path: <"...)
	b = append(b, t.reverse.String()...)
	return t.received(append(b, ">\r\n"...))
}

// received appends the Received field, which is all there is of a message on its way.
func (t trace) received(b []byte) []byte {
	b = append(b, "Received: from "...)
	b = append(b, heloName(t.helo)...)
	if t.remote.IsValid() {
		b = append(b, " (["...)
		if t.remote.Is6() {
			b = append(b, "IPv6:"...)
		}
		b = t.remote.WithZone("").AppendTo(b)
		b = append(b, "])"...)
	}
	b = append(b, "\r\n\tby "...)
	b = append(b, t.hostname...)
	b = append(b, " (Restante) with "...)
	b = append(b, t.protocol...)
	b = append(b, " id "...)
	b = append(b, t.id...)
	if t.tls != nil {
		b = append(b, "\r\n\t("...)
		b = append(b, tls.VersionName(t.tls.Version)...)
		b = append(b, ", "...)
		b = append(b, tls.CipherSuiteName(t.tls.CipherSuite)...)
		b = append(b, ')')
	}
	if t.forward != nil {
		b = append(b, "\r\n\tfor <"...)
		b = append(b, t.forward.String()...)
		b = append(b, '>')
	}
	b = append(b, ";\r\n\t"...)
	b = t.at.AppendFormat(b, "Mon, 2 Jan 2006 15:04:05 -0700")
	return append(b, "\r\n"...)
}

// heloName is what a client says it is called, fit to stand in a header field:
// whoever it is may write there what it likes.
func heloName(s string) string {
	s = s[:min(len(s), 255)]
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0x80 && r != '\uFFFD':
			return r
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(".-_:[]", r):
			return r
		}
		return '?'
	}, s)
}

// protocol is the keyword of the Received field (RFC 3848; RFC 6531, section
// 4.3).
func protocol(k Kind, extended, encrypted, authenticated, utf8 bool) string {
	word := "ESMTP"
	switch {
	case k == LMTP && utf8:
		word = "UTF8LMTP"
	case k == LMTP:
		word = "LMTP"
	case utf8:
		word = "UTF8SMTP"
	case !extended:
		return "SMTP"
	}
	if encrypted {
		word += "S"
	}
	if authenticated {
		word += "A"
	}
	return word
}
