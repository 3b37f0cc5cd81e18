package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// The layout. A change that an older program would misread raises formatVersion.
//
//	key                          value                    holds
//	a  domain NUL local-part     route                    what an address leads to
//	c  id                        content record           the commit record of a content, or all of a small one
//	p  id part#                  octets                   a part of a larger content
//	w  id                        -                        content on watch: perhaps nobody lists it
//	h  drop                      maildrop head            the generation of its rows, and how many died in it
//	m  drop generation id        row                      a line of a maildrop listing
//	r  day drop id               -                        a removal, which refuses an addition that comes late
//	e  time m drop id            -                        when a line of a listing expires
//	e  time c id                 -                        when a content expires
//	e  time a domain NUL local-part  -                    when an address is forgotten
//	e  time h drop               -                        when the head of a temporary maildrop may be
//	e  time x key                -                        when one of the next two ends
//	g  register                  version, data            what services of outbound mail share
//	x  account recipient         suppression              a recipient of outbound mail that does not exist
//	s  lane segment              -                        a segment of the journal of outbound mail that is open
//	j  lane segment id recipient kind attempt# writer  event    what happened to outbound mail
//	o  lane segment id           octets                   the content of outbound mail, if it is short
//
// An id is in its sortable form, so that keys have the order of the listing. A
// drop has 16 octets; numbers are big-endian: part# and generation and day and
// attempt# and recipient 4 octets, time 8. A day is half of one: removals go out in
// blocks of 12 hours. A lane, a segment and a writer are ids too. A recipient counts from
// 1, and 0 is the message as a whole. Account and recipient are the local-part and the
// domain of an address, each after its length but the last.
const (
	prefixAddress    = 'a'
	prefixContent    = 'c'
	prefixPart       = 'p'
	prefixWatch      = 'w'
	prefixHead       = 'h'
	prefixRow        = 'm'
	prefixRemoval    = 'r'
	prefixExpiry     = 'e'
	prefixShared     = 'g'
	prefixSuppressed = 'x'
	prefixSegment    = 's'
	prefixEvent      = 'j'
	prefixOutbound   = 'o'
)

// errCorrupt is the cause where a stored value is not what was written.
var errCorrupt = errors.New("corrupt value")

// appendID appends the sortable form of an id: octets of equal length that
// compare as [mailbox.MessageID.Compare] does.
func appendID(key []byte, id mailbox.MessageID) []byte {
	var b [16]byte
	ticks := uint64(binary.BigEndian.Uint16(id[6:])&0x0fff)<<48 |
		uint64(binary.BigEndian.Uint16(id[4:]))<<32 | uint64(binary.BigEndian.Uint32(id[0:]))
	// The version goes last, to keep the form one to one; all ids share it.
	binary.BigEndian.PutUint64(b[:], ticks<<4|uint64(id[6]>>4))
	for i := 8; i < 16; i++ {
		b[i] = id[i] ^ 0x80 // signed octets
	}
	return append(key, b[:]...)
}

// decodeID reads the sortable form of an id.
func decodeID(b []byte) (id mailbox.MessageID) {
	v := binary.BigEndian.Uint64(b)
	ticks, version := v>>4, uint16(v&0x0f)
	binary.BigEndian.PutUint32(id[0:], uint32(ticks))
	binary.BigEndian.PutUint16(id[4:], uint16(ticks>>32))
	binary.BigEndian.PutUint16(id[6:], uint16(ticks>>48)|version<<12)
	for i := 8; i < 16; i++ {
		id[i] = b[i] ^ 0x80
	}
	return id
}

func contentKey(id mailbox.MessageID) []byte { return appendID([]byte{prefixContent}, id) }

func partKey(id mailbox.MessageID, part uint32) []byte {
	key := appendID(append(make([]byte, 0, 21), prefixPart), id)
	return binary.BigEndian.AppendUint32(key, part)
}

func watchKey(id mailbox.MessageID) []byte { return appendID([]byte{prefixWatch}, id) }

func headKey(drop mailbox.MaildropID) []byte { return append([]byte{prefixHead}, drop[:]...) }

