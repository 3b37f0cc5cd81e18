package relay_test

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"restante/mailbox"
	"restante/relay"
)

func TestASubmissionIsUnpackedAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		address := rapid.Custom(func(t *rapid.T) mailbox.Address {
			return mailbox.Address{Local: rapid.String().Draw(t, "local"), Domain: rapid.String().Draw(t, "domain")}
		})
		at := rapid.Custom(func(t *rapid.T) time.Time {
			return time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "ms")).UTC()
		})
		s := relay.Submission{
			Account:    address.Draw(t, "account"),
			From:       address.Draw(t, "from"),
			Recipients: rapid.SliceOfN(address, 1, 20).Draw(t, "recipients"),
			EnvelopeID: rapid.String().Draw(t, "envelope id"),
			FullReturn: rapid.Bool().Draw(t, "full"),
			UTF8:       rapid.Bool().Draw(t, "utf8"),
			EightBit:   rapid.Bool().Draw(t, "8bit"),
			Signed:     rapid.Bool().Draw(t, "signed"),
			Journalled: rapid.Bool().Draw(t, "journalled"),
			Octets:     rapid.Int64Min(0).Draw(t, "octets"),
			HeaderID:   rapid.String().Draw(t, "header id"),
			Class:      rapid.SampledFrom([]relay.Class{relay.Normal, relay.High, relay.Bulk}).Draw(t, "class"),
			Accepted:   at.Draw(t, "accepted"),
			Expires:    at.Draw(t, "expires"),
		}
		n := len(s.Recipients)
		if rapid.Bool().Draw(t, "same") {
			s.From = s.Account
		}
		if rapid.Bool().Draw(t, "notify") {
			s.Notify = rapid.SliceOfN(rapid.Map(rapid.Byte(), func(b byte) relay.Notify { return relay.Notify(b) }), n, n).Draw(t, "of each")
		}
		if rapid.Bool().Draw(t, "original") {
			s.Original = rapid.SliceOfN(rapid.String(), n, n).Draw(t, "of each")
		}
		if got := relay.Repack(&s); !reflect.DeepEqual(*got, s) {
			t.Fatalf("unpacked %+v, packed %+v", *got, s)
		}
	})
}

// A field that is not packed would be lost with nobody noticing but its reader.
func TestEveryFieldOfASubmissionIsPacked(t *testing.T) {
	t.Parallel()
	if n := reflect.TypeFor[relay.Submission]().NumField(); n != 16 {
		t.Errorf("a submission has %d fields: pack and its tests know of 16", n)
	}
}
