package provider

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

const gridHeader = "From: =?utf-8?q?J=C3=B6rg?= <fred@example.org>\r\nTo: Ann <ann@example.net>\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n"

const (
	plainPart = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9\r\n"
	htmlPart  = "Content-Type: text/html; charset=utf-8\r\n\r\n<p>x</p>\r\n"
	filePart  = "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n"
	imagePart = "Content-Type: image/png\r\nContent-ID: <i@x>\r\nContent-Disposition: inline; filename=i.png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n"
)

// multi is a multipart of parts.
func multi(kind, boundary string, parts ...string) string {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/" + kind + "; boundary=" + boundary + "\r\n\r\n")
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\n" + p)
	}
	b.WriteString("--" + boundary + "--\r\n")
	return b.String()
}

func TestMailThatLosesNothingBecomesJSON(t *testing.T) {
	const text = `{"type":"text/plain","value":"café\r"}`
	const html = `{"type":"text/html","value":"\u003cp\u003ex\u003c/p\u003e\r"}`
	const file = `{"content":"AAEC","type":"application/pdf","filename":"a.pdf","disposition":"attachment"}`
	const image = `{"content":"AAEC","type":"image/png","filename":"i.png","disposition":"inline","content_id":"i@x"}`
	for _, c := range []struct{ name, body, content, attachments string }{
		{"text", "Content-Type: text/plain; charset=utf-8\r\n\r\ncafé\r", text, ""},
		{"text and HTML", multi("alternative", "a", plainPart, htmlPart), text + "," + html, ""},
		{"text and a file", multi("mixed", "m", plainPart, filePart), text, file},
		{"all", multi("mixed", "m", multi("alternative", "a", plainPart, multi("related", "r", htmlPart, imagePart)), filePart), text + "," + html, image + "," + file},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := toJSON([]byte(gridHeader+c.body), newMail(t, "", "ann@example.net", "bob@example.net"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range g.Content { // parts end with or without the CRLF before the boundary
				g.Content[i].Value = strings.TrimRight(g.Content[i].Value, "\r\n") + "\r"
			}
			got, err := json.Marshal(g)
			if err != nil {
				t.Fatal(err)
			}
			attachments := ""
			if c.attachments != "" {
				attachments = `"attachments":[` + c.attachments + `],`
			}
			want := `{"personalizations":[{"to":[{"email":"ann@example.net","name":"Ann"}],"bcc":[{"email":"bob@example.net"}]}],` +
				`"from":{"email":"fred@example.org","name":"Jörg"},"subject":"café","content":[` + c.content + `],` + attachments +
				`"headers":{"Message-ID":"\u003c1@example.org\u003e"},"tracking_settings":{"click_tracking":{"enable":false},"open_tracking":{"enable":false}}}`
			if string(got) != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestMailThatWouldLoseSomethingIsLeftToOthers(t *testing.T) {
	text := gridHeader + plainPart
	for _, c := range []struct{ name, message string }{
		{"signed", gridHeader + multi("signed", "s", plainPart, filePart)},
		{"encrypted", gridHeader + multi("encrypted", "s", plainPart, filePart)},
		{"an invitation", gridHeader + multi("alternative", "a", plainPart, htmlPart, "Content-Type: text/calendar\r\n\r\nx\r\n")},
		{"one alternative", gridHeader + multi("alternative", "a", htmlPart)},
		{"alternatives in another order", gridHeader + multi("alternative", "a", htmlPart, plainPart)},
		{"a message in it", gridHeader + multi("mixed", "m", plainPart, "Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=x\r\n\r\nSubject: x\r\n\r\nx\r\n")},
		{"two texts", gridHeader + multi("mixed", "m", plainPart, plainPart)},
		{"a file without a name", gridHeader + multi("mixed", "m", plainPart, strings.Replace(filePart, "; filename=a.pdf", "", 1))},
		{"a picture without an id", gridHeader + multi("related", "r", htmlPart, strings.Replace(imagePart, "Content-ID: <i@x>\r\n", "", 1))},
		{"only a file", gridHeader + filePart},
		{"another character set", strings.Replace(text, "charset=utf-8", "charset=iso-8859-1", 1)},
		{"not in its character set", gridHeader + "Content-Type: text/plain; charset=utf-8\r\n\r\n\xff\r\n"},
		{"flowed text", strings.Replace(text, "charset=utf-8", "charset=utf-8; format=flowed", 1)},
		{"an unknown encoding", strings.Replace(text, "quoted-printable", "x-uue", 1)},
		{"an empty text", gridHeader + "\r\n\r\n"},
		{"no subject", strings.Replace(text, "Subject:", "X-Subject:", 1)},
		{"no From", strings.Replace(text, "From:", "X-From:", 1)},
		{"two authors", strings.Replace(text, "From: ", "From: a@example.org, ", 1)},
		{"a Sender", "Sender: a@example.org\r\n" + text},
		{"a Bcc", "Bcc: a@example.org\r\n" + text},
		{"a field twice", "X-A: 1\r\nX-A: 2\r\n" + text},
		{"a field in UTF-8", "X-A: é\r\n" + text},
		{"a group", strings.Replace(text, "To: ", "To: friends: ", 1)},
		{"no To", strings.Replace(text, "To:", "X-To:", 1)},
		{"somebody who gets no copy", strings.Replace(text, "To: ", "To: cy@example.net, ", 1)},
		{"somebody twice", strings.Replace(text, "To: ", "To: ann@example.net, ", 1)},
		{"no header", "x"},
	} {
		var lossy lossyError
		if g, err := toJSON([]byte(c.message), newMail(t, "", "ann@example.net", "bob@example.net")); !errors.As(err, &lossy) {
			t.Errorf("%s: %+v, %v", c.name, g, err)
		}
	}
}

func FuzzToJSON(f *testing.F) {
	for _, body := range []string{plainPart, multi("alternative", "a", plainPart, htmlPart), multi("mixed", "m", plainPart, filePart)} {
		f.Add([]byte(gridHeader + body))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		g, err := toJSON(message, newMail(t, "", "ann@example.net"))
		if err != nil {
			return
		}
		if len(g.Content) == 0 || g.From.Email == "" || len(g.Personalizations[0].To) == 0 {
			t.Errorf("incomplete: %+v", g)
		}
		if _, err := json.Marshal(g); err != nil {
			t.Error(err)
		}
	})
}
