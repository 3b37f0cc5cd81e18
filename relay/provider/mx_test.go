package provider

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/relay"
	"restante/relay/fake"
)

// A zone answers from a table. A name that is not there does not exist; "?" cannot be
// looked up just now.
type zone struct {
	mx    map[string]string // "10 a.example.net, 20 b.example.net"
	hosts map[string]bool
}

func (z zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	if z.mx[name] == "" || z.mx[name] == "?" {
		return nil, &net.DNSError{Name: name, Err: "none", IsNotFound: z.mx[name] == "", IsTemporary: z.mx[name] == "?"}
	}
	var records []*net.MX
	for r := range strings.SplitSeq(z.mx[name], ", ") {
		var mx net.MX
		if _, err := fmt.Sscan(r, &mx.Pref, &mx.Host); err != nil {
			return nil, err
		}
		records = append(records, &mx)
	}
	return records, nil
}

func (z zone) LookupHost(_ context.Context, name string) ([]string, error) {
	if !z.hosts[name] {
		return nil, &net.DNSError{Name: name, Err: "none", IsNotFound: true}
	}
	return []string{"192.0.2.1"}, nil
}

// An internet has hosts that receive mail.
type internet struct {
	*MX
	hosts map[string]*fake.SMTP
}

func newInternet(t *testing.T, z zone, hosts map[string]fake.SMTPOptions) *internet {
	t.Helper()
	nets, i := map[string]*pipeNet{}, &internet{hosts: map[string]*fake.SMTP{}}
	for name, o := range hosts {
		nets[name+":25"] = newPipeNet()
		i.hosts[name] = serveSMTP(t, nets[name+":25"], o)
	}
	p, err := NewMX(MXOptions{Hello: "relay.example.org", Resolver: z, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if nets[addr] == nil {
			return nil, fmt.Errorf("%s does not answer", addr)
		}
		return nets[addr].Dial(ctx, network, addr)
	}})
	i.MX = closing(t, p, err)
	return i
}

func TestTheHostsOfADomainAreThoseOfItsRecords(t *testing.T) {
	p, err := NewMX(MXOptions{Hello: "x", Resolver: zone{
		mx: map[string]string{
			"a.example":        "20 second.example., 10 first.example., 30 third.example.",
			"null.example":     "0 .",
			"away.example":     "?",
			"xn--caf-dma.test": "10 cafe.example.",
			"many.example":     "1 a., 2 b., 3 c., 4 d., 5 e., 6 f.",
		},
		hosts: map[string]bool{"only.example": true},
	}})
	closing(t, p, err)
	for _, c := range []struct {
		domain, hosts string
		result        relay.Result
		enhanced      string
	}{
		{"a.example", "[first.example second.example third.example]", 0, ""},
		{"only.example", "[only.example]", 0, ""},
		{"café.test", "[cafe.example]", 0, ""},
		{"many.example", "[a b c d e]", 0, ""},
		{"[192.0.2.7]", "[192.0.2.7]", 0, ""},
		{"[ipv6:2001:db8::1]", "[2001:db8::1]", 0, ""},
		{"null.example", "[]", relay.BadRecipient, "5.1.10"},
		{"none.example", "[]", relay.BadRecipient, "5.1.2"},
		{"away.example", "[]", relay.Temporary, "4.4.3"},
	} {
		hosts, o := p.hosts(t.Context(), c.domain)
		if fmt.Sprint(hosts) != c.hosts || o.Result != c.result || o.Enhanced != c.enhanced {
			t.Errorf("%s: %v, %+v", c.domain, hosts, o)
		}
	}
}

func TestHostsOfOnePreferenceShareTheMail(t *testing.T) {
	p, err := NewMX(MXOptions{Hello: "x", Resolver: zone{mx: map[string]string{"a.example": "10 a., 10 b., 20 c."}}})
	closing(t, p, err)
	seen := map[string]bool{}
	for range 200 { // one order alone has a chance of 2^-199
		hosts, _ := p.hosts(t.Context(), "a.example")
		seen[fmt.Sprint(hosts)] = true
	}
	if len(seen) != 2 || !seen["[a b c]"] || !seen["[b a c]"] {
		t.Errorf("%v", seen)
	}
}

func TestEachDomainHasATransactionOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInternet(t, zone{mx: map[string]string{"a.example": "10 mx.a.example.", "b.example": "10 mx.b.example.", "null.example": "0 ."}},
			map[string]fake.SMTPOptions{"mx.a.example": {}, "mx.b.example": {}})
		if err := i.hosts["mx.b.example"].Set(fake.Setting{Mode: "status:550 5.1.1 no such user", Recipient: "bob@b.example"}); err != nil {
			t.Fatal(err)
		}
		commits := 0
		m := newMail(t, letter, "ann@a.example", "bob@b.example", "cy@null.example", "dee@a.example", "eve@b.example")
		m.Commit = func() error { commits++; return nil }
		for n, o := range i.Send(t.Context(), m) {
			want(t, o, []relay.Result{relay.Success, relay.BadRecipient, relay.BadRecipient, relay.Success, relay.Success}[n])
		}
		for host, to := range map[string]string{"mx.a.example": "[ann@a.example dee@a.example]", "mx.b.example": "[eve@b.example]"} {
			log := i.hosts[host].Log()
			if len(log) != 1 || fmt.Sprint(log[0].To) != to || log[0].SHA256 != sha(letter) {
				t.Errorf("%s took %+v", host, log)
			}
		}
		if commits != 2 {
			t.Errorf("Commit was called %d times", commits)
		}
	})
}

func TestARefusalAtTheEndThatNamesNobodyFailsOneOfADomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInternet(t, zone{hosts: map[string]bool{"a.example": true, "b.example": true}}, map[string]fake.SMTPOptions{"a.example": {}, "b.example": {}})
		if err := i.hosts["a.example"].Set(fake.Setting{Mode: "status:550 5.1.1 one of them", At: "dot", Recipient: "bob@a.example"}); err != nil {
			t.Fatal(err)
		}
		out := i.Send(t.Context(), newMail(t, letter, "ann@a.example", "bob@a.example", "cy@b.example", "dee@a.example"))
		for n, o := range out {
			want(t, o, []relay.Result{relay.Success, relay.BadRecipient, relay.Success, relay.Success}[n])
		}
		if got := taken(i.hosts["a.example"].Log()...); got != "[ann@a.example dee@a.example]" {
			t.Errorf("it reached %s", got)
		}
	})
}

func TestTheNextHostIsAskedWhereNobodyAnswers(t *testing.T) {
	server, _ := certificates()
	for _, c := range []struct {
		name   string
		first  *fake.Setting // nil: there is no such host
		want   relay.Result
		second int // mails at the second host
	}{
		{"it does not exist", nil, relay.Success, 1},
		{"it is closed", &fake.Setting{Mode: "status:554 no mail here", At: "greeting"}, relay.Success, 1},
		{"it hangs", &fake.Setting{Mode: "hang", At: "MAIL"}, relay.Success, 1},
		{"it breaks off", &fake.Setting{Mode: "reset", At: "DATA"}, relay.Success, 1},
		{"it says later", &fake.Setting{Mode: "status:451 4.3.0 later", At: "RCPT"}, relay.Temporary, 0},
		{"it says no", &fake.Setting{Mode: "status:550 5.1.1 no", At: "RCPT"}, relay.BadRecipient, 0},
		{"it says that we may not", &fake.Setting{Mode: "status:550 5.7.1 no", At: "MAIL"}, relay.BadMessage, 0},
		{"it hangs after the end", &fake.Setting{Mode: "hang-after-accept"}, relay.Ambiguous, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hosts := map[string]fake.SMTPOptions{"second.example": {TLS: server}}
				if c.first != nil {
					hosts["first.example"] = fake.SMTPOptions{}
				}
				i := newInternet(t, zone{mx: map[string]string{"a.example": "10 first.example., 20 second.example."}}, hosts)
				if c.first != nil {
					if err := i.hosts["first.example"].Set(*c.first); err != nil {
						t.Fatal(err)
					}
				}
				want(t, i.Send(t.Context(), newMail(t, letter, "ann@a.example"))[0], c.want)
				if n := len(i.hosts["second.example"].Log()); n != c.second {
					t.Errorf("%d mails at the second host", n)
				}
			})
		})
	}
}

func TestTLSThatFailsIsDoneWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInternet(t, zone{hosts: map[string]bool{"a.example": true}}, map[string]fake.SMTPOptions{
			"a.example": {TLS: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return nil, fmt.Errorf("none")
			}}},
		})
		want(t, i.Send(t.Context(), newMail(t, letter, "ann@a.example"))[0], relay.Success)
	})
}

