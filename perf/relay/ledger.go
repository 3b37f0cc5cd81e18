package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"restante/perf/latency"
	"restante/perf/letter"
)

// An answer is what a client knows of a mail that it submitted.
type answer int

const (
	unanswered answer = iota // may be sent or not
	taken                    // has to arrive
	refused                  // must not
)

// A mail was submitted.
type mail struct {
	due      time.Time // when it was to be submitted
	to       string    // its one recipient
	answered time.Time
	answer   answer
	octets   int
	arrivals []arrival // in their order
}

// An arrival is a copy that a service handed over.
type arrival struct {
	service string
	at      time.Time
}

// A ledger knows every mail of a run. It is safe for concurrent use.
type ledger struct {
	run uint64

	mu     sync.Mutex
	seq    uint64
	mails  map[string]*mail // by Message-ID
	faults []string         // the first few
}

const maxFaults = 10

func newLedger(run uint64) *ledger { return &ledger{run: run, mails: make(map[string]*mail)} }

// messageID is that of a letter.
func messageID(id letter.ID) string { return fmt.Sprintf("<%016x.%016x@perf.example>", id.Run, id.Seq) }

// next is the id of a mail that was not submitted yet.
func (l *ledger) next() letter.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	return letter.ID{Run: l.run, Seq: l.seq}
}

// submit is called before a mail is.
func (l *ledger) submit(id letter.ID, to string, due time.Time, octets int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mails[messageID(id)] = &mail{due: due, to: to, octets: octets}
}

// answered is called with what the server said, if it did.
func (l *ledger) answered(id letter.ID, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.mails[messageID(id)]
	m.answer, m.answered = a, time.Now()
}

// arrived takes over all that has arrived, by service. It is called with everything each
// time.
func (l *ledger) arrived(logs map[string][]accepted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.mails {
		m.arrivals = nil
	}
	for service, log := range logs {
		for _, a := range log {
			if !strings.HasPrefix(a.MessageID, fmt.Sprintf("<%016x.", l.run)) {
				continue // of another run on the same stage
			}
			m := l.mails[a.MessageID]
			switch {
			case m == nil:
				l.fault("%s was given %q, which nobody submitted", service, a.MessageID)
				continue
			case m.answer == refused:
				l.fault("%s was given %s, which was refused", service, a.MessageID)
			case !slices.Equal(a.To, []string{m.to}):
				l.fault("%s was given %s for %q, which is for %s", service, a.MessageID, a.To, m.to)
			case a.Octets < int64(m.octets):
				l.fault("%s was given %d octets of %s, which has %d", service, a.Octets, a.MessageID, m.octets)
			}
			m.arrivals = append(m.arrivals, arrival{service, a.Received})
		}
	}
	for _, m := range l.mails {
		slices.SortFunc(m.arrivals, func(a, b arrival) int { return a.at.Compare(b.at) })
	}
}

func (l *ledger) fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(l.faults) < maxFaults && !slices.Contains(l.faults, text) {
		l.faults = append(l.faults, text)
	}
}

// counts are what a ledger comes to.
type counts struct {
	submitted, taken, refused, unanswered int
	missing                               int // taken and not arrived
	copies                                int // arrivals after the first
	most                                  int // arrivals of one mail
}

func (l *ledger) counts() counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n counts
	for _, m := range l.mails {
		n.submitted++
		switch m.answer {
		case taken:
			n.taken++
			if len(m.arrivals) == 0 {
				n.missing++
			}
		case refused:
			n.refused++
		case unanswered:
			n.unanswered++
		}
		n.copies += max(0, len(m.arrivals)-1)
		n.most = max(n.most, len(m.arrivals))
	}
	return n
}

// missing are some of the mails that were taken and have not arrived.
func (l *ledger) missing() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for id, m := range l.mails {
		if m.answer == taken && len(m.arrivals) == 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(l.mails[a].due.Compare(l.mails[b].due), cmp.Compare(a, b)) })
	return ids[:min(len(ids), maxFaults)]
}

// latencies of the mails that were due in a time: until the server answered, and until the
// first arrival. A mail that has not arrived counts as if it did at the end of the time.
func (l *ledger) latencies(w window) (answers, arrivals latency.Histogram) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.mails {
		if !w.holds(m.due) || m.answer != taken {
			continue
		}
		answers.Record(m.answered.Sub(m.due))
		arrived := w.to
		if len(m.arrivals) > 0 {
			arrived = m.arrivals[0].at
		}
		arrivals.Record(arrived.Sub(m.due))
	}
	return answers, arrivals
}

// shares are how many mails arrived first in a time, by service.
func (l *ledger) shares(w window) map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := make(map[string]int)
	for _, m := range l.mails {
		if len(m.arrivals) > 0 && w.holds(m.arrivals[0].at) {
			n[m.arrivals[0].service]++
		}
	}
	return n
}

// lastArrival is when the last mail arrived first.
func (l *ledger) lastArrival() (last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.mails {
		if len(m.arrivals) > 0 && m.arrivals[0].at.After(last) {
			last = m.arrivals[0].at
		}
	}
	return last
}

// A window is a time of a run.
type window struct{ from, to time.Time }

func (w window) holds(t time.Time) bool { return !t.Before(w.from) && t.Before(w.to) }
