package embedded

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// Every value begins with the version of its own form, so that a form can
// change without a rewrite of the store.
const (
	contentForm = 1
	rowForm     = 1
	headForm    = 1
	routeForm   = 1
	eventForm   = 1

	perishableForm = 1

	// forgottenForm is a route with the time at which the address is forgotten.
	forgottenForm = 2
)

// A record is the commit record of a content.
type record struct {
	octets   int64
	partSize int // of every part but the last; 0: the content is in the record
	expires  time.Time
	drops    []mailbox.MaildropID // those that still need it
	inline   []byte               // the content, where it is here
}

// parts is how many parts the content has.
func (r record) parts() uint32 {
	if r.partSize == 0 {
		return 0
	}
	return uint32((r.octets + int64(r.partSize) - 1) / int64(r.partSize))
}

// partOctets is how many octets a part has.
func (r record) partOctets(part uint32) int {
	return int(min(int64(r.partSize), r.octets-int64(part)*int64(r.partSize)))
}

func appendRecord(b []byte, r record) []byte {
	b = append(b, contentForm)
	b = binary.AppendUvarint(b, uint64(r.octets))
	b = binary.AppendUvarint(b, uint64(r.partSize))
	b = appendTime(b, r.expires)
	b = binary.AppendUvarint(b, uint64(len(r.drops)))
	for _, drop := range r.drops {
		b = append(b, drop[:]...)
	}
	return append(b, r.inline...)
}

// decodeRecord reads what appendRecord wrote. What is inline is still b's.
func decodeRecord(b []byte) (r record, err error) {
	d := decoder{rest: b}
	d.form(contentForm)
	r.octets = d.count(math.MaxInt64)
	r.partSize = int(d.count(math.MaxInt32))
	r.expires = d.time()
	drops := d.count(int64(len(d.rest) / len(mailbox.MaildropID{})))
	r.drops = make([]mailbox.MaildropID, drops)
	for i := range r.drops {
		copy(r.drops[i][:], d.octets(len(r.drops[i])))
	}
	switch {
	case d.err != nil:
	case r.partSize == 0 && r.octets > int64(len(d.rest)):
		d.fail("too short")
	case r.partSize == 0:
		r.inline = d.octets(int(r.octets))
	case r.octets/int64(r.partSize) >= math.MaxUint32:
		d.fail("parts")
	}
	return r, d.end("content record")
}

// without is the record after a maildrop released it, and whether that changed
// anything.
func (r record) without(drop mailbox.MaildropID) (record, bool) {
	i := slices.Index(r.drops, drop)
	if i < 0 {
		return r, false
	}
	r.drops = slices.Delete(slices.Clone(r.drops), i, i+1)
	return r, true
}

func appendRow(b []byte, m mailbox.Message) []byte {
	b = append(b, rowForm)
	b = binary.AppendUvarint(b, uint64(m.Octets))
	return appendTime(b, m.Expires)
}

// decodeRow reads what appendRow wrote; the id is in the key.
func decodeRow(b []byte) (m mailbox.Message, err error) {
	d := decoder{rest: b}
	d.form(rowForm)
	m.Octets = d.count(math.MaxInt64)
	m.Expires = d.time()
	return m, d.end("row")
}

// A head says where the rows of a maildrop are.
type head struct {
	generation uint32
	dead       uint64 // rows removed in this generation
}

func appendHead(b []byte, h head) []byte {
	b = append(b, headForm)
	b = binary.AppendUvarint(b, uint64(h.generation))
	return binary.AppendUvarint(b, h.dead)
}

func decodeHead(b []byte) (h head, err error) {
	d := decoder{rest: b}
	d.form(headForm)
	h.generation = uint32(d.count(math.MaxUint32))
	h.dead = uint64(d.count(math.MaxInt64))
	return h, d.end("maildrop head")
}

