package provider

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/relay"
	"restante/relay/fake"
)

func TestEveryFailureOfEveryMakerHasItsResult(t *testing.T) {
	for name, build := range everyRig() {
		http := !strings.HasPrefix(name, "smtp") && !strings.HasSuffix(name, "-smtp")
		// Where an HTTP fake hangs it has read the request: nobody can tell.
		silent := relay.Transport
		if http {
			silent = relay.Ambiguous
		}
		throttled := relay.Throttled
		if name == "smtp" || name == "postmark-smtp" {
			throttled = relay.Temporary // their words do not tell it from anything else
		}
		authFail := relay.AccountFault
		if name == "smtp" {
			authFail = relay.Success // it has no accounts
		}
		taken := 0
		if authFail == relay.Success {
			taken = 1
		}
		for _, c := range []struct {
			mode  string
			want  relay.Result
			taken int
		}{
			{"ok", relay.Success, 1},
			{"slow:200ms", relay.Success, 1},
			{"status:503", relay.Temporary, 0},
			{"status:450", relay.Temporary, 0},
			{"throttle:7s", throttled, 0},
			{"authfail", authFail, taken},
			{"unverified", relay.AccountFault, 0},
			{"hang", silent, 0},
			{"reset", silent, 0},
			{"hang-after-accept", relay.Ambiguous, 1},
			{"reset-after-accept", relay.Ambiguous, 1},
		} {
			if !http && c.mode == "status:503" || http && c.mode == "status:450" {
				continue
			}
			if name == "smtp" && c.mode == "unverified" {
				c.want = relay.BadMessage // as any refusal at the end of the content
			}
			t.Run(name+"/"+c.mode, func(t *testing.T) {
				bubble(t, build, func(t *testing.T, r *rig) {
					r.set(t, fake.Setting{Mode: c.mode})
					start := time.Now()
					o := r.send(t)
					want(t, o, c.want)
					r.accepted(t, c.taken)
					if spent := time.Since(start); spent > 13*time.Minute {
						t.Errorf("it took %v", spent)
					}
					if o.Result == relay.Throttled && (!o.Until.After(start) || o.Until.After(start.Add(longestPause))) {
						t.Errorf("throttled until %v", o.Until)
					}
					if o.Result == relay.Throttled && (name == "mailgun" || name == "sendgrid") && o.Until.Sub(start) != 7*time.Second {
						t.Errorf("throttled for %v, want 7s", o.Until.Sub(start))
					}
					if c.want == relay.Success {
						return
					}
					r.set(t, fake.Setting{Mode: "ok"})
					want(t, r.send(t), relay.Success)
					r.accepted(t, c.taken+1)
				})
			})
		}
	}
}

func TestAProviderWorksAgainWhenAServiceThatFlapsIsUp(t *testing.T) {
	for name, build := range everyRig() {
		t.Run(name, func(t *testing.T) {
			bubble(t, build, func(t *testing.T, r *rig) {
				r.set(t, fake.Setting{Mode: "flap:3s/2s"})
				for range 3 {
					want(t, r.send(t), relay.Success)
					time.Sleep(3 * time.Second)
					want(t, r.send(t), relay.Temporary)
					time.Sleep(2 * time.Second)
				}
				r.accepted(t, 3)
			})
		})
	}
}

func TestWhatIsTooMuchASecondIsNotTaken(t *testing.T) {
	for name, build := range everyRig() {
		t.Run(name, func(t *testing.T) {
			bubble(t, build, func(t *testing.T, r *rig) {
				r.set(t, fake.Setting{Mode: "ok", Rate: 2})
				want(t, r.send(t), relay.Success)
				want(t, r.send(t), relay.Success)
				if o := r.send(t); o.Result != relay.Throttled && o.Result != relay.Temporary {
					t.Errorf("the third mail of a second: %v", o)
				}
				r.accepted(t, 2)
				time.Sleep(time.Second)
				want(t, r.send(t), relay.Success)
			})
		})
	}
}

