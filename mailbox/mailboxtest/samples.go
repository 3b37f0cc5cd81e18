package mailboxtest

import (
	"bytes"
	"fmt"
	"strings"
)

// Message is a well-formed message (RFC 5322) of exactly size octets, with
// CRLF line ends. Too small a size gives the beginning of one.
func Message(size int) []byte {
	var b bytes.Buffer
	b.Grow(size + 80)
	b.WriteString("From: Wilma <wilma@example.org>\r\nTo: Fred <fred@example.org>\r\nSubject: sample\r\n\r\n")
	for n := 1; b.Len() < size; n++ {
		fmt.Fprintf(&b, "line %d of a message that says nothing, only at some length\r\n", n)
	}
	message := b.Bytes()[:size]
	if size >= 2 {
		copy(message[size-2:], "\r\n")
	}
	if size >= 3 && message[size-3] == '\r' {
		message[size-3] = '.' // what is left of a line end that was cut
	}
	return message
}

// A Sample is a message as one may really arrive.
type Sample struct {
	Name   string // a few words, fit for the name of a subtest
	Octets []byte // before dot-stuffing
}

// Samples are messages that have broken mail programs. A store keeps any of
// them octet for octet. What reaches it has passed the door, where line ends
// are settled; those whose Name begins with "unsettled" have not.
func Samples() []Sample {
	const header = "From: wilma@example.org\r\nSubject: sample\r\n\r\n"
	return []Sample{
		{"empty", nil},
		{"a lone CRLF", []byte("\r\n")},
		{"header without body", []byte("Subject: only a header\r\n")},
		{"body without header", []byte("\r\nonly a body\r\n")},
		{"no header at all", []byte("this is not a message\r\n")},
		{"8-bit rubbish", []byte(header + every8BitOctet())},
		{"broken UTF-8", []byte("Subject: \xc3\x28\xff\r\n\r\n\xe2\x82\r\n")},
		{"a NUL in the body", []byte(header + "before\x00after\r\n")},
		{"a line of 200,000 octets", []byte(header + strings.Repeat("x", 200_000) + "\r\n")},
		{"a header field of 100,000 octets", []byte("Subject: " + strings.Repeat("y", 100_000) + "\r\n\r\nbody\r\n")},
		{"ten thousand header fields", []byte(strings.Repeat("X-Again: and again\r\n", 10_000) + "\r\nbody\r\n")},
		{"lines that begin with dots", []byte(header + ".\r\n..\r\n.one\r\n..two\r\n. \r\n")},
		{"nothing but dots", []byte(".\r\n.\r\n.\r\n")},
		{"what looks like the end of DATA", []byte(header + "a\r\n.\r\nMAIL FROM:<mallory@example.org>\r\n")},
		{"what looks like a POP3 reply", []byte(header + "+OK\r\n-ERR\r\n.\r\n")},
		{"only empty lines", bytes.Repeat([]byte("\r\n"), 5000)},
		{"unclosed multipart", []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n")},
		{"a boundary of nothing", []byte("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n----\r\n")},
		{"base64 that is none", []byte("Content-Transfer-Encoding: base64\r\n\r\n=====!!!!\r\n")},
		{"unsettled: no final CRLF", []byte(header + "the end is missing")},
		{"unsettled: bare LF", []byte("Subject: sample\n\none\n.\ntwo\n")},
		{"unsettled: bare CR", []byte("Subject: sample\r\r\none\r.\rtwo\r\n")},
		{"unsettled: CR at the end", []byte(header + "half a line end\r")},
		{"unsettled: a dot between mixed line ends", []byte(header + "a\n.\r\nb\r\n.\nc\r.\r\n")},
	}
}

// every8BitOctet has each octet that may stand in a line, in lines.
func every8BitOctet() string {
	var b strings.Builder
	for c := 1; c < 256; c++ {
		if c == '\r' || c == '\n' {
			continue
		}
		b.WriteByte(byte(c))
		if c%64 == 0 {
			b.WriteString("\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.String()
}
