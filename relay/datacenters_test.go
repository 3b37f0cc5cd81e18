package relay_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/relaytest"
)

// A realm is a store with processes in data centres, all of which use the same service.
type realm struct {
	t        *testing.T
	ctx      context.Context // of the processes
	store    *relaytest.Memory
	contents mailbox.Contents
	ids      *mailbox.MessageIDs
	services *pool
	service  *service
	told     *notices
	running  sync.WaitGroup
}

// A process is a node in a data centre.
type process struct {
	*relay.Node
	store *relaytest.Memory
	end   func()
}

func inRealm(t *testing.T, test func(t *testing.T, r *realm)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &realm{
			t: t, store: relaytest.NewMemory(), contents: mailboxtest.Memory().Contents, ids: new(mailbox.MessageIDs),
			services: newPool(), told: new(notices),
		}
		r.service = r.services.add("a")
		ctx, end := context.WithCancel(t.Context())
		defer r.running.Wait()
		defer end()
		r.ctx = ctx
		test(t, r)
	})
}

// start starts a process, which ends with the test at the latest.
func (r *realm) start(datacenter string) *process {
	r.t.Helper()
	p := &process{store: r.store.Process(datacenter)}
	var err error
	p.Node, err = relay.NewNode(relay.NodeOptions{
		Queue: relay.Options{Journal: p.store, Contents: r.contents, Pool: r.services, IDs: r.ids, Notifier: r.told},
		Lanes: p.store, Name: "of " + datacenter,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.ctx)
	p.end = cancel
	r.running.Go(func() { p.Run(ctx) })
	time.Sleep(20 * time.Second) // it has heard the others
	return p
}

func (r *realm) submit(p *process) mailbox.MessageID {
	r.t.Helper()
	id, err := p.Submit(r.t.Context(), submission(relay.Submission{}, "barney"), strings.NewReader(content))
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *realm) adopt(p *process, datacenter string) {
	r.t.Helper()
	if _, err := p.AdoptDatacenter(r.t.Context(), datacenter); err != nil {
		r.t.Fatal(err)
	}
}

// arrived is how often a message was taken.
func (r *realm) arrived(id mailbox.MessageID) (n int) {
	for _, s := range r.service.got() {
		if s.message == id && s.taken {
			n++
		}
	}
	return n
}

func (r *realm) wantArrived(id mailbox.MessageID, want int) {
	r.t.Helper()
	if n := r.arrived(id); n != want {
		r.t.Errorf("it has arrived %d times, want %d", n, want)
	}
}

// down has the service take no mail, or take it.
func (r *realm) down(yes bool) {
	r.services.change(func() { r.service.down = yes })
	if !yes {
		time.Sleep(10 * time.Minute)
	}
}

// An order to adopt a data centre holds for all who are in this one, until its mail is sent
// or its senders are told: also when the one dies that was told.
func TestAnOrderToAdoptOutlastsWhoWasToldIt(t *testing.T) {
	for name, harm := range map[string]func(r *realm, told, other *process){
		"nothing happens":              func(*realm, *process, *process) {},
		"it dies":                      func(_ *realm, told, _ *process) { told.end() },
		"all die, and one starts anew": func(r *realm, told, other *process) { told.end(); other.end(); r.start("dc1") },
		"one starts anew hours later": func(r *realm, told, other *process) {
			told.end()
			other.end()
			time.Sleep(3 * time.Hour)
			r.start("dc1")
		},
		"all leases lapse": func(_ *realm, told, other *process) {
			for _, p := range []*process{told, other} {
				p.store.Inject(func(relaytest.Call) relaytest.Fault { return relaytest.Hang })
			}
			time.Sleep(30 * time.Second)
			for _, p := range []*process{told, other} {
				p.store.Inject(nil)
			}
		},
	} {
		for when, wait := range map[string]time.Duration{"at once": 0, "when all is adopted": 2 * time.Minute} {
			t.Run(name+" "+when, func(t *testing.T) {
				inRealm(t, func(t *testing.T, r *realm) {
					r.down(true)
					there, told, other := r.start("dc2"), r.start("dc1"), r.start("dc1")
					id := r.submit(there)
					there.end()
					r.adopt(told, "dc2")
					time.Sleep(wait)
					harm(r, told, other)
					time.Sleep(time.Minute)
					r.down(false)
					r.wantArrived(id, 1)
					if len(r.told.all) > 0 {
						t.Errorf("senders heard %d times", len(r.told.all))
					}
					time.Sleep(2 * time.Hour)
					r.wantArrived(id, 1)
					r.wantOpen(there.store, 1) // for there may be more in it than was read here
				})
			})
		}
	}
}

// wantOpen checks how many segments are left of what the lanes of a data centre have opened.
func (r *realm) wantOpen(in *relaytest.Memory, want int) {
	r.t.Helper()
	lanes, err := in.Lanes(r.t.Context(), "")
	if err != nil {
		r.t.Fatal(err)
	}
	open := 0
	for _, lane := range lanes {
		segments, err := in.Segments(r.t.Context(), lane)
		if err != nil {
			r.t.Fatal(err)
		}
		open += len(segments)
	}
	if open != want {
		r.t.Errorf("%d segments are open, want %d", open, want)
	}
}

// A data centre may come back with mail on its disks that it has accepted and nobody has
// read. It is sent by who was told to adopt the data centre, however late it arrives there.
func TestMailThatArrivesAfterItsDataCentreWasAdoptedIsSent(t *testing.T) {
	for _, late := range []time.Duration{40 * time.Minute, 5 * time.Hour} {
		for name, c := range map[string]struct {
			harm   func(r *realm, told *process)
			before int // mails that arrive in time
		}{
			"nothing happens":          {func(*realm, *process) {}, 1},
			"who was told starts anew": {func(r *realm, told *process) { told.end(); r.start("dc1") }, 1},
			"nothing arrives in time":  {func(*realm, *process) {}, 0},
		} {
			t.Run(fmt.Sprint(name, ", ", late), func(t *testing.T) {
				inRealm(t, func(t *testing.T, r *realm) {
					there, here := r.start("dc2"), r.start("dc1")
					for range c.before {
						r.submit(there)
					}
					time.Sleep(time.Second)
					r.services.change(func() { r.service.down = true })
					there.store.Inject(func(c relaytest.Call) relaytest.Fault {
						if c.Name == "Open" {
							return relaytest.Behind(late - time.Second)
						}
						return relaytest.Behind(late)
					})
					second := r.submit(there)
					there.end()
					r.adopt(here, "dc2")
					time.Sleep(20 * time.Minute)
					c.harm(r, here)
					r.down(false)
					r.wantArrived(second, 0)
					time.Sleep(late + 4*time.Hour + time.Minute)
					r.wantArrived(second, 1)
					for _, n := range r.told.of(second) {
						if !strings.HasPrefix(n, "delayed") {
							t.Errorf("the sender heard %q", n)
						}
					}
				})
			})
		}
	}
}

// What is not closed is hardly worked on when what was in it is done.
func TestWhatWasAdoptedByOrderIsHardlyAskedFor(t *testing.T) {
	inRealm(t, func(t *testing.T, r *realm) {
		there, here := r.start("dc2"), r.start("dc1")
		r.submit(there)
		time.Sleep(time.Second)
		there.end()
		r.adopt(here, "dc2")
		time.Sleep(5 * time.Hour)
		loads, claims := here.store.Calls("Load"), here.store.Calls("Claimed")
		time.Sleep(8 * time.Hour)
		if loads, claims := here.store.Calls("Load")-loads, here.store.Calls("Claimed")-claims; loads != 2 || claims != 2 {
			t.Errorf("eight hours take %d loads and %d looks at the claim", loads, claims)
		}
	})
}

// What was adopted is the work of one data centre: the other leaves it alone when it is
// back, and goes on when it is told that the first is dead.
func TestADataCentreThatComesBackLeavesAloneWhatWasAdopted(t *testing.T) {
	inRealm(t, func(t *testing.T, r *realm) {
		r.down(true)
		there, here := r.start("dc2"), r.start("dc1")
		one := r.submit(there)
		there.end()
		r.adopt(here, "dc2")
		time.Sleep(time.Minute)

		back, another := r.start("dc2"), r.start("dc2")
		time.Sleep(time.Minute)
		r.wantWaiting(here, 1)
		r.wantWaiting(back, 0)
		r.wantWaiting(another, 0)
		two := r.submit(back) // which is not what the order was about
		back.end()
		time.Sleep(time.Minute)
		r.wantWaiting(here, 1)
		r.wantWaiting(another, 1)

		here.end()
		here = r.start("dc1")
		time.Sleep(time.Minute)
		r.wantWaiting(here, 1)
		r.wantWaiting(another, 1)

		here.end()
		r.adopt(another, "dc1")
		time.Sleep(time.Minute)
		r.wantWaiting(another, 2)
		r.down(false)
		r.wantArrived(one, 1)
		r.wantArrived(two, 1)
	})
}

// wantWaiting checks how many entries a process has.
func (r *realm) wantWaiting(p *process, want int) {
	r.t.Helper()
	q, err := p.Queue()
	if err != nil {
		r.t.Fatal(err)
	}
	if n := len(q.List(relay.Filter{}, relay.Place{}, 10)); n != want {
		r.t.Errorf("%d wait, want %d", n, want)
	}
}

// Who has adopted a data centre may be adopted with it.
func TestWhatADataCentreHasAdoptedIsAdoptedWithIt(t *testing.T) {
	inRealm(t, func(t *testing.T, r *realm) {
		r.down(true)
		third, second, first := r.start("dc3"), r.start("dc2"), r.start("dc1")
		id := r.submit(third)
		third.end()
		r.adopt(second, "dc3")
		time.Sleep(time.Minute)
		second.end()
		r.adopt(first, "dc2")
		time.Sleep(time.Minute)
		r.wantWaiting(first, 1)
		r.down(false)
		r.wantArrived(id, 1)
	})
}

// An order is about what there is. A data centre that was only cut off, and whose processes
// were not started anew, has its later mail for itself.
func TestAnOrderToAdoptIsNotAboutWhatIsOpenedLater(t *testing.T) {
	inRealm(t, func(t *testing.T, r *realm) {
		there, here := r.start("dc2"), r.start("dc1")
		r.submit(there)
		r.adopt(here, "dc2")
		time.Sleep(2 * time.Hour)
		r.down(true)
		id := r.submit(there)
		time.Sleep(time.Minute)
		r.wantWaiting(here, 0)
		here.end()
		here = r.start("dc1")
		time.Sleep(time.Minute)
		r.wantWaiting(here, 0)
		r.adopt(here, "dc2") // that one is dead now
		there.end()
		time.Sleep(time.Minute)
		r.wantWaiting(here, 1)
		r.down(false)
		r.wantArrived(id, 1)
	})
}

// The own data centre is not dead, whatever the operator says: those who live beat.
func TestAnOrderDoesNoHarmToWhoBeatsHere(t *testing.T) {
	inRealm(t, func(t *testing.T, r *realm) {
		r.down(true)
		one, two := r.start("dc1"), r.start("dc1")
		id := r.submit(one)
		r.adopt(two, "dc1")
		time.Sleep(2 * time.Minute)
		r.wantWaiting(one, 1)
		r.wantWaiting(two, 0)
		if n := two.Living(); n != 2 {
			t.Errorf("%d live", n)
		}
		r.down(false)
		r.wantArrived(id, 1)
	})
}

// Of who works in another data centre nothing is heard here. His claim is believed as long
// as mail is kept, however long he has lived before.
func TestAClaimFromAnotherDataCentreIsBelievedByItsOwnAge(t *testing.T) {
	for name, c := range map[string]struct {
		before, after time.Duration // the claim
		waits         int           // here
	}{
		"by a young process":                    {time.Hour, time.Minute, 0},
		"by one that has lived for long":        {3 * relay.Kept, time.Minute, 0},
		"by one that has lived for long, later": {3 * relay.Kept, relay.Kept - time.Hour, 0},
		"before what was kept then is gone":     {time.Hour, relay.Kept + time.Minute, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inRealm(t, func(t *testing.T, r *realm) {
				r.down(true)
				process, elsewhere := r.ids.Next(), r.store.Process("elsewhere")
				time.Sleep(c.before)
				in := relay.Segment{Lane: r.ids.Next(), ID: r.ids.Next()}
				if err := elsewhere.Claim(t.Context(), in, process, relay.Claim{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.after)
				if err := r.store.Beat(t.Context(), relay.Beat{Lane: in.Lane, Seq: 1}); err != nil {
					t.Fatal(err)
				}
				accept(t, r.store, in, r.ids.Next())
				here := r.start("")
				time.Sleep(time.Minute)
				r.wantWaiting(here, c.waits)
			})
		})
	}
}