func TestTheContentArrivesAsItIs(t *testing.T) {
	for name, build := range everyRig() {
		t.Run(name, func(t *testing.T) {
			bubble(t, build, func(t *testing.T, r *rig) {
				o := r.send(t)
				want(t, o, relay.Success)
				m := r.accepted(t, 1)[0]
				prefix := ""
				if p := presets[name].prefix; p != nil {
					prefix = p(newMail(t, letter, "ann@example.net"))
				}
				if name != "sendgrid" && m.SHA256 != sha(prefix, letter) {
					t.Errorf("%d octets arrived, %d were sent", m.Octets, len(prefix)+len(letter))
				}
				if m.MessageID != "<1@example.org>" || len(m.To) != 1 || m.To[0] != "ann@example.net" {
					t.Errorf("arrived: %+v", m)
				}
				if name != "mailgun" && m.From != "fred@example.org" {
					t.Errorf("it is from %s", m.From)
				}
				if name != "mailgun-smtp" && !strings.Contains(o.RemoteID, m.ID) {
					t.Errorf("the remote id is %q, of %q", o.RemoteID, m.ID)
				}
			})
		})
	}
}

func TestAMailThatMayNotBeCommittedIsNotTaken(t *testing.T) {
	for name, build := range everyRig() {
		t.Run(name, func(t *testing.T) {
			bubble(t, build, func(t *testing.T, r *rig) {
				m := newMail(t, letter, "ann@example.net")
				m.Commit = func() error {
					r.accepted(t, 0)
					return relay.ErrLease
				}
				o := r.sendMail(t, m)[0]
				want(t, o, relay.Transport)
				if o.Text != textBrokenOff {
					t.Errorf("text %q", o.Text)
				}
				r.accepted(t, 0)
				want(t, r.send(t), relay.Success)
				r.accepted(t, 1)
			})
		})
	}
}

func TestCommitIsAskedWhenOnlyTheEndIsLeft(t *testing.T) {
	for name, build := range everyRig() {
		if strings.HasSuffix(name, "-smtp") {
			continue // in TLS, which blurs the count
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, build, func(t *testing.T, r *rig) {
				// A net/http transport keeps up to 4 KiB back: a long content shows more.
				content := letter + strings.Repeat("And so on.\r\n", 10_000)
				m := newMail(t, content, "ann@example.net")
				var before, asked int
				m.Commit = func() error {
					_, before = r.net.written()
					asked++
					return nil
				}
				want(t, r.sendMail(t, m)[0], relay.Success)
				_, after := r.net.written()
				most := 4 << 10
				if name == "smtp" {
					most = len(".\r\n")
				}
				if left := after - before; asked != 1 || left < 1 || left > most {
					t.Errorf("asked %d times with %d octets left", asked, left)
				}
			})
		})
	}
}

func TestAContentThatCannotBeReadIsNotSent(t *testing.T) {
	for name, build := range everyRig() {
		t.Run(name, func(t *testing.T) {
			bubble(t, build, func(t *testing.T, r *rig) {
				shorter := newMail(t, letter, "ann@example.net")
				shorter.Submission.Octets++
				longer := newMail(t, letter, "ann@example.net")
				longer.Submission.Octets--
				broken := newMail(t, letter, "ann@example.net")
				broken.Open = openBroken
				none := newMail(t, letter, "ann@example.net")
				none.Open = openNothing
				for what, m := range map[string]relay.Mail{"shorter": shorter, "longer": longer, "broken": broken, "none": none} {
					o := r.sendMail(t, m)[0]
					if o.Result != relay.Transport {
						t.Errorf("%s: %v", what, o)
					}
					if strings.Contains(o.Text, "secret") {
						t.Errorf("%s: the text of the store is told: %q", what, o.Text)
					}
				}
				r.accepted(t, 0)
				want(t, r.send(t), relay.Success)
			})
		})
	}
}

