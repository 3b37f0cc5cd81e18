package mailbox

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A MessageID is a TimeUUID (RFC 9562, section 5.1). It names one accepted
// message in every data centre, orders the listing, and its text is the POP3
// unique-id (RFC 1939, section 7).
type MessageID [16]byte

// ParseMessageID reads the text form of a MessageID.
func ParseMessageID(s string) (MessageID, error) {
	u, err := uuid.Parse(s)
	if err != nil || len(s) != 36 || u.Version() != 1 || u.Variant() != uuid.RFC4122 {
		return MessageID{}, fmt.Errorf("message id %q: %w", s, ErrNotFound)
	}
	return MessageID(u), nil
}

func (id MessageID) String() string { return uuid.UUID(id).String() }

// IsZero reports whether id was never assigned.
func (id MessageID) IsZero() bool { return id == MessageID{} }

// Time is when the message was accepted, to 100 ns, by the clock of the
// process that accepted it.
func (id MessageID) Time() time.Time {
	sec, nsec := uuid.UUID(id).Time().UnixTime()
	return time.Unix(sec, nsec).UTC()
}

// Compare orders ids as Cassandra's timeuuid type does: by time, then by the
// last eight octets, each as a signed byte.
func (id MessageID) Compare(other MessageID) int {
	if c := cmp.Compare(uuid.UUID(id).Time(), uuid.UUID(other).Time()); c != 0 {
		return c
	}
	for i := 8; i < 16; i++ {
		if c := cmp.Compare(int8(id[i]), int8(other[i])); c != 0 {
			return c
		}
	}
	return bytes.Compare(id[:8], other[:8])
}

// MessageIDs mints MessageIDs: strictly increasing within the process, and
// unique across processes by a random node id (RFC 9562, section 6.10) rather
// than a network card's, which two containers may share. The zero value is
// ready; it is safe for concurrent use.
type MessageIDs struct {
	Now func() time.Time // nil means time.Now

	mu   sync.Mutex
	node [8]byte // clock sequence and node; zero until the first id
	last uint64  // time of the last id, in 100 ns
}

// 100 ns steps between the start of the Gregorian calendar and 1970.
const gregorian = 122192928000000000

// Next is a new id. It is later than every id minted before, even when the
// clock was set back in between.
func (g *MessageIDs) Next() MessageID {
	now := time.Now
	if g.Now != nil {
		now = g.Now
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.node == [8]byte{} {
		rand.Read(g.node[:]) // never fails
		g.node = asNode(g.node)
	}
	t := now()
	g.last = max(ticks(t), g.last+1)
	return timeUUID(g.last, g.node)
}

// MessageIDOf is an id of a time that is a function of the name and the time, so that
// whoever repeats a message that a process makes up finds the same id (RFC 9562,
// section 6.5).
func MessageIDOf(name string, at time.Time) MessageID {
	sum := sha256.Sum256([]byte(name))
	return timeUUID(ticks(at), asNode([8]byte(sum[:8])))
}

// ticks counts the 100 ns since the start of the Gregorian calendar.
func ticks(t time.Time) uint64 { return uint64(t.Unix()*1e7 + int64(t.Nanosecond()/100) + gregorian) }

// asNode makes a clock sequence and a node id of random octets.
func asNode(b [8]byte) [8]byte {
	b[0] = b[0]&0x3f | 0x80
	b[2] |= 1 // the multicast bit: no network card has this node id
	return b
}

func timeUUID(ticks uint64, node [8]byte) (id MessageID) {
	binary.BigEndian.PutUint32(id[0:], uint32(ticks))
	binary.BigEndian.PutUint16(id[4:], uint16(ticks>>32))
	binary.BigEndian.PutUint16(id[6:], uint16(ticks>>48)&0x0fff|0x1000)
	copy(id[8:], node[:])
	return id
}

// A MaildropID names one life of a maildrop. An address that is removed and
// created again gets a new one, so old mail cannot come back.
type MaildropID [16]byte

// The name space of maildrop ids; its value has no meaning but must never change.
var maildrops = uuid.MustParse("6f2b7a52-6f0c-4c43-9a86-8a1b5a3f3d0e")

// MaildropOf is the maildrop of the life-th life of an address, counted from
// 1. It is a function of the two (RFC 9562, section 5.8, over SHA-256), so
// that two nodes that create an address at the same time agree without a lock.
func MaildropOf(a Address, life uint32) MaildropID {
	name := fmt.Appendf(nil, "%s\x00%d", a, life)
	id := MaildropID(uuid.NewHash(sha256.New(), maildrops, name, 8))
	id[15] &^= temporary
	return id
}

// TemporaryMaildropOf is MaildropOf for an address that ends by itself.
func TemporaryMaildropOf(a Address, life uint32) MaildropID {
	id := MaildropOf(a, life)
	id[15] |= temporary
	return id
}

// temporary is the bit of the last octet that says so.
const temporary = 1

// Temporary reports whether all that the maildrop holds will expire. A store may
// keep such maildrops apart; the id says it, so that nobody has to look it up.
func (id MaildropID) Temporary() bool { return id[15]&temporary != 0 }

func (id MaildropID) String() string { return uuid.UUID(id).String() }

// Outbound is whom content is for that is on its way to the outside. It is no maildrop
// of anybody and has no listing, so a sweep leaves its contents alone for OutboundKept.
var Outbound = MaildropID(uuid.MustParse("0d2ad4fe-3f0b-8e9a-9c55-9f5b8b0b7f10"))

// OutboundKept is longer than any message is tried, after which its content is released.
const OutboundKept = 14 * 24 * time.Hour

// A Message is one line of a maildrop listing.
type Message struct {
	ID         MessageID
	Octets     int64     // as RETR sends it: CRLF line ends, before dot-stuffing
	Expires    time.Time // zero: kept until it is removed
	Recipients int       // how many maildrops the content is for; zero: not known
	Place      Place     // where the store listed it

	// Inline is the content itself, of a short message for one maildrop that is listed
	// with it. Empty: Contents has it.
	Inline string
}

// MaxInline is how many octets may be listed with a message in a temporary maildrop.
const MaxInline = 4 << 10

// OpenInline is the content of a message that was listed with it, or nil where it was
// not: what Contents.Open begins with.
func (m Message) OpenInline() io.ReadCloser {
	if m.Inline == "" {
		return nil
	}
	return io.NopCloser(strings.NewReader(m.Inline))
}

// A Place is the store's own note of where it lists a message. Add and List fill
// it in, Remove uses it to find the line without reading again, and everyone else
// leaves it alone. Not every store has places.
type Place struct {
	Lane   MessageID  // a log with one writer
	Ord    int64      // the position in it
	Within MaildropID // whose the line is, if the content is kept with it; else zero
}

// HasContent reports whether the content is kept with the line.
func (p Place) HasContent() bool { return p.Within != MaildropID{} }

// An Entry is a message in a maildrop.
type Entry struct {
	Maildrop MaildropID
	Message  Message
}
