package mailbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// sizes of messages: one that fits in a write, and one of several parts.
var sizes = map[string]int{"small": 200, "of several parts": 130 << 10}

func memory(*testing.T) mailboxtest.Stores { return mailboxtest.Memory() }

// recipients are the first n people of example.org.
func recipients(n int) mailbox.Envelope {
	var env mailbox.Envelope
	for i := range n {
		a := mailbox.Address{Local: fmt.Sprintf("user%d", i), Domain: "example.org"}
		env.Recipients = append(env.Recipients, mailbox.Recipient{Address: a, Maildrop: mailbox.MaildropOf(a, 1)})
	}
	return env
}

// listed is what a maildrop lists. Each of it can be read and is the content.
func listed(t *testing.T, stores mailboxtest.Stores, drop mailbox.MaildropID, content []byte) []mailbox.Message {
	t.Helper()
	list, err := stores.Maildrops.List(t.Context(), drop)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		r, err := stores.Contents.Open(t.Context(), m)
		if err != nil {
			t.Errorf("%s is listed and cannot be opened: %v", m.ID, err)
			continue
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, content) || m.Octets != int64(len(content)) {
			t.Errorf("%s is listed with %d octets and reads as %d, %v; want %d", m.ID, m.Octets, len(got), err, len(content))
		}
	}
	return list
}

// watch checks before every call that whatever is listed can be read.
func watch(t *testing.T, f *mailboxtest.FaultyStores, env mailbox.Envelope, content []byte) mailboxtest.Stores {
	return mailboxtest.Faulty(f.Stores, func(int, string) mailboxtest.Fault {
		for _, r := range env.Recipients {
			listed(t, f.Intact, r.Maildrop, content)
		}
		return nil
	}).Stores
}

func TestADeliveryIsTwoWritesHoweverManyReceiveIt(t *testing.T) {
	for _, n := range []int{1, 100} {
		f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
		env, content := recipients(n), mailboxtest.Message(200)
		m, err := f.Deliveries().Deliver(t.Context(), env, bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"Contents.Put", "Maildrops.Add"}; !slices.Equal(f.Calls(), want) {
			t.Errorf("for %d recipients the calls are %v; want %v", n, f.Calls(), want)
		}
		for _, r := range env.Recipients {
			if list := listed(t, f.Intact, r.Maildrop, content); !slices.Equal(list, []mailbox.Message{m}) {
				t.Errorf("%s has %v; want %v", r.Address, list, m)
			}
		}
	}
}

// temporaryRecipient is somebody for a while.
func temporaryRecipient() mailbox.Recipient {
	a := mailbox.Address{Local: "fred", Domain: "temp.example.org"}
	return mailbox.Recipient{Address: a, Maildrop: mailbox.TemporaryMaildropOf(a, 1), Expires: time.Now().Add(time.Hour)}
}

func TestAShortDeliveryIsOneWrite(t *testing.T) {
	put, listedOnly := []string{"Contents.Put", "Maildrops.Add"}, []string{"Maildrops.Add"}
	temporary, stays := temporaryRecipient(), recipients(1).Recipients[0]
	for name, c := range map[string]struct {
		to     mailbox.Recipient
		octets int
		want   []string
	}{
		"a little":                 {temporary, 200, listedOnly},
		"an octet":                 {temporary, 1, listedOnly},
		"the most":                 {temporary, mailbox.MaxInline, listedOnly},
		"more than the most":       {temporary, mailbox.MaxInline + 1, put},
		"nothing":                  {temporary, 0, put},
		"to a maildrop that stays": {stays, 200, put},
	} {
		t.Run(name, func(t *testing.T) {
			f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
			content := mailboxtest.Message(c.octets)
			m, err := f.Deliveries().DeliverShort(t.Context(), c.to, content)
			if err != nil || !slices.Equal(f.Calls(), c.want) {
				t.Errorf("%v takes %v; want %v", err, f.Calls(), c.want)
			}
			list := listed(t, f.Intact, c.to.Maildrop, content)
			if len(list) != 1 || list[0].ID != m.ID || !list[0].Expires.Equal(m.Expires) || list[0].Recipients != m.Recipients {
				t.Errorf("listed are %v; want %v", list, m)
			}
			if inline := list[0].Inline != ""; inline != (len(c.want) == 1) || m.Inline != "" {
				t.Errorf("that the content is listed is %v, and %d octets are returned", inline, len(m.Inline))
			}
		})
	}
}

