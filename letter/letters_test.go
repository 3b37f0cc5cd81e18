package letter

import (
	"bytes"
	"flag"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what letters say into testdata")

// Each letter of testdata is shown as the file beside it says.
func TestLettersAreShown(t *testing.T) {
	files, err := filepath.Glob("testdata/letters/*.eml")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %v: %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".eml"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := describeLetter(t, raw)
			want := strings.TrimSuffix(file, ".eml") + ".want"
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			wanted, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(wanted) {
				t.Errorf("got:\n%s\nwant:\n%s", got, wanted)
			}
			unix := bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
			if strings.Contains(got, "message/") {
				return // their line ends count
			}
			if bare := describeLetter(t, unix); sizeless(bare) != sizeless(got) {
				t.Errorf("with bare LF:\n%s\nwant:\n%s", bare, got)
			}
		})
	}
}

// sizeless leaves out the sizes of attachments, whose line ends count.
func sizeless(s string) string {
	var out []string
	for l := range strings.SplitSeq(s, "\n") {
		if strings.HasPrefix(l, "Attachment ") {
			l = l[:strings.LastIndex(l, ": ")]
		}
		out = append(out, l)
	}
	return strings.Join(out, "\n")
}

func describeLetter(t *testing.T, raw []byte) string {
	l := read(t, string(raw))
	var b strings.Builder
	addresses := func(name string, list []*mail.Address) {
		for _, a := range list {
			fmt.Fprintf(&b, "%s: %s|%s\n", name, a.Name, a.Address)
		}
	}
	fmt.Fprintf(&b, "Sender: %s\n", l.Sender)
	addresses("From", l.From)
	addresses("To", l.To)
	addresses("Cc", l.Cc)
	addresses("Reply-To", l.ReplyTo)
	fmt.Fprintf(&b, "Subject: %s\nDate: %s\nMessage-ID: %s\nTruncated: %v\n", l.Subject, l.Date.Format(time.RFC3339), l.MessageID, l.Truncated)
	for _, a := range l.Attachments {
		fmt.Fprintf(&b, "Attachment %d: %s: %s: %q: inline %v: %d octets\n", a.Number, a.Name, a.ContentType, a.ContentID, a.Inline, a.Octets)
		var content bytes.Buffer
		copied, err := CopyAttachment(&content, bytes.NewReader(raw), a.Number, Limits{})
		copied.Inline = a.Inline
		if err != nil || copied != a || int64(content.Len()) != a.Octets {
			t.Errorf("copied %+v, %d octets, %v; want %+v", copied, content.Len(), err, a)
		}
	}
	fmt.Fprintf(&b, "\n-- Text\n%s\n\n-- HTML\n%s\n", l.Text, l.HTML)
	return b.String()
}