// rowPrefix is what the rows of one generation of a maildrop begin with.
func rowPrefix(drop mailbox.MaildropID, generation uint32) []byte {
	key := append(make([]byte, 0, 37), prefixRow)
	key = append(key, drop[:]...)
	return binary.BigEndian.AppendUint32(key, generation)
}

func rowKey(drop mailbox.MaildropID, generation uint32, id mailbox.MessageID) []byte {
	return appendID(rowPrefix(drop, generation), id)
}

const halfDay = 12 * time.Hour

// dayOf is the block of removals that a time belongs to.
func dayOf(t time.Time) uint32 {
	return uint32(max(t.Unix(), 0) / int64(halfDay/time.Second))
}

func removalDayPrefix(day uint32) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 37), prefixRemoval), day)
}

func removalKey(day uint32, drop mailbox.MaildropID, id mailbox.MessageID) []byte {
	return appendID(append(removalDayPrefix(day), drop[:]...), id)
}

// decodeRemoval reads a key that removalKey made.
func decodeRemoval(key []byte) (drop mailbox.MaildropID, id mailbox.MessageID, err error) {
	if len(key) != 37 || key[0] != prefixRemoval {
		return drop, id, fmt.Errorf("removal key of %d octets: %w", len(key), errCorrupt)
	}
	return mailbox.MaildropID(key[5:21]), decodeID(key[21:]), nil
}

// The kinds of what expires.
const (
	expiryRow        = 'm'
	expiryContent    = 'c'
	expiryAddress    = 'a'
	expiryHead       = 'h'
	expiryPerishable = 'x'
)

// expiryTime is the part of a key of expiry that orders it: whole seconds,
// rounded up, so that nothing is looked at before its time.
func expiryTime(t time.Time) uint64 {
	sec := t.Unix()
	if t.Nanosecond() > 0 {
		sec++
	}
	return uint64(max(sec, 0))
}

func expiryPrefix(at uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 42), prefixExpiry), at)
}

func rowExpiryKey(expires time.Time, drop mailbox.MaildropID, id mailbox.MessageID) []byte {
	key := append(expiryPrefix(expiryTime(expires)), expiryRow)
	return appendID(append(key, drop[:]...), id)
}

func contentExpiryKey(expires time.Time, id mailbox.MessageID) []byte {
	return appendID(append(expiryPrefix(expiryTime(expires)), expiryContent), id)
}

func addressExpiryKey(forget time.Time, a mailbox.Address) []byte {
	key := append(expiryPrefix(expiryTime(forget)), expiryAddress)
	return append(key, addressKey(a)[1:]...)
}

func headExpiryKey(at time.Time, drop mailbox.MaildropID) []byte {
	return append(append(expiryPrefix(expiryTime(at)), expiryHead), drop[:]...)
}

func perishableExpiryKey(ends time.Time, key []byte) []byte {
	return append(append(expiryPrefix(expiryTime(ends)), expiryPerishable), key...)
}

// An expiry is a key of expiry, read back. What a kind has nothing of is zero.
type expiry struct {
	kind    byte
	drop    mailbox.MaildropID
	id      mailbox.MessageID
	address mailbox.Address
	key     string // of a row that may end
}

func decodeExpiry(key []byte) (e expiry, err error) {
	switch {
	case len(key) == 42 && key[9] == expiryRow:
		return expiry{kind: expiryRow, drop: mailbox.MaildropID(key[10:26]), id: decodeID(key[26:])}, nil
	case len(key) == 26 && key[9] == expiryContent:
		return expiry{kind: expiryContent, id: decodeID(key[10:])}, nil
	case len(key) == 26 && key[9] == expiryHead:
		return expiry{kind: expiryHead, drop: mailbox.MaildropID(key[10:])}, nil
	case len(key) > 10 && key[9] == expiryPerishable:
		return expiry{kind: expiryPerishable, key: string(key[10:])}, nil
	case len(key) > 10 && key[9] == expiryAddress:
		a, err := decodeAddress(key[9:])
		return expiry{kind: expiryAddress, address: a}, err
	}
	return expiry{}, fmt.Errorf("expiry key of %d octets: %w", len(key), errCorrupt)
}

