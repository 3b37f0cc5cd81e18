package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
)

// A letter is a mail that swaks sends, and that whoever fetches it can hold to
// what was sent without asking the server.
type letter struct {
	name    string
	subject string
	args    []string // for swaks
	proof   func(body []byte, h mail.Header) error
}

// attachment is how many octets the largest letter carries.
const attachment = 5 << 20

// compose makes the letters, and their files below dir.
func compose(dir string) ([]letter, error) {
	parcel, err := parcel(dir)
	if err != nil {
		return nil, err
	}
	crooked, err := crooked(dir)
	return []letter{small(), crooked, parcel}, err
}

func small() letter {
	const text = "Hello, here is a small letter."
	return letter{
		name: "small", subject: "Small letter",
		args: []string{"--header", "Subject: Small letter", "--body", text},
		proof: func(body []byte, _ mail.Header) error {
			if got := strings.TrimSpace(string(body)); got != text {
				return fmt.Errorf("the text is %.100q", got)
			}
			return nil
		},
	}
}

// crooked has the lines that transports and mailboxes trip over: dots at the
// start, lines that an mbox would quote, blanks at the end, raw UTF-8, and the
// longest line there may be (RFC 5321, section 4.5.3.1.6).
func crooked(dir string) (letter, error) {
	body := strings.Join([]string{
		".", "..", ". ", ".quoted", "..quoted twice", "",
		"From here on a mailbox in one file would quote.", ">From here on twice.", "",
		"blanks at the end  ", "\ttabs\t", "",
		"Grüße aus Köln, žluťoučký kůň, 小荷物, Приве́т, 🦆",
		strings.Repeat("x", 998),
		"last line", "", ".", "", "", "",
	}, "\r\n")
	header := strings.Join([]string{
		"Date: Mon, 2 Jan 2006 15:04:05 +0000",
		"From: =?utf-8?q?J=C3=BCrgen?= <sender@" + domain + ">",
		"To: undisclosed-recipients:;",
		"Subject: Crooked =?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte("Zeilen – λ")) + "?=",
		"Message-ID: <crooked@" + domain + ">",
		"MIME-Version: 1.0",
		"Content-Type: text/plain; charset=utf-8",
		"Content-Transfer-Encoding: 8bit",
		"", "",
	}, "\r\n")
	file := filepath.Join(dir, "crooked.eml")
	return letter{
		name: "crooked", subject: "Crooked Zeilen – λ",
		args: []string{"--data", "@" + file},
		proof: func(got []byte, _ mail.Header) error {
			return difference(got, []byte(body))
		},
	}, os.WriteFile(file, []byte(header+strings.TrimSuffix(body, "\r\n")), 0o600) // swaks ends the last line
}

// What the parcel looks like.
const (
	parcelSubject = "Parcel of 5 MiB"
	parcelText    = "The parcel is attached."
	parcelName    = "parcel.bin"
)

// parcel is a text with an attachment of random octets.
func parcel(dir string) (letter, error) {
	content := make([]byte, attachment)
	if _, err := rand.Read(content); err != nil {
		return letter{}, err
	}
	want := sha256.Sum256(content)
	file := filepath.Join(dir, parcelName)
	return letter{
		name: "parcel", subject: parcelSubject,
		args: []string{
			"--header", "Subject: " + parcelSubject, "--body", parcelText,
			"--attach-type", "application/octet-stream", "--attach-name", parcelName, "--attach", "@" + file,
		},
		proof: func(body []byte, h mail.Header) error {
			got, err := attached(body, h, parcelName)
			if err == nil && sha256.Sum256(got) != want {
				err = fmt.Errorf("the attachment has %d octets and SHA-256 %x, want %d octets and %x", len(got), sha256.Sum256(got), attachment, want)
			}
			return err
		},
	}, os.WriteFile(file, content, 0o600)
}

// attached is the decoded content of an attachment.
func attached(body []byte, h mail.Header, filename string) ([]byte, error) {
	_, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("there is no attachment %s", filename)
		}
		if err != nil {
			return nil, err
		}
		if part.FileName() == filename {
			return io.ReadAll(base64.NewDecoder(base64.StdEncoding, part))
		}
	}
}

// prove holds messages to the letters: each is there once, as it was sent.
func prove(letters []letter, messages [][]byte) error {
	if len(messages) != len(letters) {
		return fmt.Errorf("%d messages, want %d", len(messages), len(letters))
	}
	found := map[string]bool{}
	for _, raw := range messages {
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			return err
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil {
			return err
		}
		body, err := io.ReadAll(m.Body)
		if err != nil {
			return err
		}
		for _, l := range letters {
			if l.subject != subject {
				continue
			}
			if err := l.proof(body, m.Header); err != nil {
				return fmt.Errorf("the %s letter: %w", l.name, err)
			}
			found[l.name] = true
		}
	}
	if len(found) != len(letters) {
		return fmt.Errorf("found %d of %d letters", len(found), len(letters))
	}
	return nil
}
