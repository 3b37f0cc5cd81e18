// Package script plays protocol dialogues written down as RFCs print them:
//
//	# RFC 1939, section 3: the autologout timer is at least 10 minutes.
//	S: +OK {{.*}}
//	C: USER fred@example.org
//	S: +OK send PASS
//	sleep 10m
//	closed
//
// A script is a text file; each line is one step. Blank lines and lines that
// begin with # are comments.
//
//	C: text          send text and CRLF
//	S: pattern       the next line of the server is this
//	S* pattern       read lines until one is this
//	raw "octets"     send octets, quoted as in Go
//	raw 1000 * "x"   send them that many times
//	tls              do a TLS handshake as the client
//	sleep 10m        wait; inside a testing/synctest bubble this takes no time
//	closed           the server closes the connection and says nothing before
//	close            hang up
//	on name          the steps that follow are about this connection
//
// A connection is made by the first step about it; without "on" there is one,
// whose name is empty. A pattern is the line itself, in which {{regexp}} stands
// for what the regular expression matches, {{name=regexp}} remembers it as name,
// and {{$name}} is what was remembered; the last may stand in "C:" too.
//
// When a script ends, its connections are closed; what the server has sent by
// then and nobody asked for is a failure.
package script

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Script is a dialogue. It can be played many times, also at once.
type Script struct {
	Name  string // of the file, for messages
	steps []step
}

// A step is one line of a script.
type step struct {
	line int
	do   func(*play) error
}

// Load parses the files that match a pattern of [filepath.Glob], in the order of
// their names. That there are none is an error.
func Load(pattern string) ([]*Script, error) {
	names, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no script matches %s", pattern)
	}
	scripts := make([]*Script, 0, len(names))
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		s, err := Parse(name, f)
		if err := f.Close(); err != nil {
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, s)
	}
	return scripts, nil
}

// Parse reads a script. Errors carry the name and the number of the line.
func Parse(name string, r io.Reader) (*Script, error) {
	s := &Script{Name: name}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimLeft(lines.Text(), " \t")
		if text == "" || text[0] == '#' {
			continue
		}
		do, err := parseStep(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		s.steps = append(s.steps, step{line: n, do: do})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func parseStep(text string) (func(*play) error, error) {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "C:":
		return func(p *play) error { return p.say(rest) }, nil
	case "S:", "S*":
		pat, err := parsePattern(rest)
		if err != nil {
			return nil, err
		}
		if word == "S:" {
			return func(p *play) error { return p.hear(pat) }, nil
		}
		return func(p *play) error { return p.skipTo(pat) }, nil
	}
	rest = strings.TrimSpace(rest)
	switch word {
	case "raw":
		octets, err := parseRaw(rest)
		if err != nil {
			return nil, err
		}
		return func(p *play) error { return p.send(octets) }, nil
	case "sleep":
		d, err := time.ParseDuration(rest)
		if err != nil {
			return nil, err
		}
		return func(*play) error { time.Sleep(d); return nil }, nil
	case "on":
		return func(p *play) error { p.name = rest; return nil }, nil
	}
	if rest != "" {
		return nil, fmt.Errorf("cannot understand %q", text)
	}
	switch word {
	case "tls":
		return (*play).handshake, nil
	case "closed":
		return (*play).closed, nil
	case "close":
		return (*play).hangUp, nil
	}
	return nil, fmt.Errorf("cannot understand %q", text)
}

// parseRaw reads "octets" or 1000 * "octets".
func parseRaw(s string) ([]byte, error) {
	count := 1
	if before, after, ok := strings.Cut(s, " * "); ok && !strings.HasPrefix(s, `"`) {
		n, err := strconv.Atoi(before)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not a count", before)
		}
		count, s = n, after
	}
	octets, err := strconv.Unquote(s)
	if err != nil {
		return nil, fmt.Errorf("%s is not quoted as in Go", s)
	}
	return []byte(strings.Repeat(octets, count)), nil
}