func TestAStoreMayListTheContentOfWhatOneRecipientKeeps(t *testing.T) {
	const most = 5000
	put, listedOnly := []string{"Contents.Put", "Maildrops.Add"}, []string{"Maildrops.Add"}
	keeps, ends := recipients(1), recipients(1)
	ends.Recipients[0].Expires = time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		to     mailbox.Envelope
		octets int
		want   []string
	}{
		"an octet":                {keeps, 1, listedOnly},
		"the most":                {keeps, most, listedOnly},
		"more than the most":      {keeps, most + 1, put},
		"much more":               {keeps, 1 << 20, put},
		"nothing":                 {keeps, 0, put},
		"for two":                 {recipients(2), 200, put},
		"for a temporary address": {mailbox.Envelope{Recipients: []mailbox.Recipient{temporaryRecipient()}}, 200, put},
		"what expires":            {ends, 200, put},
	} {
		t.Run(name, func(t *testing.T) {
			f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
			d := f.Deliveries()
			d.MaxInline = most
			content := mailboxtest.Message(c.octets)
			m, err := d.Deliver(t.Context(), c.to, iotest.HalfReader(bytes.NewReader(content)))
			if err != nil || !slices.Equal(f.Calls(), c.want) || m.Octets != int64(c.octets) {
				t.Errorf("%v, %v takes %v; want %v", m, err, f.Calls(), c.want)
			}
			for _, r := range c.to.Recipients {
				list := listed(t, f.Intact, r.Maildrop, content)
				if len(list) != 1 || list[0].ID != m.ID || list[0].Recipients != m.Recipients {
					t.Errorf("listed are %v; want %v", list, m)
				}
			}
		})
	}
	for _, octets := range []int{0, 100, most, most + 1, 3 * most} {
		f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
		d := f.Deliveries()
		d.MaxInline = most
		broken := errors.New("the connection broke")
		content := io.MultiReader(bytes.NewReader(mailboxtest.Message(octets)), iotest.ErrReader(broken))
		if _, err := d.Deliver(t.Context(), keeps, content); !errors.Is(err, broken) || slices.Contains(f.Calls(), "Maildrops.Add") {
			t.Errorf("what breaks off after %d octets: %v, %v", octets, err, f.Calls())
		}
	}
}

// Whatever goes wrong in a short delivery: nil means listed once and open to read, an
// error that it is not there, unless the store did not let it be withdrawn.
func TestAShortDeliveryKeepsItsPromiseWhicheverCallGoesWrong(t *testing.T) {
	mailboxtest.EveryCall(t, memory, func(t *testing.T, f *mailboxtest.FaultyStores) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			to, content := temporaryRecipient(), mailboxtest.Message(200)
			m, err := f.Deliveries().DeliverShort(ctx, to, content)
			list := listed(t, f.Intact, to.Maildrop, content)
			removed := slices.Contains(f.Calls(), "Contents.Release") // which comes after the line was removed
			switch {
			case err == nil && (len(list) != 1 || list[0].ID != m.ID):
				t.Errorf("delivered as %v; listed are %v", m, list)
			case err != nil && !errors.Is(err, mailbox.ErrUnavailable):
				t.Errorf("DeliverShort = %v; want ErrUnavailable", err)
			case err != nil && len(list) != 0 && removed:
				t.Errorf("refused, and listed are %v", list)
			}
		})
	})
}

