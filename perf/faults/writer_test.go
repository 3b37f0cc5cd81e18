package faults

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"restante/perf/history"
	"restante/perf/letter"
	"restante/perf/scenario"
	"restante/perf/servertest"
)

// breaks is a server that ends a connection instead of answering the n-th command of a kind,
// or at its content, and refuses the n-th of another kind.
type breaks struct {
	at, refuses string
	n           int
}

func (b breaks) serve(c *servertest.Link) {
	heard := map[string]int{}
	met := func(what, where string) bool { return what == where && heard[what] >= b.n }
	c.Say("220 fake")
	for {
		verb, _, ok := c.Hear()
		heard[verb]++
		switch {
		case !ok || met(verb, b.at):
			return
		case met(verb, b.refuses):
			c.Say("451 not now")
		case verb == "DATA":
			c.Say("354 go on")
			_, ok := c.Content()
			heard["content"]++
			switch {
			case !ok || met("content", b.at):
				return
			case met("content", b.refuses):
				c.Say("451 not now")
			default:
				c.Say("250 kept")
			}
		default:
			c.Say("250 ok")
		}
	}
}

// attempts are what a writer writes down of some attempts over one connection.
func attempts(t *testing.T, b breaks, n int, seed uint64) []history.Entry {
	t.Helper()
	target := scenario.Target{Name: "dc1-a", Datacenter: "dc1", SMTP: servertest.Listen(t, b.serve)}
	var file bytes.Buffer
	h := history.NewRecorder(&file)
	w := &writer{
		clients: newClients(Traffic{Timeout: 5 * time.Second, Sender: "sender@sender.example", Maildrops: 1}, []scenario.Target{target}, h, 1),
		targets: []scenario.Target{target}, rnd: rand.New(rand.NewPCG(seed, 1)),
	}
	for i := range n {
		w.attempt(t.Context(), w.compose.Compose(letter.ID{Run: 1, Seq: uint64(i)}, w.Sender, "fred@example.test", 300), []string{"fred@example.test"})
	}
	w.hangUp()
	return recorded(t, h, &file)
}

func TestOnlyContentThatWasBegunToBeSentMayHaveLeftACopy(t *testing.T) {
	for name, c := range map[string]struct {
		breaks breaks
		is     history.Result
		sent   bool
	}{
		"a kept connection is broken at MAIL": {breaks{at: "MAIL", n: 2}, history.Unknown, false},
		"it is broken at RCPT":                {breaks{at: "RCPT", n: 2}, history.Unknown, false},
		"it is broken at DATA":                {breaks{at: "DATA", n: 2}, history.Unknown, false},
		"it is broken after the content":      {breaks{at: "content", n: 2}, history.Unknown, true},
		"DATA is refused":                     {breaks{refuses: "DATA", n: 2}, history.Temporary, false},
		"the content is refused":              {breaks{refuses: "content", n: 2}, history.Temporary, true},
		"nothing is wrong":                    {breaks{}, history.OK, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(8) { // some of them pipeline
				two := attempts(t, c.breaks, 2, seed)
				if first := two[0]; first.Result != history.OK || !first.Sent {
					t.Errorf("the first mail: %+v", first)
				}
				if got := two[1]; got.Result != c.is || got.Sent != c.sent {
					t.Errorf("%s %q, sent %v; want %s, %v", got.Result, got.Reply, got.Sent, c.is, c.sent)
				}
			}
		})
	}
}

// A recipient is refused, and the server takes DATA all the same.
func TestAnAttemptThatIsGivenUpAtDATAHasLeftNothing(t *testing.T) {
	pipelined := false
	for seed := range uint64(8) {
		got := attempts(t, breaks{refuses: "RCPT", n: 1}, 1, seed)[0]
		pipelined = pipelined || got.Result == history.Unknown
		if got.Result == history.OK || got.Sent {
			t.Errorf("%s %q, sent %v", got.Result, got.Reply, got.Sent)
		}
	}
	if !pipelined {
		t.Error("nobody has met that")
	}
}
