package rest

import (
	"encoding/base64"
	"net/http"

	"restante/mailbox"
)

// A cursor is a place in a listing: a page goes on from there, whether the message is
// still there or not.
type cursor struct {
	back bool // towards newer messages
	id   mailbox.MessageID
	with bool // the page begins with the message itself
}

// The first octet of the opaque form says which way it goes.
const (
	cursorOlder = 'o' // what is older than the message
	cursorNewer = 'n' // what is newer
)

// String is the form that links have.
func (c cursor) String() string {
	way := byte(cursorOlder)
	if c.back {
		way = cursorNewer
	}
	return base64.RawURLEncoding.EncodeToString(append([]byte{way}, c.id[:]...))
}

// parseCursor reads what a link had, or the id of a message, with which the page then
// begins.
func parseCursor(s string) (cursor, error) {
	if id, err := mailbox.ParseMessageID(s); err == nil {
		return cursor{id: id, with: true}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 1+len(mailbox.MessageID{}) || b[0] != cursorOlder && b[0] != cursorNewer {
		return cursor{}, errCursor
	}
	id := mailbox.MessageID(b[1:])
	if again, err := mailbox.ParseMessageID(id.String()); err != nil || again != id {
		return cursor{}, errCursor
	}
	return cursor{back: b[0] == cursorNewer, id: id}, nil
}

var errCursor = problem(http.StatusBadRequest, "invalid-cursor", "from is neither the id of a message nor what a link had")

// bound is the id below which everything is that the page of an older-going cursor
// may have.
func (c cursor) bound() mailbox.MessageID {
	if c.with {
		return next(c.id)
	}
	return c.id
}

// next is the least id above another, as [mailbox.MessageID.Compare] orders them:
// the last octets count as signed ones.
func next(id mailbox.MessageID) mailbox.MessageID {
	for i := len(id) - 1; i >= 8; i-- {
		id[i]++
		if id[i] != 0x80 { // else 127 became -128: carry
			return id
		}
	}
	// The time itself: low, middle and high field.
	for _, i := range []int{3, 2, 1, 0, 5, 4, 7, 6} {
		id[i]++
		if id[i] != 0 {
			break
		}
	}
	return id
}