func TestWhoHearsOfAShortDeliveryIsNotGivenItsContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := mailboxtest.Memory().Deliveries()
		d.Announce = mailbox.NewAnnouncements(slog.New(slog.DiscardHandler))
		heard := make(chan mailbox.Event, 1)
		d.Announce.Listen("test", mailbox.ListenerFunc(func(_ context.Context, ev mailbox.Event) error {
			heard <- ev
			return nil
		}), nil)
		d.Announce.Start()
		defer d.Announce.Stop()
		to := temporaryRecipient()
		m, err := d.DeliverShort(t.Context(), to, mailboxtest.Message(200))
		if err != nil {
			t.Fatal(err)
		}
		ev := (<-heard).(mailbox.Delivered)
		if !slices.Equal(ev.Entries, []mailbox.Entry{{Maildrop: to.Maildrop, Message: m}}) || !slices.Equal(ev.Recipients, []mailbox.Recipient{to}) {
			t.Errorf("heard of %v; want %v", ev, m)
		}
	})
}

// A recorder keeps what Put was told.
type recorder struct {
	mailbox.Contents
	put []mailbox.Content
}

func (s *recorder) Put(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
	s.put = append(s.put, c)
	return s.Contents.Put(ctx, c, r)
}

// record makes the contents of stores keep what Put was told.
func record(stores *mailboxtest.Stores) *recorder {
	r := &recorder{Contents: stores.Contents}
	stores.Contents = r
	return r
}

