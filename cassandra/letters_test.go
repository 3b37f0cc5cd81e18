package cassandra

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
)

// Statements of these tests, on a table of the schema.
var (
	letterInsert = &statement{name: "letter insert", cql: "INSERT INTO message (id, part, data) VALUES (?, 0, ?)"}
	letterDelete = &statement{name: "letter delete", cql: "DELETE FROM message WHERE id = ?"}
	letterSelect = &statement{name: "letter select", cql: "SELECT id, data FROM message WHERE id = ? AND part = 0"}
)

// letters are rows that a session reads and writes.
type letters struct {
	*session
	ids mailbox.MessageIDs
}

func newLetters(t testing.TB) *letters { return &letters{session: newStore(t).session} }

// send writes a letter.
func (l *letters) send(ctx context.Context, level Consistency, text string) (mailbox.MessageID, error) {
	id := l.ids.Next()
	return id, l.sendAgain(ctx, level, id, text)
}

func (l *letters) sendAgain(ctx context.Context, level Consistency, id mailbox.MessageID, text string) error {
	return l.write(ctx, letterInsert, level, insertedAt(id), id, []byte(text))
}

// burn deletes a letter.
func (l *letters) burn(ctx context.Context, id mailbox.MessageID, now time.Time) error {
	return l.write(ctx, letterDelete, LocalQuorum, deletedAt(now, id), id)
}

// text reads a letter.
func (l *letters) text(ctx context.Context, level Consistency, id mailbox.MessageID) (text string, found bool, err error) {
	var b []byte
	found, err = l.read(ctx, letterSelect, level, id).one(nil, &b)
	return string(b), found, err
}

// A logBuffer is a log that is read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
