package chart

import "strings"

// Nobody knows the reader's font here, so widths are those of a wide one: text that
// has room in it has room in all usual ones.

// em is about how wide a character is, in parts of the size of the font.
func em(r rune) float64 {
	switch {
	case strings.ContainsRune("iljtfI.,:;'!|()[] ", r):
		return 0.36
	case strings.ContainsRune("mwMW%×÷", r):
		return 0.92
	case r >= 'A' && r <= 'Z':
		return 0.7
	}
	return 0.6
}

// width is how much room a text needs at a size of the font.
func width(text string, size float64) float64 {
	sum := 0.0
	for _, r := range text {
		sum += em(r)
	}
	return sum * size
}

// wrap breaks a text between words into lines that have room; a word that has none
// stands alone.
func wrap(text string, size, room float64) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		longer := strings.TrimSpace(line + " " + word)
		if line != "" && width(longer, size) > room {
			lines = append(lines, line)
			longer = word
		}
		line = longer
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