func TestARecipientNamedTwiceReceivesOnce(t *testing.T) {
	stores := mailboxtest.Memory()
	contents := record(&stores)
	env, content := recipients(2), mailboxtest.Message(200)
	env.Recipients = append(env.Recipients, env.Recipients[1], env.Recipients[0])
	m, err := stores.Deliveries().Deliver(t.Context(), env, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(contents.put[0].Maildrops); n != 2 {
		t.Errorf("the content is kept for %d maildrops; want 2", n)
	}
	for _, r := range env.Recipients[:2] {
		if list := listed(t, stores, r.Maildrop, content); len(list) != 1 {
			t.Errorf("%s has %v; want one message", r.Address, list)
		}
		if err := stores.Deliveries().Expunge(t.Context(), r.Maildrop, m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stores.Contents.Open(t.Context(), m); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("both have removed it, and opening it gives %v; want not found", err)
	}
}

func TestADeliveryToNobodyFailsBeforeAnythingIsRead(t *testing.T) {
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
	_, err := f.Deliveries().Deliver(t.Context(), mailbox.Envelope{}, iotest.ErrReader(errors.New("read")))
	if !errors.Is(err, mailbox.ErrNotFound) || len(f.Calls()) != 0 {
		t.Errorf("Deliver = %v after %v; want ErrNotFound and no call", err, f.Calls())
	}
}

func TestAClientThatBreaksOffDeliversNothing(t *testing.T) {
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
	broken, env := errors.New("connection lost"), recipients(2)
	content := io.MultiReader(bytes.NewReader(mailboxtest.Message(300<<10)), iotest.ErrReader(broken))
	if _, err := f.Deliveries().Deliver(t.Context(), env, content); !errors.Is(err, broken) {
		t.Errorf("Deliver = %v; want the reader's error wrapped", err)
	}
	if want := []string{"Contents.Put"}; !slices.Equal(f.Calls(), want) {
		t.Errorf("the calls are %v; want %v", f.Calls(), want)
	}
	for _, r := range env.Recipients {
		if list := listed(t, f.Intact, r.Maildrop, nil); len(list) != 0 {
			t.Errorf("%s has %v; want nothing", r.Address, list)
		}
	}
}

func TestContentLivesAsLongAsTheLastRecipient(t *testing.T) {
	soon, later := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	for name, c := range map[string]struct {
		recipients []time.Time
		want       time.Time
	}{
		"one that stays":            {[]time.Time{{}}, time.Time{}},
		"one that ends":             {[]time.Time{soon}, soon},
		"the later of two":          {[]time.Time{soon, later}, later},
		"the earlier named last":    {[]time.Time{later, soon}, later},
		"one that stays comes last": {[]time.Time{soon, later, {}}, time.Time{}},
		"one that stays is first":   {[]time.Time{{}, soon, later}, time.Time{}},
		"one that stays between":    {[]time.Time{later, {}, soon}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			stores := mailboxtest.Memory()
			contents := record(&stores)
			env := recipients(len(c.recipients))
			for i, at := range c.recipients {
				env.Recipients[i].Expires = at
			}
			content := mailboxtest.Message(200)
			m, err := stores.Deliveries().Deliver(t.Context(), env, bytes.NewReader(content))
			if err != nil || !m.Expires.Equal(c.want) || len(contents.put) != 1 || !contents.put[0].Expires.Equal(c.want) {
				t.Errorf("delivered %v, %v; content put is %v; want it to expire %v", m, err, contents.put, c.want)
			}
			for i, r := range env.Recipients {
				if list := listed(t, stores, r.Maildrop, content); len(list) != 1 || !list[0].Expires.Equal(c.recipients[i]) {
					t.Errorf("recipient %d has %v; want it until %v", i, list, c.recipients[i])
				}
			}
		})
	}
}

// Whatever goes wrong in a delivery: nil means listed and readable for everyone;
// an error means that the client may repeat, after which everyone has the
// message at least once and at most twice. At no time is something listed that
// cannot be read.
func TestADeliveryKeepsItsPromiseWhicheverCallGoesWrong(t *testing.T) {
	for name, size := range sizes {
		for _, n := range []int{1, 3} {
			env, content := recipients(n), mailboxtest.Message(size)
			t.Run(fmt.Sprintf("%s, %d recipients", name, n), func(t *testing.T) {
				mailboxtest.EveryCall(t, memory, func(t *testing.T, f *mailboxtest.FaultyStores) {
					synctest.Test(t, func(t *testing.T) {
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						defer cancel()
						stores := watch(t, f, env, content)
						m, err := stores.Deliveries().Deliver(ctx, env, bytes.NewReader(content))
						afterDelivery(t, f.Intact, env, content, m, err)
					})
				})
			})
		}
	}
}

// afterDelivery checks what holds when Deliver returned m and err.
func afterDelivery(t *testing.T, stores mailboxtest.Stores, env mailbox.Envelope, content []byte, m mailbox.Message, err error) {
	t.Helper()
	if err == nil {
		for _, r := range env.Recipients {
			if list := listed(t, stores, r.Maildrop, content); !slices.Equal(list, []mailbox.Message{m}) {
				t.Errorf("delivered, and %s has %v; want %v", r.Address, list, m)
			}
		}
		return
	}
	if m != (mailbox.Message{}) {
		t.Errorf("Deliver = %v with an error", m)
	}
	for _, r := range env.Recipients {
		listed(t, stores, r.Maildrop, content)
	}
	if _, err := stores.Deliveries().Deliver(t.Context(), env, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	for _, r := range env.Recipients {
		if list := listed(t, stores, r.Maildrop, content); len(list) < 1 || len(list) > 2 {
			t.Errorf("repeated, and %s has %d messages; want one, at most two", r.Address, len(list))
		}
	}
}

func TestAClientThatGoesAwayInAnyCallLosesNothing(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5} { // put, add, and what takes it back
		for name, fault := range map[string]func(context.CancelFunc) mailboxtest.Fault{
			"before": func(cancel context.CancelFunc) mailboxtest.Fault {
				return func(ctx context.Context, c mailboxtest.Call) error { cancel(); return c.Do(ctx) }
			},
			"after": func(cancel context.CancelFunc) mailboxtest.Fault {
				return func(ctx context.Context, c mailboxtest.Call) error { defer cancel(); return c.Do(ctx) }
			},
			"after, and it is reported failed": func(cancel context.CancelFunc) mailboxtest.Fault {
				return func(ctx context.Context, c mailboxtest.Call) error { defer cancel(); return mailboxtest.Lie(ctx, c) }
			},
		} {
			t.Run(fmt.Sprintf("%s call %d", name, n), func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				env, content := recipients(3), mailboxtest.Message(130<<10)
				f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Nth(n, fault(cancel)))
				stores := watch(t, f, env, content)
				m, err := stores.Deliveries().Deliver(ctx, env, bytes.NewReader(content))
				afterDelivery(t, f.Intact, env, content, m, err)
			})
		}
	}
}

