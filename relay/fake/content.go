package fake

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/mail"
	"strings"
	"time"
)

// headMost is how much of a content is searched for its Message-ID.
const headMost = 64 << 10

// A content is written to, and remembers what the log tells of it.
type content struct {
	sum    hash.Hash
	octets int64
	head   strings.Builder
}

func newContent() *content { return &content{sum: sha256.New()} }

func (c *content) Write(p []byte) (int, error) {
	c.octets += int64(len(p))
	if room := headMost - c.head.Len(); room > 0 {
		c.head.Write(p[:min(room, len(p))])
	}
	return c.sum.Write(p)
}

// mail is the entry of the log.
func (c *content) mail(id, from string, to []string) Mail {
	m := Mail{
		ID: id, From: from, To: to, Received: time.Now(),
		Octets: c.octets, SHA256: hex.EncodeToString(c.sum.Sum(nil)),
	}
	if msg, err := mail.ReadMessage(strings.NewReader(c.head.String())); err == nil {
		m.MessageID = msg.Header.Get("Message-Id")
	}
	return m
}

// newID is a number that nobody has yet.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
