package rest

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"

	"restante/mailbox"
	"restante/relay"
)

// placeOctets are those of a place: three ids and the number of a recipient.
const placeOctets = 3*len(mailbox.MessageID{}) + 4

// placeText is the form that links have.
func placeText(p relay.Place) string {
	b := make([]byte, 0, placeOctets)
	for _, id := range []mailbox.MessageID{p.Segment.Lane, p.Segment.ID, p.Entry.Message} {
		b = append(b, id[:]...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(p.Entry.Recipient))
	return base64.RawURLEncoding.EncodeToString(b)
}

// parsePlace reads what a link had. One that never was is a place too, of which nothing
// may come.
func parsePlace(s string) (p relay.Place, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != placeOctets {
		return p, problem(http.StatusBadRequest, "invalid-cursor", "from is not what a link had")
	}
	for _, id := range []*mailbox.MessageID{&p.Segment.Lane, &p.Segment.ID, &p.Entry.Message} {
		b = b[copy(id[:], b):]
	}
	p.Entry.Recipient = int(int32(binary.BigEndian.Uint32(b)))
	return p, nil
}
