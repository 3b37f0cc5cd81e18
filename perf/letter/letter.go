// Package letter makes messages that prove themselves: the first field of the
// header names the message and holds a hash of everything behind it, so whoever
// retrieves it knows which message it is and that no octet has changed. Trace
// fields that a server puts in front (RFC 5321, section 4.4) do not matter.
//
// Bodies are random text of 64 letters that no store can shrink by more than
// the quarter which any 7-bit encoding wastes, and one line in 64 begins with a
// dot, so that dot-stuffing is always part of the test.
package letter

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
)

const (
	fieldName = "X-Letter: "
	// The field is "X-Letter: RUN-SEQ SUM OCTETS", each sixteen hex digits, with
	// OCTETS counting what follows the field's line.
	fieldSize = len(fieldName) + 4*16 + 3 + len("\r\n")

	lineLetters = 76
	alphabet    = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.+"
)

// ErrDamaged tells of a message that is not what was sent.
var ErrDamaged = errors.New("letter: message is damaged")

// An ID names a letter among all that were ever composed.
type ID struct {
	Run uint64 // one number per run of a tool
	Seq uint64
}

// String is the id as the header has it.
func (id ID) String() string { return fmt.Sprintf("%016x-%016x", id.Run, id.Seq) }

// A Letter is a composed message.
type Letter struct {
	ID  ID
	Sum uint64 // the hash of everything behind the first field
	// Wire is the message dot-stuffed, with the line of one dot that ends it
	// (RFC 5321, section 4.5.2), ready to be sent after 354.
	Wire []byte
}

// A Writer composes letters and reuses its memory. It is not safe for
// concurrent use.
type Writer struct {
	buf    []byte
	digest xxhash.Digest
}

// Compose makes the letter with a body of the given number of octets (at least
// one line). The same arguments always make the same letter. Its Wire is valid
// until the next call.
func (w *Writer) Compose(id ID, from, to string, octets int) Letter {
	b := append(w.buf[:0], make([]byte, fieldSize)...)
	b = appendHeader(b, id, from, to)
	w.digest.Reset()
	_, _ = w.digest.Write(b[fieldSize:])
	length := len(b) - fieldSize

	rnd := splitmix(id.Run*0x9e3779b97f4a7c15 ^ id.Seq)
	for octets > 0 {
		n := min(octets-len("\r\n"), lineLetters)
		if rest := octets - n - 2; rest > 0 && rest < 3 {
			n -= 3 // leave the last line room for a letter and its CRLF
		}
		n = max(n, 1)
		start := len(b)
		b = rnd.appendLetters(b, n)
		b = append(b, '\r', '\n')
		_, _ = w.digest.Write(b[start:])
		length += n + 2
		octets -= n + 2
		if b[start] == '.' {
			b = append(b, 0)
			copy(b[start+1:], b[start:])
		}
	}
	w.buf = append(b, ".\r\n"...)
	sum := w.digest.Sum64()
	putField(w.buf[:0], id, sum, uint64(length))
	return Letter{ID: id, Sum: sum, Wire: w.buf}
}

func putField(b []byte, id ID, sum, length uint64) {
	b = append(b, fieldName...)
	for i, v := range [...]uint64{id.Run, id.Seq, sum, length} {
		b = appendHex(b, v)
		b = append(b, "-  \r"[i])
	}
	_ = append(b, '\n')
}

func appendHex(b []byte, v uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[v>>shift&15])
	}
	return b
}

// appendHeader adds the fields that RFC 5322, section 3.6 asks for, and what a
// mail reader expects. The date is made of the id so that composing is pure.
func appendHeader(b []byte, id ID, from, to string) []byte {
	date := time.Unix(1_700_000_000+int64(id.Seq%100_000_000), 0).UTC()
	b = append(append(append(b, "From: <"...), from...), ">\r\n"...)
	b = append(append(append(b, "To: <"...), to...), ">\r\n"...)
	b = date.AppendFormat(append(b, "Date: "...), "Mon, 02 Jan 2006 15:04:05 -0700\r\n")
	b = append(strconv.AppendUint(append(b, "Subject: letter "...), id.Seq, 10), "\r\n"...)
	b = append(b, "Message-ID: <"...)
	b = append(appendHex(b, id.Run), '.')
	b = append(appendHex(b, id.Seq), "@perf.example>\r\n"...)
	return append(b, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"...)
}

// splitmix is a random sequence that costs a few instructions a step.
type splitmix uint64

func (s *splitmix) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// appendLetters spends six random bits on a letter, ten letters on a step.
func (s *splitmix) appendLetters(b []byte, n int) []byte {
	for n > 0 {
		bits := s.next()
		for range min(n, 10) {
			b = append(b, alphabet[bits&63])
			bits >>= 6
		}
		n -= 10
	}
	return b
}

// parseField reads the line that putField wrote, without its name.
func parseField(line []byte) (id ID, sum, length uint64, err error) {
	if len(line) != 4*16+3 || line[16] != '-' || line[33] != ' ' || line[50] != ' ' {
		return id, 0, 0, fmt.Errorf("%w: its field reads %.80q", ErrDamaged, line)
	}
	for i, v := range [...]*uint64{&id.Run, &id.Seq, &sum, &length} {
		var raw [8]byte
		if _, err := hex.Decode(raw[:], line[i*17:i*17+16]); err != nil {
			return id, 0, 0, fmt.Errorf("%w: its field reads %.80q", ErrDamaged, line)
		}
		*v = binary.BigEndian.Uint64(raw[:])
	}
	return id, sum, length, nil
}
