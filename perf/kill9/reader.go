package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"restante/perf/letter"
	"restante/perf/peer"
	"restante/perf/wire"
)

// A reader is a POP3 session that checks everything it sees against the ledger.
type reader struct {
	ledger  *ledger
	drop    int
	pop3    *wire.POP3
	due     []letter.ID
	numbers []letter.ID // message-number n is numbers[n-1]
	checker letter.Checker
}

// openReader logs in and reads the maildrop: with whole, every message, else
// those that were not seen before. The maildrop's messages are then in numbers.
func openReader(ctx context.Context, l *ledger, addr string, drop int, whole bool) (*reader, error) {
	r := &reader{ledger: l, drop: drop, due: l.due(drop)}
	var err error
	if r.pop3, err = wire.DialPOP3(ctx, addr, wire.Options{}); err != nil {
		return nil, err
	}
	if err = r.pop3.Login(fmt.Sprintf(peer.Pattern, drop), peer.Password); err == nil {
		err = r.read(whole)
	}
	if err != nil {
		return nil, errors.Join(err, r.pop3.Close())
	}
	return r, nil
}

func (r *reader) read(whole bool) error {
	var uids []string
	if err := r.pop3.UIDL(func(_ int, id []byte) { uids = append(uids, string(id)) }); err != nil {
		return err
	}
	sizes := map[int]int64{}
	if err := r.pop3.List(func(n int, octets int64) { sizes[n] = octets }); err != nil {
		return err
	}
	for i, uid := range uids {
		id, seen := r.ledger.known(r.drop, uid)
		if whole || !seen {
			var err error
			if id, err = r.retrieve(i+1, uid, sizes[i+1]); err != nil {
				return err
			}
		}
		r.numbers = append(r.numbers, id)
	}
	return nil
}

// retrieve reads one message whole. A damaged one is a fault and not an error.
func (r *reader) retrieve(number int, uid string, octets int64) (letter.ID, error) {
	r.checker.Reset()
	if err := r.pop3.Retr(number, &r.checker); err != nil {
		return letter.ID{}, err
	}
	id, sum, err := r.checker.Check()
	if err != nil {
		r.ledger.report("maildrop %d: message-number %d, unique-id %q: %v", r.drop, number, uid, err)
		return id, nil
	}
	if r.checker.Octets() != octets {
		r.ledger.report("maildrop %d: LIST tells %d octets of %v, RETR sends %d", r.drop, octets, id, r.checker.Octets())
	}
	r.ledger.retrieved(r.drop, found{id: id, sum: sum, uid: uid})
	return id, nil
}

// listing is what the session lists.
func (r *reader) listing() map[letter.ID]bool {
	all := make(map[letter.ID]bool, len(r.numbers))
	for _, id := range r.numbers {
		all[id] = true
	}
	return all
}

// remove marks the messages that chosen picks, and has QUIT remove them.
func (r *reader) remove(chosen func() bool) error {
	var ids []letter.ID
	for i, id := range r.numbers {
		if !chosen() {
			continue
		}
		if err := r.pop3.Dele(i + 1); err != nil {
			return errors.Join(err, r.pop3.Close())
		}
		ids = append(ids, id)
	}
	r.ledger.quitting(r.drop, ids)
	err := r.pop3.Quit()
	if err == nil {
		r.ledger.removed(r.drop, ids)
	}
	if putOff(err) {
		r.ledger.failed(r.drop, ids)
	}
	return err
}

// putOff tells whether an error is an answer that asks the client to try again later
// (RFC 3206, section 3).
func putOff(err error) bool {
	var said *wire.ReplyError
	return errors.As(err, &said) && strings.Contains(said.Reply, "[SYS/TEMP]")
}
