package provider

import (
	"math"
	"testing"

	"restante/relay"
	"restante/relay/fake"
)

func TestMoreRecipientsThanTheServerTakesAreSaidInSeveralTransactions(t *testing.T) {
	to := []string{"a@example.net", "b@example.net", "c@example.net", "d@example.net", "e@example.net"}
	limited := smtpRig(func(o *SMTPOptions, f *fake.SMTPOptions) { o.Limits.Recipients, f.MaxRecipients = 2, 2 })
	bubble(t, limited, func(t *testing.T, r *rig) {
		r.set(t, fake.Setting{Mode: "status:550 5.1.1 nobody", At: "dot", Recipient: "c@example.net"})
		out := r.sendMail(t, newMail(t, letter, to...))
		for i, result := range []relay.Result{relay.Success, relay.Success, relay.BadRecipient, relay.Success, relay.Success} {
			want(t, out[i], result)
		}
		if log := r.accepted(t, 3); len(log[0].To) != 2 || log[1].To[0] != "e@example.net" || log[2].To[0] != "d@example.net" {
			t.Errorf("%+v", log)
		}
		if n := r.fake.Stats().Connections; n != 1 {
			t.Errorf("%d connections, want one", n)
		}
	})
	bubble(t, limited, func(t *testing.T, r *rig) {
		r.set(t, fake.Setting{Mode: "hang-after-accept", Recipient: "c@example.net"})
		out := r.sendMail(t, newMail(t, letter, to...))
		for i, result := range []relay.Result{relay.Success, relay.Success, relay.Ambiguous, relay.Ambiguous, relay.Transport} {
			want(t, out[i], result)
		}
		r.accepted(t, 2)
	})
}

func TestAServerSaysHowManyRecipientsItTakes(t *testing.T) {
	for _, c := range []struct {
		said        string
		known, most int
	}{
		{"", 0, math.MaxInt},
		{"", 50, 50},
		{"RCPTMAX=1", 50, 1},
		{"MAILMAX=10 RCPTMAX=100", 50, 50},
		{"MAILMAX=10 RCPTMAX=100", 0, 100},
		{"RCPTMAX=many", 0, math.MaxInt},
		{"RCPTMAX=0", 7, 7},
	} {
		conn := &conn{ext: map[string]string{"LIMITS": c.said}}
		if most := conn.recipients(c.known); most != c.most {
			t.Errorf("%q: %d, want %d", c.said, most, c.most)
		}
	}
}
