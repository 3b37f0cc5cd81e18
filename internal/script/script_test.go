package script_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/internal/script"
)

// serve is a server for these tests: it greets, repeats what it reads, and knows
// a few words.
func serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	_, _ = io.WriteString(c, "hello\r\n")
	for {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch line {
		case "bye\r\n":
			return
		case "list\r\n":
			line = "1 aa\r\n2 bb\r\n.\r\n"
		case "bare\r\n":
			line = "no CR\n"
		case "half\r\n":
			_, _ = io.WriteString(c, "half a li")
			return
		case "secure\r\n":
			_, _ = io.WriteString(c, "go\r\n")
			c = tls.Server(c, serverTLS())
			in = bufio.NewReader(c)
			line = "safe\r\n"
		}
		_, _ = io.WriteString(c, line)
	}
}

// serverTLS borrows the certificate of the standard library's test server.
func serverTLS() *tls.Config {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}
}

func dial(string) (net.Conn, error) {
	client, server := net.Pipe()
	go serve(server)
	return client, nil
}

func play(t *testing.T, text string) error {
	t.Helper()
	s, err := script.Parse("talk.txt", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return script.Player{Dial: dial, Vars: map[string]string{"who": "fred"}}.Play(s)
}

func TestADialogueThatHolds(t *testing.T) {
	for name, text := range map[string]string{
		"lines":               "S: hello\nC: a\nS: a\n",
		"comments and blanks": "# greets\n\n  S: hello\n",
		"an empty line":       "S: hello\nC:\nS:\n",
		"spaces are sent":     "S: hello\nC: a  b \nS: a  b \n",
		"a regular expression anywhere in a line":  "S: hel{{l+}}o\n",
		"an expression with braces":                "S: {{h.{3}}}o\n",
		"letters of expressions mean themselves":   "S: hello\nC: a.b(c\nS: a.b(c\n",
		"what is remembered":                       "S: hello\nC: list\nS: 1 {{id=[a-z]+}}\nS* .\nC: {{$id}}\nS: {{$id}}\nC: {{$id}}\nS: aa\n",
		"what is known from the beginning":         "S: hello\nC: {{$who}}\nS: fred\n",
		"skipping":                                 "S* hello\nC: list\nS* .\n",
		"raw octets":                               "S: hello\nraw \"a\\r\\nb\\r\\n\"\nS: a\nS: b\n",
		"raw octets many times":                    "S: hello\nraw 3 * \"ab\"\nraw \"\\r\\n\"\nS: ababab\n",
		"the server closes":                        "S: hello\nC: bye\nclosed\n",
		"sending to a server that reads no longer": "S: hello\nC: bye\nC: more\nC: more\nclosed\n",
		"the client closes":                        "S: hello\nclose\nS: hello\n",
		"time":                                     "S: hello\nsleep 59s\nC: a\nS: a\nsleep 61s\nclosed\n",
		"two connections":                          "on one\nS: hello\non two\nS: hello\nC: b\non one\nC: a\nS: a\non two\nS: b\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if err := play(t, text); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestADialogueThatDoesNotHold(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string // in the message
	}{
		"another line":                  {"S: hello\nC: abd\nS: abc", []string{"talk.txt:3:", "want: abc", "got:  abd", "        ^"}},
		"a longer line":                 {"S: hell", []string{"talk.txt:1:", "want: hell", "got:  hello"}},
		"a shorter line":                {"S: hello!", []string{"want: hello!"}},
		"an expression for half a line": {"S: {{h}}", []string{"want: {{h}}", "got:  hello"}},
		"something else remembered":     {"S: {{x=.*}}\nC: hallo\nS: {{$x}}", []string{"talk.txt:3:", "want: {{$x}}"}},
		"nothing remembered":            {"S: hello\nC: {{$y}}", []string{"talk.txt:2:", "remembered as y"}},
		"silence":                       {"S: hello\nS: more", []string{"talk.txt:2:", "sent no line", "want: more", "timeout"}},
		"the end in place of a line":    {"S: hello\nC: bye\nS: more", []string{"talk.txt:3:", "EOF"}},
		"a line in place of the end":    {"S: hello\nC: a\nclosed", []string{"talk.txt:3:", "did not close", `"a\r\n"`}},
		"half a line before the end":    {"S: hello\nC: half\nclosed", []string{"talk.txt:3:", "did not close", `half a li`}},
		"no end":                        {"S: hello\nclosed", []string{"talk.txt:2:", "did not close", "10s"}},
		"a line too many at the end":    {"S: hello\nC: list\nS: {{.*}}", []string{"talk.txt: at its end", "not asked for", `2 bb`}},
		"a line too many when closing":  {"S: hello\nC: list\nS: {{.*}}\nclose", []string{"talk.txt:4:", "not asked for"}},
		"nothing to skip to":            {"S: hello\nC: list\nS* x", []string{"talk.txt:3:", "after 3 lines", "want: x"}},
		"a bare LF":                     {"S: hello\nC: bare\nS: no CR", []string{"talk.txt:3:", "without CR"}},
		"TLS that nobody configured":    {"S: hello\ntls", []string{"talk.txt:2:", "TLS"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := play(t, c.text)
				if err == nil {
					t.Fatal("the script passed")
				}
				for _, want := range c.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q is missing in the message:\n%v", want, err)
					}
				}
			})
		})
	}
}

func TestADialogueOverTLS(t *testing.T) {
	s, err := script.Parse("tls.txt", strings.NewReader("S: hello\nC: secure\nS: go\ntls\nS: safe\nC: a\nS: a\n"))
	if err != nil {
		t.Fatal(err)
	}
	player := script.Player{Dial: dial, TLS: &tls.Config{InsecureSkipVerify: true}}
	if err := player.Play(s); err != nil {
		t.Error(err)
	}
}

func TestAMalformedScriptIsRefused(t *testing.T) {
	for _, text := range []string{
		"Q: what", "S: {{[}}", "raw hello", `raw x * "a"`, `raw -1 * "a"`, "sleep long", "closed now", "tls 1.3",
	} {
		_, err := script.Parse("bad.txt", strings.NewReader("# first\n"+text))
		if err == nil || !strings.HasPrefix(err.Error(), "bad.txt:2:") {
			t.Errorf("%s: got %v, want an error in bad.txt:2", text, err)
		}
	}
}

func TestLoadReadsFilesInOrder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.txt", "a.txt", "c.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("S: hello\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	scripts, err := script.Load(filepath.Join(dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(scripts) != 2 || filepath.Base(scripts[0].Name) != "a.txt" || filepath.Base(scripts[1].Name) != "b.txt" {
		t.Errorf("got %v", scripts)
	}
	if _, err := script.Load(filepath.Join(dir, "*.none")); err == nil {
		t.Error("that no file matches is not an error")
	}
}
