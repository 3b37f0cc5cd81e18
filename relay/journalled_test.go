package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/relaytest"
)

// noContents are contents that take nothing and have nothing.
type noContents struct{ mailbox.Contents }

func (noContents) Put(context.Context, mailbox.Content, io.Reader) (int64, error) {
	return 0, mailbox.ErrUnavailable
}

func (noContents) Open(context.Context, mailbox.Message) (io.ReadCloser, error) {
	return nil, mailbox.ErrNotFound
}

func (noContents) Release(context.Context, mailbox.MaildropID, ...mailbox.Message) error {
	return mailbox.ErrUnavailable
}

func withoutContents(o *relay.Options) { o.Contents = noContents{} }

func TestAShortMessageIsInTheJournalAlone(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		id := r.submit("barney")
		synctest.Wait()
		if got := a.got(); len(got) != 1 || !got[0].taken {
			t.Fatalf("handed over: %+v", got)
		}
		if n := r.journal.Calls("Content"); n != 0 {
			t.Errorf("what has just come in was read %d times", n)
		}
		if n := r.journal.Calls("Append"); n != 3 {
			t.Errorf("%d appends for a message; want one each for accepting, trying and delivering it", n)
		}
		if !r.gone(id) {
			t.Error("the content is kept after the last event")
		}
		if n := len(r.segments()); n != 1 {
			t.Errorf("%d segments", n)
		}
	}, withoutContents)
}

func TestAShortMessageIsReadByWhoTakesItOver(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		a.down = true
		id := r.submit("barney")
		r.restart()
		r.pool.change(func() { a.down = false })
		synctest.Wait()
		if got := a.got(); len(got) != 1 || !got[0].taken || !r.gone(id) {
			t.Errorf("handed over: %+v; content gone: %v", got, r.gone(id))
		}
		if n := r.journal.Calls("Content"); n != 1+1 { // and once by this test
			t.Errorf("read %d times", n)
		}
	}, withoutContents)
}

func TestWhereAContentIsKeptIsAMatterOfItsSize(t *testing.T) {
	for octets, journalled := range map[int]bool{0: true, 1: true, relay.MaxContent: true, relay.MaxContent + 1: false, 300_000: false} {
		t.Run(fmt.Sprint(octets), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				id := r.submitThis(strings.Repeat("x", octets), relay.Submission{}, "barney")
				short, err := r.journal.Content(t.Context(), r.segments()[0], id)
				if there := err == nil; there != journalled || there && len(short) != octets {
					t.Errorf("the journal has %d octets, %v", len(short), err)
				}
				long, err := r.contents.Open(t.Context(), mailbox.Message{ID: id, Octets: int64(octets)})
				if there := err == nil; there == journalled {
					t.Errorf("it is beside the journal: %v, %v", there, err)
				}
				if err == nil {
					long.Close()
				}
				if listed := r.List(relay.Filter{}, relay.Place{}, 1); len(listed) != 1 || listed[0].Octets != int64(octets) {
					t.Errorf("listed: %+v", listed)
				}
			})
		})
	}
}

func TestAShortContentIsKeptUntilTheLastRecipientIsDone(t *testing.T) {
	for name, end := range map[string]func(r *rig, a *service, id mailbox.MessageID){
		"delivered": func(_ *rig, a *service, _ mailbox.MessageID) { a.says(relay.Success, "ok") },
		"failed":    func(_ *rig, a *service, _ mailbox.MessageID) { a.says(relay.BadRecipient, "no") },
		"expired":   func(*rig, *service, mailbox.MessageID) { time.Sleep(5 * 24 * time.Hour) },
		"cancelled": func(r *rig, _ *service, id mailbox.MessageID) {
			if err := r.Cancel(r.t.Context(), relay.EntryID{Message: id, Recipient: 1}, "wilma"); err != nil {
				r.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				a := r.pool.add("a")
				r.pool.change(func() {
					a.answer = func(_ relay.Mail, recipient int) relay.Outcome {
						return []relay.Outcome{{Result: relay.Success}, {Result: relay.Temporary}}[recipient]
					}
				})
				id := r.submit("barney", "betty")
				time.Sleep(time.Minute)
				if r.gone(id) {
					t.Fatal("gone while a recipient waits")
				}
				end(r, a, id)
				time.Sleep(20 * time.Minute)
				if !r.gone(id) {
					t.Error("kept")
				}
			}, withoutContents)
		})
	}
}

