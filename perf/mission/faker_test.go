package mission

import (
	"bytes"

	"restante/perf/letter"
)

// A faker makes the letters of a ledger.
type faker struct{ writer letter.Writer }

func (f *faker) letter(l *ledger, seq int) letter.Letter {
	return f.writer.Compose(l.id(seq), "a@b", "c@d", 10)
}

// checked is a letter that came back.
func (f *faker) checked(l *ledger, seq int) *letter.Checker {
	wire := f.letter(l, seq).Wire
	var c letter.Checker
	c.Reset()
	_, _ = c.Write(bytes.ReplaceAll(wire[:len(wire)-len(".\r\n")], []byte("\r\n."), []byte("\r\n"))) // as RETR is read
	return &c
}
