package rest

import (
	"container/list"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"restante/mailbox"
)

// What is remembered of submissions that may be repeated, in this process.
const (
	repeatsKept    = 24 * time.Hour
	mostRepeats    = 100_000 // keys, of some 300 octets each
	mostRepeatsOne = 10_000  // of one account
)

// repeats remember submissions by the key that the client gave them. The oldest go where
// there are too many, in all or of one account.
type repeats struct {
	mu       sync.Mutex
	byKey    map[repeatKey]*repeat
	all      *list.List // of *repeat, the oldest first
	accounts map[mailbox.Address]*list.List
}

type repeatKey struct {
	account mailbox.Address
	key     [sha256.Size]byte
}

// A repeat is a submission that may come again.
type repeat struct {
	repeatKey
	fingerprint [sha256.Size]byte
	id          mailbox.MessageID // zero: it is under way
	began       time.Time
	inAll       *list.Element
	inAccount   *list.Element
}

func newRepeats() *repeats {
	return &repeats{byKey: make(map[repeatKey]*repeat), all: list.New(), accounts: make(map[mailbox.Address]*list.List)}
}

var (
	errKeyReused   = problem(http.StatusUnprocessableEntity, "key-reused", "another message was submitted with this Idempotency-Key")
	errKeyUnderWay = huma.ErrorWithHeaders(
		problem(http.StatusConflict, "submission-under-way", "the message with this Idempotency-Key is being taken just now, try again later"),
		http.Header{"Retry-After": {"1"}})
)

// begin looks a submission up. Either it is known, or the caller takes it and says with
// end what it is called; the zero id forgets it, so that it may be tried again. Without a
// key nothing is remembered.
func (r *repeats) begin(account mailbox.Address, key string, fingerprint [sha256.Size]byte) (end func(mailbox.MessageID), known mailbox.MessageID, err error) {
	if key == "" {
		return func(mailbox.MessageID) {}, known, nil
	}
	k := repeatKey{account, sha256.Sum256([]byte(key))}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for e := r.all.Front(); e != nil && now.Sub(e.Value.(*repeat).began) >= repeatsKept; e = r.all.Front() {
		r.forget(e.Value.(*repeat))
	}
	switch before := r.byKey[k]; {
	case before == nil:
	case before.fingerprint != fingerprint:
		return nil, known, errKeyReused
	case before.id.IsZero():
		return nil, known, errKeyUnderWay
	default:
		return func(mailbox.MessageID) {}, before.id, nil
	}
	made := &repeat{repeatKey: k, fingerprint: fingerprint, began: now}
	r.remember(made)
	return func(id mailbox.MessageID) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if made.id = id; id.IsZero() {
			r.forget(made)
		}
	}, known, nil
}

// remember adds one, and forgets the oldest where there is no room. The caller holds the
// lock.
func (r *repeats) remember(made *repeat) {
	of := r.accounts[made.account]
	if of == nil {
		of = list.New()
		r.accounts[made.account] = of
	}
	r.byKey[made.repeatKey] = made
	made.inAll, made.inAccount = r.all.PushBack(made), of.PushBack(made)
	if of.Len() > mostRepeatsOne {
		r.forget(of.Front().Value.(*repeat))
	}
	if r.all.Len() > mostRepeats {
		r.forget(r.all.Front().Value.(*repeat))
	}
}

// forget removes one, if it is still there. The caller holds the lock.
func (r *repeats) forget(old *repeat) {
	if r.byKey[old.repeatKey] != old {
		return
	}
	delete(r.byKey, old.repeatKey)
	r.all.Remove(old.inAll)
	of := r.accounts[old.account]
	if of.Remove(old.inAccount); of.Len() == 0 {
		delete(r.accounts, old.account)
	}
}