func TestADeliveryWhoseListingFailedIsTakenBack(t *testing.T) {
	for name, fault := range map[string]mailboxtest.Fault{
		"was not done": mailboxtest.Fail, "was done": mailboxtest.Lie, "was half done": mailboxtest.Halve, "hung": mailboxtest.Hang,
	} {
		t.Run("it "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Nth(2, fault))
				contents := record(&f.Stores)
				env, content := recipients(3), mailboxtest.Message(200)
				if _, err := f.Deliveries().Deliver(ctx, env, bytes.NewReader(content)); !errors.Is(err, mailbox.ErrUnavailable) {
					t.Fatalf("Deliver = %v; want ErrUnavailable", err)
				}
				for _, r := range env.Recipients {
					if list := listed(t, f.Intact, r.Maildrop, content); len(list) != 0 {
						t.Errorf("%s has %v; the repeat will arrive beside it", r.Address, list)
					}
				}
				if _, err := f.Intact.Contents.Open(t.Context(), mailbox.Message{ID: contents.put[0].ID}); !errors.Is(err, mailbox.ErrNotFound) {
					t.Errorf("its content is left behind: %v", err)
				}
			})
		})
	}
}

func TestADeliveryUnderAGivenIDMayBeRepeatedWhateverBecameOfIt(t *testing.T) {
	for name, fault := range map[string]mailboxtest.Fault{
		"was not done": mailboxtest.Fail, "was done": mailboxtest.Lie, "was half done": mailboxtest.Halve,
	} {
		for call := 1; call <= 5; call++ { // put and add, twice; in the end nothing fails
			t.Run(fmt.Sprintf("call %d %s", call, name), func(t *testing.T) {
				f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Nth(call, fault))
				env, content := recipients(2), []byte(nil)
				d, id := f.Deliveries(), new(mailbox.MessageIDs).Next()
				for try := range 4 {
					content = mailboxtest.Message(200 + try) // as long as it took
					if m, err := d.DeliverAs(t.Context(), id, env, bytes.NewReader(content)); err == nil && m.ID != id {
						t.Errorf("delivered as %s; want %s", m.ID, id)
					}
				}
				for _, r := range env.Recipients {
					if list := listed(t, f.Intact, r.Maildrop, content); len(list) != 1 || list[0].ID != id {
						t.Errorf("%s has %v; want %s, once", r.Address, list, id)
					}
				}
			})
		}
	}
}

func TestADeliveryEndsSoonAfterItsContextThoughTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.From(2, mailboxtest.Hang))
		begin := time.Now()
		_, err := f.Deliveries().Deliver(ctx, recipients(100), bytes.NewReader(mailboxtest.Message(200)))
		if took := time.Since(begin); !errors.Is(err, mailbox.ErrUnavailable) || took > time.Minute+5*time.Second {
			t.Errorf("Deliver = %v after %v; want ErrUnavailable within 5 s of the minute", err, took)
		}
	})
}

func TestADeliveryThatTakesTooLongIsRefused(t *testing.T) {
	for name, inline := range map[string]int{"put": 0, "listed with its content": 5000} {
		t.Run(name, func(t *testing.T) { tooLongIsRefused(t, mailboxtest.Memory(), inline) })
	}
	t.Run("put in a store that only reads", func(t *testing.T) {
		stores := mailboxtest.Memory()
		stores.Contents = patientContents{stores.Contents}
		tooLongIsRefused(t, stores, 0)
	})
}

// patientContents do not look at the context of a Put.
type patientContents struct{ mailbox.Contents }

func (p patientContents) Put(ctx context.Context, c mailbox.Content, r io.Reader) (int64, error) {
	return p.Contents.Put(context.WithoutCancel(ctx), c, r)
}

