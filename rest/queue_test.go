package rest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// submit submits a message of fred to some of example.net.
func (d *depot) submit(to ...string) mailbox.MessageID {
	d.t.Helper()
	fred := mailbox.Address{Local: "fred", Domain: "example.org"}
	s := relay.Submission{Account: fred, From: fred}
	for _, local := range to {
		s.Recipients = append(s.Recipients, mailbox.Address{Local: local, Domain: "example.net"})
	}
	id, err := d.node.Submit(d.t.Context(), s, strings.NewReader("Subject: hello\r\n\r\nHello.\r\n"))
	if err != nil {
		d.t.Fatal(err)
	}
	synctest.Wait()
	return id
}

// busy makes the next hop say that it is, so that what is submitted stays.
func (d *depot) busy() {
	d.post.set(func(p *post) {
		p.result = relay.Outcome{Result: relay.Temporary, Code: 451, Enhanced: "4.2.1", Text: "come back later"}
	})
}

func TestTheQueueIsListedPageByPage(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.busy()
		id := d.submit("ann", "bob")
		d.submit("cid")
		first := decode[Queue](t, d.answerTo("GET", "/v1/queue?limit=2&domain=EXAMPLE.net&sender=example.org&age=0s", ""), http.StatusOK)
		if len(first.Data) != 2 || first.Links.Next == "" {
			t.Fatalf("%+v", first)
		}
		e := first.Data[0]
		if e.Message != id.String() || e.Number != 0 || e.Recipient != "ann@example.net" || e.Account != "fred@example.org" || e.Sender != "fred@example.org" ||
			e.Class != "normal" || e.State != "deferred" || e.Attempts != 1 || e.Service != "fixed" || e.Next == nil {
			t.Errorf("%+v", e)
		}
		if e.Result != "temporary" || e.Code != 451 || e.Enhanced != "4.2.1" || e.Text != "come back later" {
			t.Errorf("%+v", e)
		}
		second := decode[Queue](t, d.answerTo("GET", first.Links.Next, ""), http.StatusOK)
		if len(second.Data) != 1 || second.Data[0].Recipient != "cid@example.net" || second.Links.Next != "" {
			t.Errorf("%+v", second)
		}
		for _, none := range []string{"domain=example.org", "sender=example.net", "age=1h", "state=held"} {
			if q := decode[Queue](t, d.answerTo("GET", "/v1/queue?"+none, ""), http.StatusOK); len(q.Data) != 0 {
				t.Errorf("%s: %+v", none, q)
			}
		}
	})
}

func TestAFilterThatIsNoneIsAProblem(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		for query, want := range map[string]int{
			"state=lost": 422, "domain=a..b": 422, "sender=@": 422, "age=old": 422, "age=-1h": 422, "limit=0": 422, "limit=201": 422, "from=x": 400,
			"from=" + strings.Repeat("A", 70): 200, "colour=red": 422,
		} {
			if w := d.answerTo("GET", "/v1/queue?"+query, ""); w.Code != want {
				t.Errorf("%s: %d %s", query, w.Code, w.Body)
			}
		}
	})
}

func TestTheQueueIsCounted(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		stats := func() QueueStats {
			s, err := d.QueueStats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := stats(); s.Total != 0 || s.Oldest != nil || s.Age != 0 || len(s.Classes) != 3 {
			t.Errorf("%+v", s)
		}
		d.busy()
		d.submit("ann", "bob")
		time.Sleep(10 * time.Second)
		if s := stats(); s.Total != 2 || s.Oldest == nil || s.Age != 10 || s.Classes[1] != (ClassStats{Class: "normal", Deferred: 2}) {
			t.Errorf("%+v", s)
		}
	})
}

func TestAnOperatorSteersAnEntry(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.busy()
		id := d.submit("ann", "bob")
		entry := "/v1/queue/" + id.String()
		attempts := func() (n int) {
			d.post.set(func(p *post) { n = len(p.sent) })
			return n
		}
		before := attempts()
		if w := d.answerTo("POST", entry+"/0/retry", ""); w.Code != http.StatusAccepted || attempts() != before+1 {
			t.Errorf("%d %s, %d attempts after %d", w.Code, w.Body, attempts(), before)
		}
		if w := d.answerTo("POST", entry+"/1/cancel", ""); w.Code != http.StatusNoContent {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		wantProblem(t, d.answerTo("POST", entry+"/1/cancel", ""), http.StatusNotFound, "not-queued")
		wantProblem(t, d.answerTo("POST", entry+"/2/retry", ""), http.StatusNotFound, "not-queued")
		wantProblem(t, d.answerTo("POST", "/v1/queue/"+new(mailbox.MessageIDs).Next().String()+"/0/retry", ""), http.StatusNotFound, "not-queued")
		wantProblem(t, d.answerTo("POST", "/v1/queue/x/0/retry", ""), http.StatusUnprocessableEntity, "")
		wantProblem(t, d.answerTo("POST", entry+"/-1/retry", ""), http.StatusUnprocessableEntity, "")

		hold := make(chan struct{})
		d.post.set(func(p *post) { p.hold, p.result = hold, relay.Outcome{} })
		d.answerTo("POST", entry+"/0/retry", "")
		wantProblem(t, d.answerTo("POST", entry+"/0/cancel", ""), http.StatusConflict, "attempt-under-way")
		close(hold)
		synctest.Wait()
		wantProblem(t, d.answerTo("POST", entry+"/0/cancel", ""), http.StatusNotFound, "not-queued")
		if !strings.Contains(d.log.String(), "what=cancelled") {
			t.Errorf("the log does not know: %s", d.log)
		}
	})
}