func domainPrefix(domain string) []byte {
	key := make([]byte, 0, len(domain)+66)
	return append(append(append(key, prefixAddress), domain...), 0)
}

func addressKey(a mailbox.Address) []byte { return append(domainPrefix(a.Domain), a.Local...) }

// decodeAddress reads a key that addressKey made.
func decodeAddress(key []byte) (mailbox.Address, error) {
	domain, local, ok := bytes.Cut(key[1:], []byte{0})
	if !ok {
		return mailbox.Address{}, fmt.Errorf("address key of %d octets: %w", len(key), errCorrupt)
	}
	return mailbox.Address{Local: string(local), Domain: string(domain)}, nil
}

func sharedKey(register string) []byte { return append([]byte{prefixShared}, register...) }

// suppressedPrefix is what the keys of an account's list begin with.
func suppressedPrefix(account mailbox.Address) []byte {
	key := append(make([]byte, 0, 128), prefixSuppressed)
	return appendString(appendString(key, account.Local), account.Domain)
}

func suppressedKey(account, recipient mailbox.Address) []byte {
	return append(appendString(suppressedPrefix(account), recipient.Local), recipient.Domain...)
}

// decodeSuppressed is the recipient of a key that suppressedKey made.
func decodeSuppressed(key []byte) (recipient mailbox.Address, err error) {
	d := decoder{rest: key[1:]}
	_, _ = d.string(), d.string()
	recipient.Local = d.string()
	recipient.Domain = string(d.octets(len(d.rest)))
	return recipient, d.end("key of a suppressed recipient")
}

func segmentKey(s relay.Segment) []byte {
	return segmentPrefix(prefixSegment, 33, s)
}

// segmentPrefix is what the keys of one kind begin with that a segment has; there is room
// for so many octets of key.
func segmentPrefix(prefix byte, size int, s relay.Segment) []byte {
	return appendID(appendID(append(make([]byte, 0, size), prefix), s.Lane), s.ID)
}

// decodeSegmentKey reads a key that segmentKey made.
func decodeSegmentKey(key []byte) (s relay.Segment, err error) {
	if len(key) != 33 {
		return s, fmt.Errorf("segment key of %d octets: %w", len(key), errCorrupt)
	}
	return relay.Segment{Lane: decodeID(key[1:]), ID: decodeID(key[17:])}, nil
}

// eventKeySize is how long a key of an event is.
const eventKeySize = 1 + 16 + 16 + 16 + 4 + 1 + 4 + 16

// eventPrefix is what the events of a segment begin with.
func eventPrefix(s relay.Segment) []byte { return segmentPrefix(prefixEvent, eventKeySize, s) }

func eventKey(s relay.Segment, e relay.Event) []byte {
	key := appendID(eventPrefix(s), e.Entry.Message)
	key = binary.BigEndian.AppendUint32(key, uint32(e.Entry.Recipient-relay.Whole))
	key = append(key, byte(e.Kind))
	key = binary.BigEndian.AppendUint32(key, uint32(e.Seq))
	return appendID(key, e.Writer)
}

// decodeEventKey reads a key that eventKey made.
func decodeEventKey(key []byte) (s relay.Segment, e relay.Event, err error) {
	if len(key) != eventKeySize {
		return s, e, fmt.Errorf("event key of %d octets: %w", len(key), errCorrupt)
	}
	s = relay.Segment{Lane: decodeID(key[1:]), ID: decodeID(key[17:])}
	e.Entry.Message = decodeID(key[33:])
	e.Entry.Recipient = int(binary.BigEndian.Uint32(key[49:])) + relay.Whole
	e.Kind = relay.Kind(key[53])
	e.Seq = int(binary.BigEndian.Uint32(key[54:]))
	e.Writer = decodeID(key[58:])
	return s, e, nil
}

// outboundPrefix is what the contents of a segment begin with.
func outboundPrefix(s relay.Segment) []byte { return segmentPrefix(prefixOutbound, 49, s) }

func outboundKey(s relay.Segment, message mailbox.MessageID) []byte {
	return appendID(outboundPrefix(s), message)
}

// after is the first key behind all that begin with prefix.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return bytes.Repeat([]byte{math.MaxUint8}, len(prefix)+1)
}