func tooLongIsRefused(t *testing.T, stores mailboxtest.Stores, inline int) {
	synctest.Test(t, func(t *testing.T) {
		d := stores.Deliveries()
		d.MaxInline = inline
		env := recipients(1)
		begin := time.Now()
		drip := io.LimitReader(readerFunc(func(p []byte) (int, error) {
			time.Sleep(time.Minute)
			p[0] = 'x'
			return 1, nil
		}), 24*60)
		_, err := d.Deliver(t.Context(), env, drip)
		if took := time.Since(begin); !errors.Is(err, mailbox.ErrUnavailable) || took > mailbox.DeliverTimeout+2*time.Minute {
			t.Errorf("Deliver = %v after %v; want ErrUnavailable after %v", err, took, mailbox.DeliverTimeout)
		}
		if list := listed(t, stores, env.Recipients[0].Maildrop, nil); len(list) != 0 {
			t.Errorf("listed are %v", list)
		}
	})
}

func TestARefusedMessageThatIsPerhapsListedIsLogged(t *testing.T) {
	var log bytes.Buffer
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.From(2, mailboxtest.Lie))
	d := f.Deliveries()
	d.Log = slog.New(slog.NewTextHandler(&log, nil))
	if _, err := d.Deliver(t.Context(), recipients(1), bytes.NewReader(mailboxtest.Message(200))); err == nil {
		t.Fatal("Deliver succeeded")
	}
	drop := recipients(1).Recipients[0].Maildrop
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "maildrop="+drop.String()) {
		t.Errorf("the log says %q; want a warning with the maildrop", log.String())
	}
}

func TestWhatCannotBeWithdrawnAtOnceIsWithdrawnLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		f := mailboxtest.Faulty(mailboxtest.Memory(), func(n int, name string) mailboxtest.Fault {
			if n > 1 && away.Load() {
				return func(ctx context.Context, c mailboxtest.Call) error {
					if c.Name == "Maildrops.Add" {
						return mailboxtest.Lie(ctx, c)
					}
					return mailboxtest.Hang(ctx, c)
				}
			}
			return nil
		})
		contents := record(&f.Stores)
		d := f.Deliveries()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { d.Withdraw(ctx) })
		synctest.Wait()

		env, content := recipients(3), mailboxtest.Message(200)
		if _, err := d.Deliver(t.Context(), env, bytes.NewReader(content)); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Fatalf("Deliver = %v; want ErrUnavailable", err)
		}
		if list := listed(t, f.Intact, env.Recipients[0].Maildrop, content); len(list) != 1 {
			t.Fatalf("%d messages are listed; the test wants the store to have kept it", len(list))
		}
		time.Sleep(time.Minute)
		away.Store(false)
		time.Sleep(10 * time.Second)
		for _, r := range env.Recipients {
			if list := listed(t, f.Intact, r.Maildrop, content); len(list) != 0 {
				t.Errorf("%s still has %v; the repeat will arrive beside it", r.Address, list)
			}
		}
		if _, err := f.Intact.Contents.Open(t.Context(), mailbox.Message{ID: contents.put[0].ID}); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("its content is left behind: %v", err)
		}
		cancel()
		running.Wait()
	})
}

// A maildrop may be out of reach for longer than the others.
func TestWhatCannotBeWithdrawnIsNotInTheWayOfTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env, content := recipients(300), mailboxtest.Message(200)
		stores := mailboxtest.Memory()
		intact := stores
		refusals := &refusingMaildrops{Maildrops: stores.Maildrops, refuses: func(mailbox.MaildropID) bool { return true }}
		stores.Maildrops = refusals
		d := stores.Deliveries()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { d.Withdraw(ctx) })
		synctest.Wait()
		if _, err := d.Deliver(t.Context(), env, bytes.NewReader(content)); err == nil {
			t.Fatal("Deliver succeeded")
		}
		away := env.Recipients[:200]
		refusals.set(func(drop mailbox.MaildropID) bool {
			return slices.ContainsFunc(away, func(r mailbox.Recipient) bool { return r.Maildrop == drop })
		})
		time.Sleep(10 * time.Second)
		for i, r := range env.Recipients {
			if n := len(listed(t, intact, r.Maildrop, content)); n == 1 != (i < len(away)) {
				t.Errorf("%s has %d messages", r.Address, n)
			}
		}
		refusals.set(func(mailbox.MaildropID) bool { return false })
		time.Sleep(10 * time.Second)
		for _, r := range away {
			if n := len(listed(t, intact, r.Maildrop, content)); n != 0 {
				t.Errorf("%s still has %d messages", r.Address, n)
			}
		}
		cancel()
		running.Wait()
	})
}