func TestAMailThatMayNotBeCommittedReachesNoHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInternet(t, zone{hosts: map[string]bool{"a.example": true}}, map[string]fake.SMTPOptions{"a.example": {}})
		m := newMail(t, letter, "ann@a.example")
		m.Commit = func() error { return relay.ErrLease }
		want(t, i.Send(t.Context(), m)[0], relay.Transport)
		synctest.Wait()
		if n := len(i.hosts["a.example"].Log()); n != 0 {
			t.Errorf("%d mails were taken", n)
		}
	})
}

// A domain whose hosts are away says nothing about ours, and waits at the pace of others.
func TestHostsThatDoNotAnswerAreNoFaultOfTheService(t *testing.T) {
	for _, mode := range []string{"away", "reset", "hang"} {
		synctest.Test(t, func(t *testing.T) {
			hosts := map[string]fake.SMTPOptions{"a.example": {}}
			if mode == "away" {
				hosts = nil
			}
			i := newInternet(t, zone{hosts: map[string]bool{"a.example": true}}, hosts)
			if mode != "away" {
				if err := i.hosts["a.example"].Set(fake.Setting{Mode: mode}); err != nil {
					t.Fatal(err)
				}
			}
			o := i.Send(t.Context(), newMail(t, letter, "ann@a.example"))[0]
			if want(t, o, relay.Temporary); o.Enhanced != "4.4.1" || o.Text == "" {
				t.Errorf("%s: %+v", mode, o)
			}
		})
	}
}

func TestADomainThatDawdlesIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nets := map[string]*pipeNet{"a.example:25": newPipeNet(), "b.example:25": newPipeNet()}
		dawdle(t, nets["a.example:25"], 0)
		good := serveSMTP(t, nets["b.example:25"], fake.SMTPOptions{})
		p, err := NewMX(MXOptions{
			Hello: "x", Resolver: zone{mx: map[string]string{"a.example": "10 a.example., 20 a.example."}, hosts: map[string]bool{"b.example": true}},
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return nets[addr].Dial(ctx, network, addr)
			},
		})
		closing(t, p, err)
		start, m := time.Now(), newMail(t, letter+strings.Repeat("And so on.\r\n", 1<<20/12), "ann@a.example", "bob@b.example")
		out := p.Send(t.Context(), m)
		want(t, out[0], relay.Temporary)
		want(t, out[1], relay.Success)
		if spent := time.Since(start); len(good.Log()) != 1 || spent > 11*time.Minute {
			t.Errorf("it took %v", spent)
		}
	})
}

func TestDomainsThatDawdleDoNotKeepAMailForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		dawdle(t, n, 0)
		z, to := zone{hosts: map[string]bool{}}, []string{}
		for i := range 100 {
			domain := fmt.Sprintf("d%d.example", i)
			z.hosts[domain] = true
			to = append(to, "ann@"+domain)
		}
		p, err := NewMX(MXOptions{Hello: "x", Resolver: z, Dial: n.Dial})
		closing(t, p, err)
		start := time.Now()
		for _, o := range p.Send(t.Context(), newMail(t, letter+strings.Repeat("And so on.\r\n", 1<<20/12), to...)) {
			want(t, o, relay.Temporary)
		}
		if spent := time.Since(start); spent > mxTime+22*time.Minute {
			t.Errorf("it took %v", spent)
		}
	})
}

func TestCloseEndsDirectDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInternet(t, zone{hosts: map[string]bool{"a.example": true}}, map[string]fake.SMTPOptions{"a.example": {}})
		want(t, i.Probe(t.Context()), relay.Success)
		if err := i.hosts["a.example"].Set(fake.Setting{Mode: "hang"}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		time.AfterFunc(time.Second, func() { _ = i.Close() })
		want(t, i.Send(t.Context(), newMail(t, letter, "ann@a.example"))[0], relay.Transport)
		want(t, i.Send(t.Context(), newMail(t, letter, "ann@a.example"))[0], relay.Transport)
		if spent := time.Since(start); spent != time.Second {
			t.Errorf("it took %v", spent)
		}
	})
}

func TestAddressesOfThisHostAreNotForMail(t *testing.T) {
	for addr, good := range map[string]bool{
		"192.0.2.1:25": true, "[2001:db8::1]:25": true, "10.0.0.1:25": true,
		"127.0.0.1:25": false, "[::1]:25": false, "[::ffff:127.0.0.1]:25": false, "0.0.0.0:25": false, "169.254.1.1:25": false, "[fe80::1%eth0]:25": false, "224.0.0.1:25": false,
	} {
		if err := outside("tcp", addr, nil); (err == nil) != good {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
