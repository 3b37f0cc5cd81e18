package wire

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

var hello = Mail{From: "a@example.test", To: []string{"b@example.test"}, Data: []byte("Subject: x\r\n\r\n..dot\r\n.\r\n")}

func dialSMTP(t *testing.T, lmtp bool, script string) *SMTP {
	t.Helper()
	s, err := DialSMTP(context.Background(), serve(t, script), lmtp, quick)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAMailWaitsForEveryAnswerUnlessPipelined(t *testing.T) {
	s := dialSMTP(t, false, `
S: 220 ready
C: EHLO perf.example
S+ 250-fake
S: 250 PIPELINING
C: MAIL FROM:<a@example.test>
S: 250 ok
C: RCPT TO:<b@example.test>
S: 250 ok
C: DATA
S: 354 go on
C: Subject: x
C: 
C: ..dot
C: .
S: 250 kept
C: QUIT
S: 221 bye
`)
	if !s.Pipelining() {
		t.Error("PIPELINING was not seen")
	}
	if err := s.Send(hello, false); err != nil {
		t.Error(err)
	}
	if err := s.Quit(); err != nil {
		t.Error(err)
	}
}

func TestAPipelinedEnvelopeNeedsNoAnswerUntilDATA(t *testing.T) {
	s := dialSMTP(t, false, `
S: 220 ready
C: EHLO perf.example
S: 250 fake
C: MAIL FROM:<a@example.test>
C: RCPT TO:<b@example.test>
C: DATA
S+ 250 ok
S+ 250 ok
S: 354 go on
C: Subject: x
C: 
C: ..dot
C: .
S: 250 kept
`)
	if s.Pipelining() {
		t.Error("PIPELINING was not offered")
	}
	if err := s.Send(hello, true); err != nil {
		t.Error(err)
	}
}

func TestALoginIsOneCommand(t *testing.T) {
	s := dialSMTP(t, false, `
S: 220 ready
C: EHLO perf.example
S: 250 fake
C: AUTH PLAIN AGFubgBzZWNyZXQ=
S: 235 welcome
C: AUTH PLAIN AGFubgB3cm9uZw==
S: 535 who?
`)
	if err := s.Login("ann", "secret"); err != nil {
		t.Error(err)
	}
	var refused *ReplyError
	if err := s.Login("ann", "wrong"); !errors.As(err, &refused) {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestLMTPTakesOneAnswerForEachRecipient(t *testing.T) {
	s := dialSMTP(t, true, `
S: 220 ready
C: LHLO perf.example
S: 250 fake
C: MAIL FROM:<a@example.test>
C: RCPT TO:<b@example.test>
C: RCPT TO:<c@example.test>
C: DATA
S+ 250 ok
S+ 250 ok
S+ 250 ok
S: 354 go on
C: .
S: 250 b has it
S: 452 c is full
C: QUIT
S: 221 bye
`)
	err := s.Send(Mail{From: hello.From, To: []string{"b@example.test", "c@example.test"}, Data: []byte(".\r\n")}, true)
	var refused *ReplyError
	if !errors.As(err, &refused) || !strings.Contains(refused.Reply, "452") {
		t.Errorf("the second recipient's answer became %v", err)
	}
	if err := s.Quit(); err != nil {
		t.Error("out of step:", err)
	}
}

func TestARefusedRecipientLeavesTheConnectionReady(t *testing.T) {
	for name, pipelined := range map[string]bool{"pipelined": true, "step by step": false} {
		t.Run(name, func(t *testing.T) {
			script := `
S: 220 ready
C: EHLO perf.example
S: 250 fake
C: MAIL FROM:<a@example.test>
S: 250 ok
C: RCPT TO:<b@example.test>
S: 550 5.1.1 unknown
C: RSET
S: 250 ok
C: QUIT
S: 221 bye
`
			if pipelined {
				script = strings.Replace(script, "C: RSET", "C: DATA\nS: 503 no recipients\nC: RSET", 1)
			}
			s := dialSMTP(t, false, script)
			var refused *ReplyError
			if err := s.Send(hello, pipelined); !errors.As(err, &refused) || !strings.Contains(refused.Reply, "5.1.1") {
				t.Errorf("the refusal became %v", err)
			}
			if err := s.Quit(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEveryStepThatSucceedsIsTold(t *testing.T) {
	for _, pipelined := range []bool{false, true} {
		s := dialSMTP(t, false, `
S: 220 ready
C: EHLO perf.example
S: 250 fake
C: MAIL FROM:<a@example.test>
S: 250 ok
C: RCPT TO:<b@example.test>
S: 250 ok
C: DATA
S: 354 go on
C: Subject: x
C: 
C: ..dot
C: .
S: 250 kept
C: MAIL FROM:<a@example.test>
S: 250 ok
C: RCPT TO:<b@example.test>
S: 250 ok
C: DATA
S: 354 go on
C: .
S: 451 not now
C: QUIT
S: 221 bye
`)
		var steps []Step
		m := hello
		m.Answered = func(step Step) { steps = append(steps, step) }
		if err := s.Send(m, pipelined); err != nil {
			t.Error(err)
		}
		m.Data = []byte(".\r\n")
		if err := s.Send(m, pipelined); err == nil {
			t.Error("a refusal is lost")
		}
		if want := []Step{Envelope, Data, Content, Envelope, Data}; !slices.Equal(steps, want) {
			t.Errorf("pipelined %v: told %v, not %v", pipelined, steps, want)
		}
		if err := s.Quit(); err != nil {
			t.Error(err)
		}
	}
}

func TestDATAThatIsAcceptedAfterARefusalEndsTheConnection(t *testing.T) {
	s := dialSMTP(t, false, `
S: 220 ready
C: EHLO perf.example
S: 250 fake
C: MAIL FROM:<a@example.test>
C: RCPT TO:<b@example.test>
C: DATA
S+ 250 ok
S+ 550 unknown
S: 354 go on
`)
	var refused *ReplyError
	if err := s.Send(hello, true); err == nil || errors.As(err, &refused) {
		t.Errorf("the error is %v, which looks as if the connection were in step", err)
	}
}

func TestADroppedConnectionIsNotAReply(t *testing.T) {
	s := dialSMTP(t, false, `
S: 220 ready
C: EHLO perf.example
S: 250 fake
C: MAIL FROM:<a@example.test>
`)
	var refused *ReplyError
	if err := s.Send(hello, false); err == nil || errors.As(err, &refused) {
		t.Errorf("the error is %v", err)
	}
}

func TestWhatIsNotSMTPIsRefused(t *testing.T) {
	for _, greeting := range []string{"+OK POP3", "22", "554 go away", strings.Repeat("2", 20_000)} {
		s, err := DialSMTP(context.Background(), serve(t, "S: "+greeting), false, quick)
		if err == nil {
			t.Errorf("%.20q is taken for a greeting", greeting)
			_ = s.Close()
		}
	}
}