// refusingMaildrops add everything and say that they did not, and remove nothing from
// some maildrops.
type refusingMaildrops struct {
	mailbox.Maildrops
	mu      sync.Mutex
	refuses func(mailbox.MaildropID) bool
}

func (r *refusingMaildrops) set(refuses func(mailbox.MaildropID) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuses = refuses
}

func (r *refusingMaildrops) Add(ctx context.Context, entries []mailbox.Entry) error {
	return errors.Join(mailbox.ErrUnavailable, r.Maildrops.Add(ctx, entries))
}

func (r *refusingMaildrops) Remove(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuses(drop) {
		return mailbox.ErrUnavailable
	}
	return r.Maildrops.Remove(ctx, drop, messages...)
}

func TestWhatWithdrawRemembersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := mailboxtest.Faulty(mailboxtest.Memory(), func(n int, name string) mailboxtest.Fault {
			if name == "Contents.Put" {
				return nil
			}
			return mailboxtest.Fail
		})
		d := f.Deliveries()
		d.Log = slog.New(slog.NewTextHandler(&log, nil))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { d.Withdraw(ctx) })
		synctest.Wait()
		env := recipients(1001)
		for range 10 {
			if _, err := d.Deliver(t.Context(), env, bytes.NewReader(mailboxtest.Message(200))); err == nil {
				t.Fatal("Deliver succeeded")
			}
		}
		cancel()
		running.Wait()
		if again := strings.Count(log.String(), "again=true"); again != 10_000 {
			t.Errorf("%d lines are to be withdrawn later; want 10000", again)
		}
		if !strings.Contains(log.String(), "messages=10000") {
			t.Error("the log does not say how many are left at the end")
		}
	})
}

// Whatever goes wrong in a removal: nil means that none is listed; an error
// means that those still listed can be read and that it may be repeated. The
// other maildrop keeps its copy, and nothing removed comes back.
func TestARemovalKeepsItsPromiseWhicheverCallGoesWrong(t *testing.T) {
	for name, size := range sizes {
		for _, n := range []int{1, 2} {
			env, content := recipients(n), mailboxtest.Message(size)
			t.Run(fmt.Sprintf("%s, %d recipients", name, n), func(t *testing.T) {
				open := func(t *testing.T) mailboxtest.Stores {
					stores := mailboxtest.Memory()
					deliver(t, stores, env, content, 4)
					return stores
				}
				mailboxtest.EveryCall(t, open, func(t *testing.T, f *mailboxtest.FaultyStores) {
					synctest.Test(t, func(t *testing.T) {
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						defer cancel()
						stores, drop := watch(t, f, env, content), env.Recipients[0].Maildrop
						before := listed(t, f.Intact, drop, content)
						err := stores.Deliveries().Expunge(ctx, drop, before[:3]...)
						afterRemoval(t, f.Intact, env, content, before, err)
					})
				})
			})
		}
	}
}

