package report

import (
	"math"
	"strconv"
	"strings"
)

// Short is v as Number writes it, without zeros behind the digits that say something,
// and small values too.
func Short(v float64) string {
	if v != 0 && math.Abs(v) < 0.1 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	text := Number(v)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
