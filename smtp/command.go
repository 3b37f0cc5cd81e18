package smtp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"restante/mailbox"
)

// The longest lines, in octets with their CRLF. RFC 5321, section 4.5.3.1.4,
// asks for 512, and each extension for some more; RFC 4954, section 4, for
// 12,288 where a line carries SASL.
const (
	maxCommand = 2048
	maxSASL    = 12288
)

// The commands, as the log and the metrics name them. What is not here is
// refused before go-smtp sees it.
var verbs = map[string]string{
	"HELO": "HELO", "EHLO": "EHLO", "LHLO": "LHLO",
	"MAIL": "MAIL", "RCPT": "RCPT", "DATA": "DATA", "BDAT": "BDAT",
	"RSET": "RSET", "NOOP": "NOOP", "QUIT": "QUIT",
	"VRFY": "VRFY", "EXPN": "EXPN", "HELP": "HELP",
	"AUTH": "AUTH", "STARTTLS": "STARTTLS",
}

const unknownVerb = "unknown"

// Methods of HTTP, which a browser may be made to send here.
var httpMethods = map[string]bool{
	"GET": true, "POST": true, "HEAD": true, "PUT": true, "DELETE": true,
	"OPTIONS": true, "CONNECT": true, "PATCH": true, "TRACE": true,
}

// isHello reports whether a verb greets.
func isHello(verb string) bool { return verb == "EHLO" || verb == "HELO" || verb == "LHLO" }

// splitCommand is the verb of a line, as in verbs, and the rest without the
// white space around it.
func splitCommand(line []byte) (verb string, arg []byte) {
	word, arg, _ := bytes.Cut(bytes.TrimLeft(line, " \t"), []byte(" "))
	word = bytes.TrimRight(word, "\t")
	var upper [8]byte
	if len(word) > len(upper) {
		return unknownVerb, nil
	}
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	verb, ok := verbs[string(upper[:len(word)])]
	if !ok {
		return unknownVerb, nil
	}
	return verb, bytes.TrimSpace(arg)
}

// isHTTP reports whether a line begins an HTTP request.
func isHTTP(line []byte) bool {
	method, _, _ := bytes.Cut(line, []byte(" "))
	return httpMethods[string(method)] || bytes.Contains(line, []byte(" HTTP/"))
}

// hasControl reports whether a line has a character that no command has: a NUL,
// a bare CR, any control character but the tab.
func hasControl(line []byte) bool {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

var (
	errPath  = errors.New("not a path")
	errChunk = errors.New("malformed BDAT")
)

// cutPath takes the path and the parameters after it from the argument of MAIL
// or RCPT (RFC 5321, section 4.1.2), keyword is "FROM:" or "TO:". A source route
// is dropped (RFC 5321, appendix C). The angle brackets may be missing.
func cutPath(arg, keyword string) (path, params string, err error) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", "", fmt.Errorf("%w: %s is missing", errPath, keyword)
	}
	arg = strings.TrimLeft(arg[len(keyword):], " \t")
	if !strings.HasPrefix(arg, "<") {
		path, params, _ = strings.Cut(arg, " ")
		if path == "" {
			return "", "", fmt.Errorf("%w: no address", errPath)
		}
		return path, params, nil
	}
	end := closingBracket(arg)
	if end < 0 {
		return "", "", fmt.Errorf("%w: > is missing", errPath)
	}
	path, params = arg[1:end], arg[end+1:]
	if params != "" && params[0] != ' ' && params[0] != '\t' {
		return "", "", fmt.Errorf("%w: no space after >", errPath)
	}
	if strings.HasPrefix(path, "@") {
		_, mailbox, ok := strings.Cut(path, ":")
		if !ok {
			return "", "", fmt.Errorf("%w: source route without an address", errPath)
		}
		path = mailbox
	}
	return path, strings.TrimSpace(params), nil
}

// closingBracket is where the bracket that opens s is closed, outside of quotes,
// or -1.
func closingBracket(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			return i
		}
	}
	return -1
}

// sized looks for a SIZE of twenty digits at most (RFC 1870, section 4), of which go-smtp
// reads ten. It reports whether that fits, and leaves out a parameter that does and is too
// long for go-smtp.
func sized(params string, most int64) (rest string, fits bool) {
	const keyword = "SIZE="
	for field := range strings.FieldsSeq(params) {
		if len(field) < len(keyword) || !strings.EqualFold(field[:len(keyword)], keyword) {
			continue
		}
		n, err := strconv.ParseUint(field[len(keyword):], 10, 63)
		switch {
		case errors.Is(err, strconv.ErrRange), err == nil && int64(n) > most:
			return "", false
		case err == nil && n > math.MaxUint32:
			return strings.TrimSpace(strings.Replace(params, field, "", 1)), true
		}
	}
	return params, true
}

// parseForward reads the forward-path of RCPT. The postmaster needs no domain
// (RFC 5321, section 4.1.1.3).
func parseForward(path string, r Router) (mailbox.Address, error) {
	if r != nil && strings.EqualFold(path, "postmaster") {
		return r.Postmaster(), nil
	}
	return mailbox.ParsePath(path)
}

// parseReverse reads the reverse-path of MAIL, which may be null.
func parseReverse(path string) (mailbox.Address, error) {
	if path == "" {
		return mailbox.Address{}, nil
	}
	return mailbox.ParsePath(path)
}

// parseChunk reads the argument of BDAT (RFC 3030, section 2).
func parseChunk(arg string) (octets int64, last bool, err error) {
	size, rest, _ := strings.Cut(arg, " ")
	n, err := strconv.ParseUint(size, 10, 62)
	rest = strings.TrimSpace(rest)
	if err != nil || rest != "" && !strings.EqualFold(rest, "LAST") {
		return 0, false, fmt.Errorf("%w: %q", errChunk, arg)
	}
	return int64(n), rest != "", nil
}

// isBase64 reports whether a SASL response can be decoded; "=" is the empty one
// (RFC 4954, section 4).
func isBase64(response []byte) bool {
	if string(response) == "=" {
		return true
	}
	_, err := base64.StdEncoding.AppendDecode(nil, response)
	return err == nil
}