// deliver puts so many messages into every maildrop.
func deliver(t *testing.T, stores mailboxtest.Stores, env mailbox.Envelope, content []byte, messages int) {
	t.Helper()
	d := stores.Deliveries()
	for range messages {
		if _, err := d.Deliver(t.Context(), env, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
}

// afterRemoval checks what holds when the removal of the first three messages
// of the first maildrop returned err.
func afterRemoval(t *testing.T, stores mailboxtest.Stores, env mailbox.Envelope, content []byte, before []mailbox.Message, err error) {
	t.Helper()
	drop, rest := env.Recipients[0].Maildrop, before[3:]
	if list := listed(t, stores, drop, content); err == nil && !slices.Equal(list, rest) {
		t.Errorf("removed, and listed are %v; want %v", list, rest)
	}
	if err := stores.Deliveries().Expunge(t.Context(), drop, before[:3]...); err != nil {
		t.Fatal(err)
	}
	for _, m := range before {
		if err := stores.Maildrops.Add(t.Context(), []mailbox.Entry{{Maildrop: drop, Message: m}}); err != nil {
			t.Fatal(err)
		}
	}
	if list := listed(t, stores, drop, content); !slices.Equal(list, rest) {
		t.Errorf("removed again and added late, and listed are %v; want %v", list, rest)
	}
	for _, r := range env.Recipients[1:] {
		if list := listed(t, stores, r.Maildrop, content); !slices.Equal(list, before) {
			t.Errorf("%s has %v; want all %v", r.Address, list, before)
		}
	}
}

func TestARemovalOfNothingAsksNobody(t *testing.T) {
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
	if err := f.Deliveries().Expunge(t.Context(), mailbox.MaildropID{1}); err != nil || len(f.Calls()) != 0 {
		t.Errorf("Expunge = %v after %v; want no call", err, f.Calls())
	}
}

func TestContentGoesAfterTheListing(t *testing.T) {
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
	env, content := recipients(1), mailboxtest.Message(200)
	deliver(t, f.Intact, env, content, 100)
	drop := env.Recipients[0].Maildrop
	list := listed(t, f.Intact, drop, content)
	if err := f.Deliveries().Expunge(t.Context(), drop, list...); err != nil {
		t.Fatal(err)
	}
	if want := []string{"Maildrops.Remove", "Contents.Release"}; !slices.Equal(f.Calls(), want) {
		t.Errorf("the calls for %d messages are %v; want %v", len(list), f.Calls(), want)
	}
	for _, m := range list {
		if _, err := f.Intact.Contents.Open(t.Context(), m); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("the content of %s is left: %v", m.ID, err)
		}
	}
}

func TestContentThatCouldNotBeReleasedIsLoggedAndNotAnError(t *testing.T) {
	var log bytes.Buffer
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Nth(2, mailboxtest.Fail))
	env, content := recipients(1), mailboxtest.Message(200)
	deliver(t, f.Intact, env, content, 2)
	drop := env.Recipients[0].Maildrop
	d := f.Deliveries()
	d.Log = slog.New(slog.NewTextHandler(&log, nil))
	if err := d.Expunge(t.Context(), drop, listed(t, f.Intact, drop, content)...); err != nil {
		t.Errorf("Expunge = %v; the messages are gone for every reader", err)
	}
	if !strings.Contains(log.String(), "left to the sweep") || !strings.Contains(log.String(), drop.String()) {
		t.Errorf("the log says %q; want what is left, and where", log.String())
	}
}

func TestDeliveriesAndRemovalsAtOnceLoseNothing(t *testing.T) {
	stores := mailboxtest.Memory()
	d := stores.Deliveries()
	env, content := recipients(2), mailboxtest.Message(200)
	const senders, each = 8, 50
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for range each {
				if _, err := d.Deliver(t.Context(), env, bytes.NewReader(content)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sent := make(chan struct{})
	go func() {
		all.Wait()
		close(sent)
	}()
	first := env.Recipients[0].Maildrop
	removed := make(map[mailbox.MessageID]bool)
	for sending := true; sending && len(removed) < senders*each/2; {
		select {
		case <-sent:
			sending = false
		default:
		}
		list, err := stores.Maildrops.List(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Expunge(t.Context(), first, list...); err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			removed[m.ID] = true
		}
	}
	<-sent
	left := listed(t, stores, first, content)
	for _, m := range left {
		if removed[m.ID] {
			t.Errorf("%s was removed and is listed", m.ID)
		}
	}
	if len(left)+len(removed) != senders*each {
		t.Errorf("%d removed and %d left; want %d in all", len(removed), len(left), senders*each)
	}
	if list := listed(t, stores, env.Recipients[1].Maildrop, content); len(list) != senders*each {
		t.Errorf("the other maildrop has %d; want %d", len(list), senders*each)
	}
}

// A readerFunc is a function that reads.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