func appendRoute(b []byte, r mailbox.Route) []byte {
	b = append(b, routeForm, byte(r.Kind))
	b = binary.AppendUvarint(b, uint64(r.Life))
	b = append(b, r.Maildrop[:]...)
	b = appendTime(b, r.Created)
	b = appendTime(b, r.Expires)
	b = appendString(b, r.Secret)
	b = binary.AppendUvarint(b, uint64(len(r.Targets)))
	for _, a := range r.Targets {
		b = appendString(appendString(b, a.Local), a.Domain)
	}
	return b
}

// appendForgotten is appendRoute of an address that is forgotten at a time; zero: never.
func appendForgotten(b []byte, r mailbox.Route, forget time.Time) []byte {
	form := len(b)
	b = appendRoute(b, r)
	if forget.IsZero() {
		return b
	}
	b[form] = forgottenForm
	return appendTime(b, forget)
}

// decodeRoute reads what appendRoute or appendForgotten wrote.
func decodeRoute(b []byte) (r mailbox.Route, forget time.Time, err error) {
	d := decoder{rest: b}
	form := byte(routeForm)
	if len(b) > 0 && b[0] == forgottenForm {
		form = forgottenForm
	}
	d.form(form)
	r.Kind = mailbox.Kind(d.octet())
	r.Life = uint32(d.count(math.MaxUint32))
	copy(r.Maildrop[:], d.octets(len(r.Maildrop)))
	r.Created = d.time()
	r.Expires = d.time()
	r.Secret = d.string()
	for range d.count(int64(len(d.rest) / 2)) {
		r.Targets = append(r.Targets, mailbox.Address{Local: d.string(), Domain: d.string()})
	}
	if form == forgottenForm {
		forget = d.time()
	}
	return r, forget, d.end("route")
}

// eventSize is how many octets an event takes at most.
func eventSize(e relay.Event) int { return 1 + binary.MaxVarintLen64 + len(e.Data) }

func appendEvent(b []byte, e relay.Event) []byte {
	b = append(b, eventForm)
	b = binary.AppendVarint(b, e.At.UnixMilli())
	return append(b, e.Data...)
}

// decodeEvent reads what appendEvent wrote to an event that has its name already.
func decodeEvent(b []byte, e *relay.Event) error {
	d := decoder{rest: b}
	d.form(eventForm)
	e.At = time.UnixMilli(d.number()).UTC()
	e.Data = bytes.Clone(d.octets(len(d.rest)))
	return d.end("event")
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTime writes a time to the nanosecond; the zero time takes one octet.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(t.Nanosecond())+1)
	return binary.AppendVarint(b, t.Unix())
}

// A decoder takes a value apart and remembers the first thing that was wrong.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: %w", what, errCorrupt)
	}
	d.rest = nil
}

// end is the outcome: a value must be used up.
func (d *decoder) end(what string) error {
	if d.err == nil && len(d.rest) > 0 {
		d.fail("octets left over")
	}
	if d.err != nil {
		return fmt.Errorf("%s: %w", what, d.err)
	}
	return nil
}

func (d *decoder) form(want byte) {
	if got := d.octet(); d.err == nil && got != want {
		d.fail(fmt.Sprintf("form %d", got))
	}
}

func (d *decoder) octet() byte {
	if b := d.octets(1); b != nil {
		return b[0]
	}
	return 0
}

// octets are the next n octets, or nil.
func (d *decoder) octets(n int) []byte {
	if n > len(d.rest) {
		d.fail("too short")
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// count is a number from 0 to limit.
func (d *decoder) count(limit int64) int64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > uint64(limit) {
		d.fail("number")
		return 0
	}
	d.rest = d.rest[n:]
	return int64(v)
}

func (d *decoder) string() string {
	return string(d.octets(int(d.count(int64(len(d.rest))))))
}

func (d *decoder) time() time.Time {
	nanos := d.count(1e9)
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(d.number(), nanos-1).UTC()
}

// number is any number.
func (d *decoder) number() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail("number")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}
