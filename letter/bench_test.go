package letter

import (
	"bytes"
	"encoding/base64"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
)

// bigNewsletter is the newsletter of testdata with stories up to 20 KiB.
func bigNewsletter(t testing.TB) []byte {
	raw, err := os.ReadFile("testdata/letters/newsletter.eml")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(raw, []byte("<p>Dear reader"))
	if !ok {
		t.Fatal("the newsletter has changed")
	}
	story := `<tr><td style=3D"padding:16px 32px;color:#333333;font-size:16px;line-height=` + "\r\n" +
		`:1.5"><h2 style=3D"font-size:20px;margin:0 0 8px">Broad beans, early</h2><p>` + "\r\n" +
		`They do not mind frost. Sow them 5 cm deep, two rows side by side. <a href=` + "\r\n" +
		`=3D"https://click.example.com/c?u=3D41&amp;l=3D7">Read on</a></p><img src=3D"ht=` + "\r\n" +
		`tps://img.example.com/7.jpg" width=3D"536" alt=3D"Beans" style=3D"display:block"=` + "\r\n" + `></td></tr>` + "\r\n"
	n := (20<<10 - len(raw)) / len(story)
	return bytes.Join([][]byte{head, []byte(strings.Repeat(story, n)), []byte("<p>Dear reader"), rest}, nil)
}

func BenchmarkReadHeader(b *testing.B) {
	raw := bigNewsletter(b)
	b.ReportAllocs()
	for b.Loop() {
		l, err := ReadHeader(bytes.NewReader(raw))
		if err != nil || l.Sender == "" {
			b.Fatal(l, err)
		}
	}
}

func BenchmarkReadNewsletter(b *testing.B) {
	raw := bigNewsletter(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		l, err := Read(bytes.NewReader(raw), Limits{})
		if err != nil || len(l.HTML) < 10_000 {
			b.Fatal(l, err)
		}
	}
}

const attachmentSize = 10 << 20

// withAttachment is a message with an attachment of 10 MiB, made as it is read.
func withAttachment() io.Reader {
	line := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("0123456789abcdef"), 4)[:57]) + "\r\n"
	lines := attachmentSize / 57
	return io.MultiReader(
		strings.NewReader("Subject: a file\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhere it is\r\n--b\r\n"+
			"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
		&repeated{s: line, n: lines},
		strings.NewReader("--b--\r\n"))
}

// repeated is s, n times.
type repeated struct {
	s    string
	n    int
	rest string
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.rest == "" {
			if r.n == 0 {
				return n, io.EOF
			}
			r.n, r.rest = r.n-1, r.s
		}
		k := copy(p[n:], r.rest)
		n, r.rest = n+k, r.rest[k:]
	}
	return n, nil
}

func BenchmarkReadAttachment(b *testing.B) {
	b.SetBytes(attachmentSize)
	b.ReportAllocs()
	for b.Loop() {
		l, err := Read(withAttachment(), Limits{})
		if err != nil || len(l.Attachments) != 1 || l.Attachments[0].Octets < attachmentSize-57 {
			b.Fatal(l, err)
		}
	}
}

func BenchmarkCopyAttachment(b *testing.B) {
	b.SetBytes(attachmentSize)
	b.ReportAllocs()
	for b.Loop() {
		if a, err := CopyAttachment(io.Discard, withAttachment(), 1, Limits{}); err != nil || a.Octets < attachmentSize-57 {
			b.Fatal(a, err)
		}
	}
}

func BenchmarkCompose(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compose(Draft{From: "a@example.org", To: "b@example.org", Subject: "hello", Text: "how are you?"}); err != nil {
			b.Fatal(err)
		}
	}
}

// An attachment is never held: neither reading nor copying allocates anything
// of its size.
func TestAttachmentsAreNotHeld(t *testing.T) {
	for name, use := range map[string]func() error{
		"Read": func() error { _, err := Read(withAttachment(), Limits{}); return err },
		"CopyAttachment": func() error {
			_, err := CopyAttachment(io.Discard, withAttachment(), 1, Limits{})
			return err
		},
	} {
		// What others allocate at the same time counts too, so the bound is wide.
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := use(); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%s of 10 MiB allocated %d octets", name, got)
		}
	}
}