func TestAnEntryIsReroutedToAServiceThatThereIs(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.busy()
		id := d.submit("ann").String()
		agent := d.as(enrolToken)
		for range 2 {
			agent.answerTo("PUT", "/v1/services/a1", document("a1"))
		}
		if err := d.Reroute(t.Context(), id, 0, "a1"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		d.post.set(func(p *post) {
			if n := len(p.sent); n < 2 || p.sent[1] != "a1" {
				t.Errorf("asked: %v", p.sent)
			}
		})
		wantProblem(t, d.answerTo("POST", "/v1/queue/"+id+"/0/reroute", `{"service":"a2"}`), http.StatusNotFound, "service-not-found")
		wantProblem(t, d.answerTo("POST", "/v1/queue/"+id+"/7/reroute", `{"service":"a1"}`), http.StatusNotFound, "not-queued")
	})
}

func TestTheMailOfADataCentreIsAdopted(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		wantProblem(t, d.answerTo("POST", "/v1/adoptions", `{"datacenter":"dc2"}`), http.StatusConflict, "no-other-datacenter")
		d = d.with(d.journal, true)
		there := d.journal.Process("dc2")
		ids := new(mailbox.MessageIDs)
		if err := there.Open(t.Context(), relay.Segment{Lane: ids.Next(), ID: ids.Next()}); err != nil {
			t.Fatal(err)
		}
		if n, err := d.Adopt(t.Context(), "dc2"); err != nil || n != 1 {
			t.Errorf("%d, %v", n, err)
		}
		if a := decode[Adopted](t, d.answerTo("POST", "/v1/adoptions", `{"datacenter":"nowhere"}`), http.StatusAccepted); a.Lanes != 0 {
			t.Errorf("%+v", a)
		}
		wantProblem(t, d.answerTo("POST", "/v1/adoptions", `{"datacenter":""}`), http.StatusUnprocessableEntity, "")
	})
}

func TestARelayThatDoesNotRunIsAProblem(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d = d.with(nil, false)
		for _, request := range []string{"GET /v1/queue", "GET /v1/queue/stats", "POST /v1/adoptions"} {
			method, path, _ := strings.Cut(request, " ")
			body := ""
			if method == "POST" {
				body = `{"datacenter":"dc2"}`
			}
			w := d.answerTo(method, path, body)
			wantProblem(t, w, http.StatusServiceUnavailable, "relay-not-running")
			if w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
	})
}

func TestTheClientSteersTheRelay(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		d.busy()
		id := d.submit("ann", "bob", "cid").String()
		var waiting []string
		for e, err := range d.Queue(context.Background(), QueueFilter{Domain: "example.net", State: "deferred", Page: 2}) {
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, e.Recipient)
		}
		if strings.Join(waiting, " ") != "ann@example.net bob@example.net cid@example.net" {
			t.Errorf("waiting: %v", waiting)
		}
		for range d.Queue(t.Context(), QueueFilter{}) {
			break // early
		}
		for _, err := range []error{d.Retry(t.Context(), id, 0), d.Cancel(t.Context(), id, 1)} {
			if err != nil {
				t.Error(err)
			}
		}
		if s, err := d.Steer(t.Context(), "fixed", "drain"); err != nil || s.State != "draining" {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := d.Steer(t.Context(), "none", "drain"); err == nil || !strings.Contains(err.Error(), "no such service") {
			t.Error(err)
		}
		if err := d.RemoveService(t.Context(), "fixed"); err == nil {
			t.Error("removed what is in the configuration")
		}
		if s, err := d.Service(t.Context(), "fixed"); err != nil || s.State != "draining" {
			t.Errorf("%+v, %v", s, err)
		}
		if e, err := d.Enrol(t.Context(), NewEnrolment{Names: "x*"}); err != nil || e.Token == "" {
			t.Errorf("%+v, %v", e, err)
		}
	})
}
