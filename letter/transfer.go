package letter

import (
	"encoding/base64"
	"io"
	"slices"
	"strings"
)

// decoder undoes a Content-Transfer-Encoding (RFC 2045, section 6). It never
// fails by itself: what is not of the encoding is passed on or left out. An
// encoding that is not known is none.
func decoder(encoding string, to io.Writer) io.WriteCloser {
	encoding, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(encoding)), ";")
	switch strings.Trim(encoding, `" `) {
	case "quoted-printable":
		return &quotedDecoder{to: to}
	case "base64":
		return &base64Decoder{to: to}
	}
	return identity{to}
}

type identity struct{ io.Writer }

func (identity) Close() error { return nil }

type collected struct{ octets []byte }

func (c *collected) Write(p []byte) (int, error) {
	c.octets = append(c.octets, p...)
	return len(p), nil
}

// base64Decoder leaves out what is not of the alphabet, and ends where padding
// begins: what mailing lists append is not of the part (section 6.8).
type base64Decoder struct {
	to    io.Writer
	group [4]byte
	n     int // octets in group
	ended bool
	out   []byte
}

func (d *base64Decoder) Write(p []byte) (int, error) {
	d.out = d.out[:0]
	if d.n == 0 && !d.ended && len(p)%4 == 0 {
		// Nearly all lines are whole groups.
		d.out = slices.Grow(d.out, len(p)/4*3)[:len(p)/4*3]
		if n, err := base64.RawStdEncoding.Decode(d.out, p); err == nil && n == len(p)/4*3 {
			return d.write(len(p))
		}
		d.out = d.out[:0]
	}
	for _, c := range p {
		if d.ended {
			break
		}
		if c == '=' && d.n >= 2 {
			d.rest()
			d.ended = true
			break
		}
		if values[c] < 0 {
			continue
		}
		d.group[d.n] = byte(values[c])
		if d.n++; d.n == 4 {
			d.rest()
		}
	}
	return d.write(len(p))
}

// rest decodes what is in group.
func (d *base64Decoder) rest() {
	g := d.group
	octets := [3]byte{g[0]<<2 | g[1]>>4, g[1]<<4 | g[2]>>2, g[2]<<6 | g[3]}
	if d.n > 1 {
		d.out = append(d.out, octets[:d.n-1]...)
	}
	d.n = 0
}

func (d *base64Decoder) write(n int) (int, error) {
	if len(d.out) == 0 {
		return n, nil
	}
	if _, err := d.to.Write(d.out); err != nil {
		return 0, err
	}
	return n, nil
}

func (d *base64Decoder) Close() error {
	d.out = d.out[:0]
	d.rest()
	_, err := d.write(0)
	return err
}

// values of the alphabet; -1 is not of it. The two of RFC 4648, section 5, are
// understood too.
var values = func() (v [256]int8) {
	for i := range v {
		v[i] = -1
	}
	for i := range 64 {
		v["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[i]] = int8(i)
	}
	v['-'], v['_'] = 62, 63
	return v
}()

// quotedDecoder passes on an = that nothing follows which belongs to it
// (section 6.7, note on robust decoders).
type quotedDecoder struct {
	to   io.Writer
	held []byte // what the next octet decides on: white space, CR, or = and what follows it
	out  []byte
}

// heldMost is more white space than a line should have octets.
const heldMost = 4096

func (d *quotedDecoder) Write(p []byte) (int, error) {
	d.out = d.out[:0]
	for _, c := range p {
		d.octet(c)
	}
	if len(d.out) == 0 {
		return len(p), nil
	}
	if _, err := d.to.Write(d.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (d *quotedDecoder) octet(c byte) {
	escape := len(d.held) > 0 && d.held[0] == '='
	blank := c == ' ' || c == '\t' || c == '\r'
	switch {
	case escape && len(d.held) == 2 && isHex(d.held[1]) && isHex(c):
		d.out = append(d.out, unhex(d.held[1])<<4|unhex(c))
		d.held = d.held[:0]
	case escape && len(d.held) == 1 && isHex(c),
		escape && blank && (len(d.held) == 1 || !isHex(d.held[1])) && len(d.held) < heldMost:
		d.held = append(d.held, c)
	case escape && c == '\n' && (len(d.held) == 1 || !isHex(d.held[1])):
		d.held = d.held[:0] // a soft line break
	case escape:
		d.out = append(d.out, d.held...)
		d.held = d.held[:0]
		d.octet(c)
	case c == '\n':
		// White space at the end of a line came with the transport.
		if n := len(d.held); n > 0 && d.held[n-1] == '\r' {
			d.out = append(d.out, '\r')
		}
		d.out = append(d.out, c)
		d.held = d.held[:0]
	case c == '=':
		d.out = append(d.out, d.held...)
		d.held = append(d.held[:0], c)
	case blank && len(d.held) < heldMost:
		d.held = append(d.held, c)
	default:
		if len(d.held) > 0 {
			d.out = append(d.out, d.held...)
			d.held = d.held[:0]
		}
		d.out = append(d.out, c)
	}
}

func (d *quotedDecoder) Close() error {
	if len(d.held) < 2 || d.held[0] != '=' || !isHex(d.held[1]) {
		return nil // a soft line break, or white space, at the end
	}
	_, err := d.to.Write(d.held)
	return err
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
