package mission

import "restante/perf/letter"

// A faker makes the letters of a ledger.
type faker struct{ writer letter.Writer }

func (f *faker) letter(l *ledger, seq int) letter.Letter {
	return f.writer.Compose(l.id(seq), "a@b", "c@d", 10)
}

// checked is a letter that came back.
func (f *faker) checked(l *ledger, seq int) *letter.Checker {
	m := f.letter(l, seq)
	var c letter.Checker
	c.Reset()
	_, _ = c.Write(m.Wire[:len(m.Wire)-len(".\r\n")])
	return &c
}
