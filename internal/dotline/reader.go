package dotline

import (
	"bytes"
	"io"
)

// A Reader settles line ends, so that what is stored is what every protocol
// sends: lines that end in CRLF and no other CR or LF.
//
// A bare LF becomes CRLF. CRs directly before an LF collapse into its CRLF. Any
// other CR becomes a CRLF of its own. A last line without an end gets one; empty
// input stays empty. Settled input passes unchanged.
type Reader struct {
	src    io.Reader
	octets int64
	err    error  // of src; said once everything before it is given out
	raw    []byte // taken from src and not settled yet
	spare  []byte // backs raw; only input that needs work allocates it
	crs    int    // CRs given by src whose meaning the next octet decides
	owed   int    // octets of CRLF to give out; odd after a CR
	open   bool   // the last line given out has no end
}

// NewReader settles the line ends of r.
func NewReader(r io.Reader) *Reader { return &Reader{src: r} }

// Octets is how many octets were given out: at io.EOF, the size of the message.
func (r *Reader) Octets() int64 { return r.octets }

// Read fails as the underlying reader fails, after the octets before the
// failure. Only io.EOF ends an open line.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n := 0
		switch {
		case r.owed > 0:
			n = r.pay(p)
		case len(r.raw) > 0:
			n = r.settle(p)
		case r.err == io.EOF && r.crs > 0:
			r.owed, r.crs, r.open = 2*r.crs, 0, false
		case r.err == io.EOF && r.open:
			r.owed, r.open = 2, false
		case r.err != nil:
			return 0, r.err
		case r.crs == 0 || r.crs == 1 && len(p) > 1:
			n = r.pass(p)
		default:
			r.fill()
		}
		if n > 0 {
			r.octets += int64(n)
			return n, nil
		}
	}
}

// pass reads into p itself and keeps what is settled there; the rest, from the
// first line that needs work, goes to raw.
func (r *Reader) pass(p []byte) int {
	held := copy(p, "\r"[:r.crs])
	n := r.take(p[held:])
	if n == 0 {
		return 0
	}
	chunk := p[:held+n]
	clean := settled(chunk)
	r.crs = 0
	if rest := chunk[clean:]; len(rest) == 1 && rest[0] == '\r' {
		r.crs = 1
	} else {
		r.spare = append(r.spare[:0], rest...)
		r.raw = r.spare
	}
	if clean > 0 {
		r.open = chunk[clean-1] != '\n'
	}
	return clean
}

// fill reads into raw, which is empty.
func (r *Reader) fill() {
	if cap(r.spare) < window {
		r.spare = make([]byte, 16*window)
	}
	buf := r.spare[:cap(r.spare)]
	r.raw = buf[:r.take(buf)]
}

// take reads at least one octet or leaves the reason in err.
func (r *Reader) take(p []byte) int {
	for range 100 {
		n, err := r.src.Read(p)
		if r.err = err; n > 0 || err != nil {
			return n
		}
	}
	r.err = io.ErrNoProgress
	return 0
}

// settled is the length of the longest part of b, in whole lines and one last
// piece of a line, that needs no work. A last CR is not part of it.
func settled(b []byte) int {
	start := 0
	for {
		line := b[start:]
		lf := bytes.IndexByte(line, '\n')
		if lf < 0 {
			if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
				return start + cr
			}
			return len(b)
		}
		if bytes.IndexByte(line[:lf], '\r') != lf-1 || lf == 0 {
			return start
		}
		start += lf + 1
	}
}

// How far settle looks ahead at once, so that hostile input cannot make it scan
// the same octets over and over.
const window = 256

// settle moves octets from raw to p until one of them is used up or a CRLF that
// is owed does not fit.
func (r *Reader) settle(p []byte) int {
	n := 0
	for len(r.raw) > 0 && n < len(p) {
		switch c := r.raw[0]; {
		case r.owed > 0:
			n += r.pay(p[n:])
		case c == '\n':
			r.owed, r.crs, r.open = 2, 0, false
			r.raw = r.raw[1:]
		case c == '\r':
			r.crs++
			r.raw = r.raw[1:]
		case r.crs > 0:
			r.owed, r.crs, r.open = 2*r.crs, 0, false
		default:
			text := r.raw[:min(len(r.raw), window, len(p)-n)]
			if i := bytes.IndexByte(text, '\n'); i >= 0 {
				text = text[:i]
			}
			if i := bytes.IndexByte(text, '\r'); i >= 0 {
				text = text[:i]
			}
			n += copy(p[n:], text)
			r.raw = r.raw[len(text):]
			r.open = true
		}
	}
	return n
}

// pay gives out as much of the CRLFs owed as fits.
func (r *Reader) pay(p []byte) int {
	n := 0
	for r.owed > 0 && n < len(p) {
		p[n] = crlf[r.owed&1]
		n++
		r.owed--
	}
	return n
}
