package pop3

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"restante/auth"
	"restante/mailbox"
)

// shelf is a maildrop of three messages that notes what is asked of it.
type shelf struct {
	messages []mailbox.Message
	updates  [][]mailbox.Message
	closed   int
}

var shelved = func() (messages []mailbox.Message) {
	var ids mailbox.MessageIDs
	for _, letter := range letters {
		messages = append(messages, mailbox.Message{ID: ids.Next(), Octets: int64(len(letter))})
	}
	return messages
}()

func (d *shelf) ID() mailbox.MaildropID  { return mailbox.MaildropID{} }
func (d *shelf) List() []mailbox.Message { return d.messages }
func (d *shelf) Close() error            { d.closed++; return nil }

func (d *shelf) Open(_ context.Context, m mailbox.Message) (io.ReadCloser, error) {
	for i := range d.messages {
		if d.messages[i].ID == m.ID {
			return io.NopCloser(strings.NewReader(letters[i])), nil
		}
	}
	return nil, mailbox.ErrNotFound
}

func (d *shelf) Update(_ context.Context, marked []mailbox.Message) error {
	d.updates = append(d.updates, marked)
	return nil
}

// Login makes a shelf a backend for whoever has the password.
func (d *shelf) Login(_ context.Context, a auth.Attempt) (Maildrop, error) {
	if a.Password != "secret" {
		return nil, auth.ErrCredentials
	}
	return d, nil
}

// shelfSession is a session on a shelf, after some lines.
func shelfSession(t testing.TB, lines ...string) (*session, *shelf) {
	t.Helper()
	d := &shelf{messages: shelved}
	p := &policy{backend: d, starttls: true, insecureAuth: true, implementation: "test"}
	s := newSession(p, "ID", netip.Addr{}, false)
	for _, line := range lines {
		if r := s.do(context.Background(), line); r.status == negative {
			t.Fatalf("%s: %s", line, r.text)
		}
	}
	return s, d
}

// do answers one line, given without its CRLF.
func (s *session) do(ctx context.Context, line string) reply {
	return s.answer(ctx, s.parse(line))
}

var loggedIn = []string{"USER fred", "PASS secret"}

func TestEveryCommandInEveryState(t *testing.T) {
	states := []struct {
		name  string
		lines []string
	}{
		{"AUTHORIZATION", nil},
		{"AUTHORIZATION, after USER", loggedIn[:1]},
		{"TRANSACTION", loggedIn},
		{"TRANSACTION, 1 marked", append(loggedIn[:2:2], "DELE 1")},
		{"UPDATE", append(loggedIn[:2:2], "QUIT")},
	}
	table := []struct {
		line string
		want string // the status in each state: + or -
	}{
		{"USER fred", "++---"},
		{"PASS secret", "-+---"},
		{"PASS wrong", "-----"},
		{"AUTH", "++---"},
		{"AUTH PLAIN AGZyZWQAc2VjcmV0", "++---"},
		{"AUTH PLAIN", "++---"},
		{"AUTH LOGIN", "-----"},
		{"STLS", "++---"},
		{"STAT", "--++-"},
		{"LIST", "--++-"},
		{"LIST 1", "--+--"},
		{"LIST 2", "--++-"},
		{"UIDL", "--++-"},
		{"UIDL 1", "--+--"},
		{"RETR 1", "--+--"},
		{"RETR 2", "--++-"},
		{"TOP 1 0", "--+--"},
		{"TOP 2 0", "--++-"},
		{"DELE 1", "--+--"},
		{"DELE 2", "--++-"},
		{"RSET", "--++-"},
		{"NOOP", "--++-"},
		{"CAPA", "++++-"},
		{"UTF8", "++++-"},
		{"LANG", "++++-"},
		{"QUIT", "++++-"},
		{"APOP fred c4c9334bac560ecc979e58001b3e22fb", "-----"},
		{"XTND XMIT", "-----"},
		{"", "-----"},
	}
	for _, row := range table {
		for i, state := range states {
			s, _ := shelfSession(t, state.lines...)
			got := "+"
			if r := s.do(context.Background(), row.line); r.status == negative {
				got = "-"
			}
			if want := row.want[i : i+1]; got != want {
				t.Errorf("%q in %s: %s, want %s", row.line, state.name, got, want)
			}
		}
	}
	for name := range commands {
		if !strings.Contains(fmt.Sprint(table), name) {
			t.Errorf("%s is not in the table", name)
		}
	}
}

func TestOnlyQuitInTransactionUpdates(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  int
	}{
		{[]string{"QUIT"}, 0},
		{append(loggedIn[:2:2], "QUIT"), 0},
		{append(loggedIn[:2:2], "DELE 1", "DELE 2"), 0},
		{append(loggedIn[:2:2], "DELE 1", "RSET", "QUIT"), 0},
		{append(loggedIn[:2:2], "DELE 1", "DELE 3", "QUIT"), 1},
	} {
		s, d := shelfSession(t, c.lines...)
		if err := s.close(); err != nil {
			t.Error(err)
		}
		if len(d.updates) != c.want {
			t.Errorf("%q: %d updates, want %d", c.lines, len(d.updates), c.want)
		}
		if c.want == 1 && (len(d.updates[0]) != 2 || d.updates[0][0].ID != shelved[0].ID || d.updates[0][1].ID != shelved[2].ID) {
			t.Errorf("%q removes %v", c.lines, d.updates[0])
		}
	}
}

