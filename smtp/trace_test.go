package smtp

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"testing"
	"time"

	"restante/mailbox"
)

// RFC 3848 and RFC 6531, section 4.3, list the keywords.
func TestTheProtocolOfAReceivedField(t *testing.T) {
	for _, c := range []struct {
		kind                                     Kind
		extended, encrypted, authenticated, utf8 bool
		want                                     string
	}{
		{MX, false, false, false, false, "SMTP"},
		{MX, true, false, false, false, "ESMTP"},
		{MX, true, true, false, false, "ESMTPS"},
		{MX, true, true, false, true, "UTF8SMTPS"},
		{Submission, true, true, true, false, "ESMTPSA"},
		{Submission, true, false, true, false, "ESMTPA"},
		{Submission, true, true, true, true, "UTF8SMTPSA"},
		{LMTP, true, false, false, false, "LMTP"},
		{LMTP, true, true, false, false, "LMTPS"},
		{LMTP, true, false, false, true, "UTF8LMTP"},
	} {
		if got := protocol(c.kind, c.extended, c.encrypted, c.authenticated, c.utf8); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func TestTraceFields(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 5, 0, 0, time.FixedZone("", -3600))
	forward := mailbox.Address{Local: "a b", Domain: "example.org"}
	full := trace{
		helo: "client.example.net", remote: netip.MustParseAddr("2001:db8::1"), hostname: "mx.example.org",
		protocol: "ESMTPS", id: "ABC", at: at, forward: &forward,
		reverse: mailbox.Address{Local: "a", Domain: "example.net"},
		tls:     &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256},
	}
	bare := trace{helo: "x", hostname: "mx.example.org", protocol: "SMTP", id: "ABC", at: at, remote: netip.MustParseAddr("192.0.2.1")}
	for _, c := range []struct {
		name string
		in   trace
		want string
	}{
		{"everything is known", full, "Return-Path: <a@example.net>\r\n" +
			"Received: from client.example.net ([IPv6:2001:db8::1])\r\n" +
			"\tby mx.example.org (Restante) with ESMTPS id ABC\r\n" +
			"\t(TLS 1.3, TLS_AES_128_GCM_SHA256)\r\n" +
			"\tfor <\"a b\"@example.org>;\r\n" +
			"\tMon, 2 Nov 2026 09:05:00 -0100\r\n"},
		{"a null reverse-path and several recipients", bare, "Return-Path: <>\r\n" +
			"Received: from x ([192.0.2.1])\r\n" +
			"\tby mx.example.org (Restante) with SMTP id ABC;\r\n" +
			"\tMon, 2 Nov 2026 09:05:00 -0100\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(c.in.fields()); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

// What a client says of itself stands in a header field, so it must not be able
// to end the field or open a comment.
func TestAHelloCannotWriteHeaderFields(t *testing.T) {
	for in, want := range map[string]string{
		"client.example.net":     "client.example.net",
		"[IPv6:2001:db8::1]":     "[IPv6:2001:db8::1]",
		"under_score":            "under_score",
		"bücher.example":         "bücher.example",
		"a\r\nBcc: b":            "a??Bcc:?b",
		"a(b)c;d<e>":             "a?b?c?d?e?",
		"\xff\x00":               "??",
		strings.Repeat("x", 300): strings.Repeat("x", 255),
	} {
		if got := heloName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
