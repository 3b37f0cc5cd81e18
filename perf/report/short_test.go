package report

import "testing"

func TestShortNumbersHaveNoZerosBehindThem(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 10: "10", 100: "100", 12.5: "12.5", 0.5: "0.5", 1.25: "1.25", 1234: "1,234", -2: "-2",
		0.05: "0.05", 0.01234: "0.0123", 0.00001: "1e-05",
	} {
		if got := Short(v); got != want {
			t.Errorf("%v is written %q, not %q", v, got, want)
		}
	}
}
