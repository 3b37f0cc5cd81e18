package history

import (
	"fmt"
	"io"
	"iter"
	"time"
)

// Rules are what a history is held to. Within a data centre what was acknowledged counts
// at once. Beyond it there is a time.
type Rules struct {
	Lag  time.Duration `default:"5s" help:"How late a data centre may learn what was acknowledged in another one."`
	Heal time.Duration `default:"2m" help:"How long it may take after trouble, and as long again as the trouble was, until that counts. Other trouble meanwhile puts it off."`
	// Relaxed is for a store whose answers in a data centre in trouble are not promised.
	Relaxed bool `help:"Do not hold a data centre in trouble to showing at once what it has acknowledged: count it."`
}

// Check judges a history, which it walks twice. Its memory grows with the mails and not
// with the listings.
func Check(entries iter.Seq2[Entry, error], rules Rules) (*Verdict, error) {
	f, err := gather(entries, rules)
	if err != nil {
		return nil, err
	}
	j := newJudge(f, rules)
	for e, err := range entries {
		if err == nil {
			err = j.add(e)
		}
		if err != nil {
			return nil, err
		}
	}
	j.end()
	return j.verdict, nil
}

// CheckFile judges the history in a file and writes the verdict. It fails where the
// server has broken its word.
func CheckFile(path string, rules Rules, out io.Writer) (*Verdict, error) {
	v, err := Check(File(path), rules)
	if err != nil {
		return nil, err
	}
	if err := v.Write(out); err != nil {
		return v, err
	}
	if n := v.Faults(); n > 0 {
		return v, fmt.Errorf("%w: %d faults in %s", ErrBroken, n, path)
	}
	return v, nil
}
