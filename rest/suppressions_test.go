package rest

import (
	"net/http"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
)

func TestAnOperatorSeesWhoIsNotReachedAndLiftsIt(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		fred := mailbox.Address{Local: "fred", Domain: "example.org"}
		for _, local := range []string{"ann", "bob"} {
			err := d.suppressed.Suppress(t.Context(), fred, relay.Suppression{
				Address: mailbox.Address{Local: local, Domain: "example.net"}, Since: time.Now(), Until: time.Now().Add(relay.SuppressedFor),
				Outcome: relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.1.1", Text: "no such user"},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		found, err := d.Suppressed(t.Context(), "Fred@Example.org", 10)
		if err != nil || len(found.Data) != 2 || found.More {
			t.Fatalf("%+v, %v", found, err)
		}
		if s := found.Data[0]; s.Code != 550 || s.Enhanced != "5.1.1" || s.Text != "no such user" || s.Until.Sub(s.Since) != relay.SuppressedFor {
			t.Errorf("%+v", s)
		}
		if few, err := d.Suppressed(t.Context(), "fred@example.org", 1); err != nil || len(few.Data) != 1 || !few.More {
			t.Errorf("one at most: %+v, %v", few, err)
		}
		for range 2 { // the second time nothing is there
			if err := d.Allow(t.Context(), "fred@example.org", "Ann@example.net"); err != nil {
				t.Error(err)
			}
		}
		if left, err := d.Suppressed(t.Context(), "fred@example.org", 10); err != nil || len(left.Data) != 1 || left.Data[0].Address != "bob@example.net" {
			t.Errorf("%+v, %v", left, err)
		}
		if none, err := d.Suppressed(t.Context(), "alice@example.org", 10); err != nil || len(none.Data) != 0 {
			t.Errorf("another account: %+v, %v", none, err)
		}
		wantProblem(t, d.answerTo("GET", "/v1/suppressions/nobody", ""), http.StatusUnprocessableEntity, "malformed-address")
		wantProblem(t, d.answerTo("DELETE", "/v1/suppressions/fred@example.org/nobody", ""), http.StatusUnprocessableEntity, "malformed-address")
		if w := d.answerTo("GET", "/v1/suppressions/fred@example.org?limit=0", ""); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("none at most: %d", w.Code)
		}
	})
}