func TestUniqueIDsAreTheTextOfMessageIDs(t *testing.T) {
	for _, m := range shelved {
		if got := string(appendUniqueID([]byte("1 "), m.ID)); got != "1 "+m.ID.String() {
			t.Errorf("got %s, want 1 %s", got, m.ID)
		}
	}
}

func TestErrorsBecomeResponseCodes(t *testing.T) {
	driver := errors.New("driver text")
	for _, c := range []struct {
		err  error
		want string
	}{
		{auth.ErrCredentials, "[AUTH]"},
		{mailbox.ErrUnavailable, "[SYS/TEMP]"},
		{mailbox.ErrFull, "[SYS/TEMP]"},
		{mailbox.ErrNotFound, "[SYS/TEMP]"},
		{context.DeadlineExceeded, "[SYS/TEMP]"},
		{context.Canceled, "[SYS/TEMP]"},
		{driver, "[SYS/PERM]"},
	} {
		s, _ := shelfSession(t)
		r := s.failed(fmt.Errorf("%w: %w", c.err, driver))
		if !strings.HasPrefix(r.text, c.want+" ") || strings.Contains(r.text, "driver") {
			t.Errorf("%v becomes %q, want %s and nothing of the driver", c.err, r.text, c.want)
		}
		if ours := c.want != "[AUTH]"; ours != (r.fault != nil) || ours != strings.HasSuffix(r.text, "(ID)") {
			t.Errorf("%v becomes %q with fault %v; our fault: %v", c.err, r.text, r.fault, ours)
		}
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"", "0", "1", "007", "-1", "+1", "1_0", "0x1", " 1", "2147483647", "2147483648", "99999999999999999999", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, isNumber := parseNumber(s)
		digits := s != "" && strings.Trim(s, "0123456789") == ""
		if isNumber != digits {
			t.Fatalf("%q: a number: %v", s, isNumber)
		}
		if want := strings.TrimLeft(s, "0"); isNumber && len(want) < 10 && "0"+want != fmt.Sprintf("0%d", n) && n != 0 {
			t.Fatalf("%q is read as %d", s, n)
		}
		if n < 0 {
			t.Fatalf("%q is negative: %d", s, n)
		}
	})
}

// FuzzSession holds the state machine to what every session keeps.
func FuzzSession(f *testing.F) {
	for _, lines := range []string{
		"USER fred\nPASS secret\nSTAT\nDELE 1\nLIST\nUIDL 2\nRETR 1\nRETR 2\nTOP 3 1\nRSET\nDELE 3\nQUIT\nSTAT",
		"AUTH PLAIN\n*\nAUTH PLAIN\nAGZyZWQAc2VjcmV0\nDELE 1\nDELE 1\nQUIT",
		"UTF8\nUSER \xd0\xba\nCAPA\nLANG\nLANG en\nSTLS\nNOOP\nGET / HTTP/1.1",
	} {
		f.Add(lines)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		s, d := shelfSession(t)
		quit := false
		for line := range strings.SplitSeq(lines, "\n") {
			before := s.state
			r := s.do(context.Background(), line)
			wellFormed(t, line, r)
			if before == transaction && s.state == update {
				quit = true
			}
			if want := len(s.mail.marked()); s.mail.marks.count != want {
				t.Fatalf("%d messages are marked and %d counted", want, s.mail.marks.count)
			}
			if s.mail.count() < 0 || s.mail.size() < 0 {
				t.Fatalf("%d messages, %d octets", s.mail.count(), s.mail.size())
			}
			if s.mail.marks.count == 0 && s.mail.marks.octets != 0 {
				t.Fatalf("no marks, %d octets marked", s.mail.marks.octets)
			}
			if r.then == handshake {
				s.secured()
			}
			if r.then == hangUp {
				break
			}
		}
		if len(d.updates) > 1 || len(d.updates) == 1 && !quit {
			t.Fatalf("%d updates; QUIT in TRANSACTION: %v", len(d.updates), quit)
		}
	})
}

// wellFormed checks what RFC 1939, section 3, says of every response.
func wellFormed(t *testing.T, line string, r reply) {
	t.Helper()
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	r.writeLine(w)
	_ = w.Flush()
	first := out.String()
	switch r.status {
	case positive, negative, challenge:
	default:
		t.Fatalf("%q: status %q", line, r.status)
	}
	text := strings.TrimSuffix(first, "\r\n")
	if len(first) > 512 || text == first || strings.IndexFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) >= 0 {
		t.Fatalf("%q: malformed response %q", line, first)
	}
	if r.status == negative && (r.list != nil || r.content != nil) || r.list != nil && r.content != nil {
		t.Fatalf("%q: %q with list %v and content %v", line, first, r.list != nil, r.content != nil)
	}
	if r.list == nil {
		return
	}
	out.Reset()
	r.writeList(w)
	_ = w.Flush()
	all, ended := strings.CutSuffix(out.String(), ".\r\n")
	for listed := range strings.SplitAfterSeq(all, "\r\n") {
		if listed != "" && (!strings.HasSuffix(listed, "\r\n") || strings.HasPrefix(listed, ".") || len(listed) > 512) {
			t.Fatalf("%q: malformed line %q", line, listed)
		}
	}
	if !ended {
		t.Fatalf("%q: no end of the list: %q", line, out.String())
	}
}
