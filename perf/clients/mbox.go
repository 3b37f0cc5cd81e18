package main

import "bytes"

// readMbox takes apart a file that holds a mailbox. Each message begins behind a
// line "From …", which a message cannot contain, as such a line has a > put in
// front (and one more where it had some already), and ends before an empty line.
func readMbox(raw []byte) [][]byte {
	var messages [][]byte
	for line := range bytes.Lines(raw) {
		if bytes.HasPrefix(line, []byte("From ")) {
			messages = append(messages, nil)
			continue
		}
		if quoted := bytes.TrimLeft(line, ">"); len(quoted) < len(line) && bytes.HasPrefix(quoted, []byte("From ")) {
			line = line[1:]
		}
		if len(messages) > 0 {
			last := len(messages) - 1
			messages[last] = append(messages[last], line...)
		}
	}
	for i, m := range messages {
		messages[i] = withoutEmptyLine(m)
	}
	return messages
}

// withoutEmptyLine cuts one empty line from the end.
func withoutEmptyLine(m []byte) []byte {
	for _, empty := range []string{"\r\n", "\n"} {
		if rest, ok := bytes.CutSuffix(m, []byte(empty)); ok && bytes.HasSuffix(rest, []byte("\n")) {
			return rest
		}
	}
	return m
}
