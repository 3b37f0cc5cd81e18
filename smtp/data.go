package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// A dataReader is the content that follows DATA: everything up to CRLF.CRLF and
// nothing else, without the dots that were stuffed (RFC 5321, section 4.5.2).
// Only CRLF ends a line, so a dot beside a bare LF or CR is content, and no two
// servers on the way of a message can disagree about its end in our favour.
//
// It reads no octet beyond the end. Bare CR and LF pass as they are.
type dataReader struct {
	src   *bufio.Reader
	state dataState
}

// A dataState is what the octets before the current one mean.
type dataState uint8

const (
	lineStart dataState = iota // nothing of the line is read
	lineDot                    // a dot begins the line; it is held back
	lineDotCR                  // a dot and a CR begin the line; both are held back
	afterCR                    // a CR was given out
	inLine                     // anything else
	dataEnd                    // CRLF.CRLF was read
)

func (d *dataReader) Read(p []byte) (int, error) {
	if d.state == dataEnd {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if _, err := d.src.Peek(1); err != nil {
			return 0, broken(err)
		}
		window, _ := d.src.Peek(d.src.Buffered()) // cannot fail: the octets are there
		n, used := d.scan(p, window)
		_, _ = d.src.Discard(used)
		switch {
		case n > 0:
			return n, nil
		case d.state == dataEnd:
			return 0, io.EOF
		}
	}
}

// scan moves content from window to p until one of them is used up or the
// content ends.
func (d *dataReader) scan(p, window []byte) (n, used int) {
	for n < len(p) && used < len(window) && d.state != dataEnd {
		c := window[used]
		switch d.state {
		case lineStart:
			if c == '.' {
				d.state = lineDot
				used++
			} else {
				d.state = inLine
			}
		case lineDot:
			if c == '\r' {
				d.state = lineDotCR
				used++
			} else {
				d.state = inLine
			}
		case lineDotCR:
			if c == '\n' {
				d.state = dataEnd
				used++
			} else {
				p[n] = '\r'
				n++
				d.state = afterCR
			}
		case afterCR:
			if c == '\n' {
				p[n] = '\n'
				n++
				used++
				d.state = lineStart
			} else {
				d.state = inLine
			}
		case inLine:
			text := window[used:]
			text = text[:min(len(text), len(p)-n)]
			if cr := bytes.IndexByte(text, '\r'); cr >= 0 {
				text = text[:cr+1]
				d.state = afterCR
			}
			n += copy(p[n:], text)
			used += len(text)
		}
	}
	return n, used
}

// broken makes an end of the connection an error: content ends by its own mark.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
