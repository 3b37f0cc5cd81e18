package relay

import (
	"encoding/binary"
	"strings"

	"restante/mailbox"
)

// pack is a submission in little memory, for as long as the process lives: nobody else
// reads it, so it may change with the program. Times are kept to a millisecond.
func pack(s *Submission) string {
	b := make([]byte, 0, 256)
	b = binary.BigEndian.AppendUint64(b, uint64(stampOf(s.Expires)))
	b = binary.AppendVarint(b, int64(stampOf(s.Expires)-stampOf(s.Accepted)))
	b = binary.AppendUvarint(b, packBools(s.FullReturn, s.UTF8, s.EightBit, s.Signed, s.Journalled, s.From == s.Account, s.Notify != nil, s.Original != nil))
	b = binary.AppendVarint(b, s.Octets)
	b = append(b, byte(s.Class))
	b = packText(b, s.EnvelopeID)
	b = packText(b, s.HeaderID)
	b = packAddress(b, s.Account)
	if s.From != s.Account {
		b = packAddress(b, s.From)
	}
	b = binary.AppendUvarint(b, uint64(len(s.Recipients)))
	for _, a := range s.Recipients {
		b = packAddress(b, a)
	}
	for _, n := range s.Notify {
		b = append(b, byte(n))
	}
	for _, o := range s.Original {
		b = packText(b, o)
	}
	return string(b)
}

// unpack is what was packed.
func unpack(packed string) *Submission {
	p := unpacker{packed}
	s := new(Submission)
	expires := packedExpires(packed)
	p.rest = p.rest[8:]
	s.Expires = expires.time()
	s.Accepted = (expires - stamp(p.varint())).time()
	var same, notify, original bool
	p.bools(&s.FullReturn, &s.UTF8, &s.EightBit, &s.Signed, &s.Journalled, &same, &notify, &original)
	s.Octets = p.varint()
	s.Class = Class(p.octet())
	s.EnvelopeID, s.HeaderID = p.text(), p.text()
	s.Account = p.address()
	if s.From = s.Account; !same {
		s.From = p.address()
	}
	s.Recipients = make([]mailbox.Address, p.uvarint())
	for i := range s.Recipients {
		s.Recipients[i] = p.address()
	}
	if notify {
		s.Notify = make([]Notify, len(s.Recipients))
		for i := range s.Notify {
			s.Notify[i] = Notify(p.octet())
		}
	}
	if original {
		s.Original = make([]string, len(s.Recipients))
		for i := range s.Original {
			s.Original[i] = p.text()
		}
	}
	return s
}

// packedExpires is when a packed submission expires.
func packedExpires(packed string) stamp {
	return stamp(binary.BigEndian.Uint64([]byte(packed[:8])))
}

// A packedSaying is a saying in little memory, or empty.
type packedSaying string

// mostSaid is how much of what was said is kept in memory, in octets; all of it is in
// the journal.
const mostSaid = 160

func packSaying(s saying) packedSaying {
	o := s.outcome
	b := make([]byte, 0, 128)
	b = append(b, byte(o.Result))
	b = binary.AppendVarint(b, int64(o.Code))
	b = packText(b, s.service)
	b = packText(b, o.Enhanced)
	b = packText(b, strings.ToValidUTF8(o.Text[:min(len(o.Text), mostSaid)], ""))
	return packedSaying(b)
}

// result is what was said in short; of what is empty, Success.
func (p packedSaying) result() Result {
	if p == "" {
		return Success
	}
	return Result(p[0])
}

// unpack is what was said, if anything was.
func (p packedSaying) unpack() (s saying) {
	if p == "" {
		return s
	}
	u := unpacker{string(p)}
	s.outcome.Result = Result(u.octet())
	s.outcome.Code = int(u.varint())
	s.service = u.text()
	s.outcome.Enhanced, s.outcome.Text = u.text(), u.text()
	return s
}

func packBools(bools ...bool) (bits uint64) {
	for i, b := range bools {
		if b {
			bits |= 1 << i
		}
	}
	return bits
}

func packText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func packAddress(b []byte, a mailbox.Address) []byte {
	return packText(packText(b, a.Local), a.Domain)
}

// An unpacker reads what pack wrote, which is never damaged.
type unpacker struct{ rest string }

func (p *unpacker) octet() byte {
	b := p.rest[0]
	p.rest = p.rest[1:]
	return b
}

func (p *unpacker) uvarint() (v uint64) {
	for shift := 0; ; shift += 7 {
		b := p.octet()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
}

func (p *unpacker) varint() int64 {
	v := p.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (p *unpacker) bools(bools ...*bool) {
	bits := p.uvarint()
	for i, b := range bools {
		*b = bits&(1<<i) != 0
	}
}

func (p *unpacker) text() string {
	n := p.uvarint()
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

func (p *unpacker) address() mailbox.Address {
	local := p.text()
	return mailbox.Address{Local: local, Domain: p.text()}
}
