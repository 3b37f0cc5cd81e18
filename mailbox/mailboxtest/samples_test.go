package mailboxtest_test

import (
	"bytes"
	"errors"
	"net/mail"
	"strings"
	"testing"

	"restante/mailbox/mailboxtest"
)

func TestAMessageHasTheSizeAskedForAndIsWellFormed(t *testing.T) {
	sizes := []int{4096, 1 << 20}
	for size := range 400 {
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		message := mailboxtest.Message(size)
		if len(message) != size {
			t.Errorf("Message(%d) has %d octets", size, len(message))
		}
		if settled(message) != nil && size >= 2 {
			t.Errorf("Message(%d): %v", size, settled(message))
		}
		if size < 100 {
			continue
		}
		if m, err := mail.ReadMessage(bytes.NewReader(message)); err != nil || m.Header.Get("Subject") != "sample" {
			t.Errorf("Message(%d) cannot be read: %v", size, err)
		}
	}
}

func TestSamplesAreSettledUnlessTheySayOtherwise(t *testing.T) {
	for _, sample := range mailboxtest.Samples() {
		unsettled := strings.HasPrefix(sample.Name, "unsettled")
		if err := settled(sample.Octets); (err != nil) != unsettled {
			t.Errorf("%s: %v", sample.Name, err)
		}
	}
}

// settled says what is wrong with the line ends of a message.
func settled(message []byte) error {
	rest := bytes.ReplaceAll(message, []byte("\r\n"), nil)
	switch {
	case bytes.ContainsAny(rest, "\r\n"):
		return errBare
	case len(message) > 0 && !bytes.HasSuffix(message, []byte("\r\n")):
		return errEnd
	}
	return nil
}

var (
	errBare = errors.New("a CR or LF stands alone")
	errEnd  = errors.New("the last line has no end")
)
