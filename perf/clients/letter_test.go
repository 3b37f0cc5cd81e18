package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sent writes the letters as swaks would send them.
func sent(t *testing.T) ([]letter, [][]byte) {
	t.Helper()
	dir := t.TempDir()
	letters, err := compose(dir)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	parcel := fmt.Sprintf("Subject: %s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n"+
		"--b\r\n\r\n%s\r\n--b\r\nContent-Type: application/octet-stream; name=%q\r\nContent-Disposition: attachment; filename=%q\r\n"+
		"Content-Transfer-Encoding: BASE64\r\n\r\n%s\r\n\r\n--b--\r\n", parcelSubject, parcelText, parcelName, parcelName,
		base64.StdEncoding.EncodeToString(read(parcelName)))
	return letters, messages(
		"Received: from a\r\nSubject: Small letter\r\n\r\nHello, here is a small letter.\r\n\r\n",
		string(read("crooked.eml"))+"\r\n", parcel)
}

func TestLettersProveThemselves(t *testing.T) {
	letters, arrived := sent(t)
	if err := prove(letters, arrived); err != nil {
		t.Error(err)
	}
}

func TestADamagedLetterIsFound(t *testing.T) {
	letters, arrived := sent(t)
	const small, crooked, parcel = 0, 1, 2
	for name, c := range map[string]struct {
		which    int
		old, new string
	}{
		"a dot is gone":              {crooked, "\r\n..\r\n", "\r\n.\r\n"},
		"blanks at the end are gone": {crooked, "end  \r\n", "end\r\n"},
		"an mbox has quoted":         {crooked, "\r\nFrom here", "\r\n>From here"},
		"UTF-8 is broken":            {crooked, "ü", "\xfc"},
		"the long line was folded":   {crooked, "xx", "x\r\nx"},
		"an empty line is gone":      {crooked, "\r\n\r\n", "\r\n"},
		"the text is another":        {small, "Hello", "hello"},
		"the subject is another":     {small, "Small", "small"},
		"the attachment is short":    {parcel, "\r\n\r\n--b--", "AAAA\r\n--b--"},
		"the attachment has no name": {parcel, "filename", "file"},
	} {
		damaged := [][]byte{arrived[small], arrived[crooked], arrived[parcel]}
		damaged[c.which] = bytes.Replace(arrived[c.which], []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(damaged[c.which], arrived[c.which]) {
			t.Fatalf("%s: there is no %q", name, c.old)
		}
		if prove(letters, damaged) == nil {
			t.Errorf("%s: not found", name)
		}
	}
	twice := [][]byte{arrived[small], arrived[small], arrived[parcel]}
	if err := prove(letters, twice); err == nil || !strings.Contains(err.Error(), "2 of 3") {
		t.Errorf("one letter twice and another not at all: %v", err)
	}
}
