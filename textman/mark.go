package textman

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"restante/internal/durable"
)

// readMark is the number in a file, and 0 where there is no file.
func readMark(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n < 0 || n >= 1<<secondBits {
		return 0, fmt.Errorf("%s does not hold a number of seconds", file)
	}
	return n, nil
}

// writeMark writes a number to a file that holds either this or what it held before,
// also after a power loss.
func writeMark(file string, n int64) error {
	return durable.WriteFile(file, fmt.Appendln(nil, n))
}