func TestAProbeTellsWhatASendWouldMeet(t *testing.T) {
	for name, build := range everyRig() {
		t.Run(name, func(t *testing.T) {
			bubble(t, build, func(t *testing.T, r *rig) {
				want(t, r.Probe(t.Context()), relay.Success)
				r.set(t, fake.Setting{Mode: "hang", At: "EHLO"})
				start := time.Now()
				want(t, r.Probe(t.Context()), relay.Transport)
				if spent := time.Since(start); spent > probeTimeout {
					t.Errorf("it took %v", spent)
				}
				if name != "smtp" {
					r.set(t, fake.Setting{Mode: "authfail"})
					want(t, r.Probe(t.Context()), relay.AccountFault)
				}
				if name == "mailgun" || name == "ses" {
					r.set(t, fake.Setting{Mode: "unverified"})
					want(t, r.Probe(t.Context()), relay.AccountFault)
				}
				r.set(t, fake.Setting{Mode: "ok"})
				r.accepted(t, 0)
				want(t, r.send(t), relay.Success)
			})
		})
	}
}

func TestASendThatHangsEndsWithItsContextAndWithClose(t *testing.T) {
	for name, build := range everyRig() {
		t.Run(name, func(t *testing.T) {
			bubble(t, build, func(t *testing.T, r *rig) {
				r.set(t, fake.Setting{Mode: "hang-after-accept"})
				start := time.Now()
				time.AfterFunc(time.Second, func() { _ = r.Close() })
				want(t, r.send(t), relay.Ambiguous)
				if spent := time.Since(start); spent > 2*time.Second {
					t.Errorf("it ended after %v", spent)
				}
				want(t, r.send(t), relay.Transport) // it is closed
				want(t, r.Probe(t.Context()), relay.Transport)
				r.accepted(t, 1)
			})
		})
	}
}

func TestNobodyThereIsTransport(t *testing.T) {
	for name, build := range everyRig() {
		t.Run(name, func(t *testing.T) {
			bubble(t, build, func(t *testing.T, r *rig) {
				_ = r.net.Close()
				want(t, r.send(t), relay.Transport)
				want(t, r.Probe(t.Context()), relay.Transport)
			})
		})
	}
}

// Over TCP a connection that is reset looks otherwise than one that is closed.
func TestOverLoopbackMailArrivesAndAResetIsNoticed(t *testing.T) {
	builds := map[string]func(t *testing.T, l net.Listener) *rig{}
	for name, build := range map[string]func(*testing.T, net.Listener, HTTPOptions) *rig{
		"mailgun": mailgunRig, "ses": sesRig, "sendgrid": sendGridRig,
	} {
		builds[name] = func(t *testing.T, l net.Listener) *rig {
			return build(t, l, HTTPOptions{URL: "http://" + l.Addr().String()})
		}
	}
	builds["resend-smtp"] = func(t *testing.T, l net.Listener) *rig {
		return presetRig(t, l, "resend-smtp", l.Addr().String(), nil)
	}
	for name, build := range builds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			r := build(t, l)
			send := func() relay.Outcome { return r.Send(t.Context(), newMail(t, letter, "ann@example.net"))[0] }
			want(t, send(), relay.Success)
			r.set(t, fake.Setting{Mode: "reset-after-accept"})
			want(t, send(), relay.Ambiguous)
			r.set(t, fake.Setting{Mode: "ok"})
			want(t, send(), relay.Success)
			want(t, r.Probe(t.Context()), relay.Success)
			r.accepted(t, 3)
		})
	}
}

func TestAStaleConnectionCostsNothing(t *testing.T) {
	for name, build := range everyRig() {
		t.Run(name, func(t *testing.T) {
			bubble(t, build, func(t *testing.T, r *rig) {
				want(t, r.send(t), relay.Success)
				time.Sleep(30 * time.Second)
				r.net.hangUp()
				synctest.Wait()
				want(t, r.send(t), relay.Success)
				r.accepted(t, 2)
			})
		})
	}
}

// It may be closed while the first octet is on its way.
func TestAConnectionThatTakesNothingAnyMoreCostsNothing(t *testing.T) {
	for name, build := range everyRig() {
		t.Run(name, func(t *testing.T) {
			bubble(t, build, func(t *testing.T, r *rig) {
				want(t, r.send(t), relay.Success)
				r.net.mu.Lock()
				r.net.deaf = true
				r.net.mu.Unlock()
				want(t, r.send(t), relay.Success)
				r.accepted(t, 2)
			})
		})
	}
}