// Who wants to hear of success may be sent the content with it.
func TestTheSenderIsToldOfSuccessWithTheContent(t *testing.T) {
	told := new(readingNotifier)
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a")
		r.submitAs(relay.Submission{Notify: []relay.Notify{relay.NotifySuccess}, FullReturn: true}, "barney")
		synctest.Wait()
		if told.read != content {
			t.Errorf("the sender was sent %q", told.read)
		}
	}, withoutContents, func(o *relay.Options) { told.rig(o) })
}

// A readingNotifier reads the content that a notice is about, from the store.
type readingNotifier struct {
	read    string
	journal relay.Journal
}

func (n *readingNotifier) rig(o *relay.Options) { n.journal, o.Notifier = o.Journal, n }

func (n *readingNotifier) Notify(ctx context.Context, notice relay.Notice) error {
	lanes, err := n.journal.Lanes(ctx, "")
	if err != nil {
		return err
	}
	for _, lane := range lanes {
		segments, err := n.journal.Segments(ctx, lane)
		if err != nil {
			return err
		}
		for _, s := range segments {
			b, err := n.journal.Content(ctx, s, notice.Message)
			if err != nil {
				return err
			}
			n.read = string(b)
		}
	}
	return nil
}

func TestAShortContentThatCannotBeReadIsNoAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.pool.add("a")
		a.down = true
		id := r.submit("barney")
		r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
			if c.Name == "Content" {
				return relaytest.Hang
			}
			return nil
		})
		r.restart()
		r.pool.change(func() { a.down = false })
		time.Sleep(5 * time.Minute)
		r.journal.Inject(nil)
		r.wantEvents(id, "accepted")
		time.Sleep(2 * time.Minute)
		r.wantEvents(id, "accepted attempt delivered")
		if n := len(a.got()); n != 1 {
			t.Errorf("sent %d times", n)
		}
	}, withoutContents)
}

func TestASegmentIsFullOfOctetsToo(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		body := strings.Repeat("x", relay.MaxContent)
		for range 64 << 20 / relay.MaxContent {
			r.submitThis(body, relay.Submission{}, "barney")
		}
		if n := len(r.segments()); n != 1 {
			t.Fatalf("%d segments for 64 MiB", n)
		}
		r.submit("barney")
		if n := len(r.segments()); n != 2 {
			t.Errorf("%d segments for more", n)
		}
	}, withoutContents)
}

// What was refused, and may be in the journal with its content, must not be forgotten.
func TestNothingIsTakenWhileTooMuchIsToBeWithdrawn(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pool.add("a")
		r.submit("barney")
		synctest.Wait()
		r.journal.Inject(func(c relaytest.Call) relaytest.Fault {
			if c.Name != "Append" {
				return nil
			}
			return relaytest.Lie
		})
		submit := func() error {
			_, err := r.Submit(t.Context(), submission(relay.Submission{}, "barney"), strings.NewReader(content))
			return err
		}
		for range relay.MostToRepeat {
			if err := submit(); !errors.Is(err, mailbox.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		before := r.journal.Calls("Append")
		if err := submit(); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("Submit = %v", err)
		}
		if n := r.journal.Calls("Append") - before; n != 0 {
			t.Errorf("%d appends for what is refused unread", n)
		}
		r.journal.Inject(nil)
		time.Sleep(time.Minute)
		if err := submit(); err != nil {
			t.Error(err)
		}
		r.restart()
		time.Sleep(time.Hour)
		if n := len(r.pool.services[0].got()); n != 2 {
			t.Errorf("%d were sent; want the two that were accepted", n)
		}
	}, withoutContents)
}
