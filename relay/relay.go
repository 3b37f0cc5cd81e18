// Package relay sends mail to the outside through services that may fail.
//
// # The journal
//
// The store is the journal and memory is the queue. What was submitted, what was
// tried and what came of it are rows that are written once and never changed. A
// process schedules from memory what it accepted itself, and reads the journal only
// when it starts, when it takes over from another, and for the operator. So there is
// no queue table to poll, no row that two processes fetch, and no lock.
//
//	submission ─ content, unless it is short ► mailbox.Contents, for mailbox.Outbound
//	           ─ Accepted, with a short content ► Journal.Append ─ lease still ours? ► 250
//	attempt    ─ Attempt  ► Journal.Append ► Provider.Send ─ lease still ours? ► the final dot
//	           ─ Delivered, Deferred or Failed ► Journal.Append
//
// What became of a message for a recipient is a fold of its events that does not
// depend on their order: see [Fold]. An event that is written twice, late or by two
// processes leads to the same end.
//
// # Who owns what
//
// A lane is one life of one process. It alone begins new work under its id, in
// segments: bounded pieces of the journal that are forgotten as a whole when nothing
// in them is left to do. Another process may adopt a segment when its lane is dead,
// which it finds by its own clock and says in a register; see [Lanes].
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"restante/mailbox"
)

// A Segment is a bounded piece of the journal. Both ids are minted by the process
// whose lane it is.
type Segment struct {
	Lane mailbox.MessageID // one life of one process
	ID   mailbox.MessageID
}

// An EntryID names the way of one message to one recipient.
type EntryID struct {
	Message   mailbox.MessageID
	Recipient int // its number in [Submission], from 0; [Whole] in an event about the message
}

// Whole is the recipient of events that are about the message itself.
const Whole = -1

// A Kind says what an event tells.
type Kind uint8

// The values are stored and must not change.
const (
	// Accepted: a message was submitted. Its Data is the [Submission]; its recipient
	// is [Whole]. It is one event, so that a message is accepted for all its
	// recipients or for none.
	Accepted Kind = 1
	// Attempt: somebody is about to hand the message over. It is durable before the
	// next hop hears of the message, so that a process which dies on a message again
	// and again does so at the pace of the back-off.
	Attempt Kind = 2
	// Deferred: the attempt of the same Seq came to nothing, and when the next is due.
	// About the message itself: the sender was told that it waits.
	Deferred Kind = 3
	// Failed: given up; the sender was told before.
	Failed Kind = 7
	// Cancelled: given up by the operator.
	Cancelled Kind = 8
	// Delivered: somebody else has taken responsibility.
	Delivered Kind = 9
)

// Terminal reports whether nothing is left to do for an entry after such an event.
func (k Kind) Terminal() bool { return k >= Failed }

// An Event is a fact about an entry. Entry, Kind, Seq and Writer name it: the same
// event appended again changes nothing.
type Event struct {
	Entry  EntryID
	Kind   Kind
	Seq    int               // of the attempt that it is about, from 1; otherwise 0
	Writer mailbox.MessageID // the lane that wrote it
	At     time.Time         // by the clock of the writer, to a millisecond; for people, and to tell roughly how long ago an attempt began
	Data   []byte            // what there is to say, in a form that only package relay reads; at most MaxData octets

	// Content comes with Accepted where the content of the message is short: at most
	// MaxContent octets. It is kept beside the event: Load does not bring it, Content
	// does. Nil: it is in mailbox.Contents.
	Content []byte

	// Last says that nothing is left to do for the message: what Content has of it is
	// forgotten with this event. Load does not bring it.
	Last bool
}

// MaxData is the most octets that an event carries. A thousand recipients fit.
const MaxData = 512 << 10

// MaxContent is the most octets of a content that is written with its event.
const MaxContent = 16 << 10

// MaxBatch is how many events, and how many octets of their data and contents, one Append
// takes.
const (
	MaxBatch       = 64
	MaxBatchOctets = MaxData + MaxContent
)

// Kept is how long a store keeps the events of an entry at least, as it does the
// content. It is a net for what nobody closed.
const Kept = mailbox.OutboundKept

// A Journal is the seam to a store; package relaytest has the suite that says whether
// it keeps the promises written here. Every method is safe for concurrent use, obeys
// the deadline of its context, and fails with mailbox.ErrUnavailable where trying again
// may help.
type Journal interface {
	// Open makes a segment known, so that Segments lists it. It comes before the first
	// event. Opening again is harmless.
	Open(ctx context.Context, s Segment) error

	// Append writes events to a segment that is open. When it returns nil they are
	// durable and in the next Load, and so is every content that was put before. When
	// it fails, all of them may be there or none. Repeating it is harmless.
	Append(ctx context.Context, s Segment, events ...Event) error

	// Load goes through the events of a segment in no order. After an error the
	// sequence ends. The callee reuses nothing that it has handed out.
	Load(ctx context.Context, s Segment) iter.Seq2[Event, error]

	// Content is what came with the Accepted of a message. It fails with
	// mailbox.ErrNotFound where nothing did, after an event that was the last, and after
	// Close.
	Content(ctx context.Context, s Segment, message mailbox.MessageID) ([]byte, error)

	// Close forgets a segment with its events and contents, also those that this data
	// centre has not heard of yet. Closing again is harmless. What is appended after it may
	// or may not be found.
	Close(ctx context.Context, s Segment) error

	// Lanes are those of a data centre that may have segments: that have opened one from
	// there, or of which somebody there says anything by Beat. An empty name is the data
	// centre of this process.
	Lanes(ctx context.Context, datacenter string) ([]mailbox.MessageID, error)

	// Segments are those of a lane that were opened and not closed.
	Segments(ctx context.Context, lane mailbox.MessageID) ([]Segment, error)
}

// Lanes is the seam by which processes on one store see each other. A store that only
// one process can open has none. Both kinds of row are registers that are overwritten:
// of two beats the one with the higher count stays, and of two claims the one with the
// higher version.
type Lanes interface {
	// Beat says that a lane lives, or with the count 0 that one of another data centre is
	// dead to this one. It is read by others of this data centre by Beats, for as long as
	// the events of an entry are kept. Of two with the count 0 the one that was written
	// seconds later stays.
	Beat(ctx context.Context, b Beat) error

	// Beats are the last beats of the lanes of this data centre, dead ones included
	// until the store forgets them, and what was said here about lanes of others.
	Beats(ctx context.Context) ([]Beat, error)

	// Claimed is who says that he works on a segment that was another's; the zero
	// claim where nobody does.
	Claimed(ctx context.Context, s Segment) (Claim, error)

	// Claim says so for a lane, over a claim that was read: its version becomes the
	// later of now and over.Version + 1, in microseconds. It decides nothing: of two
	// that claim at once both return nil, and Claimed tells later who stayed. A claim
	// that failed may yet arrive.
	Claim(ctx context.Context, s Segment, lane mailbox.MessageID, over Claim) error
}

// A Beat is what a lane says about itself.
type Beat struct {
	Lane mailbox.MessageID
	Node string // what the operator calls the process; with the count 0, the data centre
	Seq  uint64 // higher with every beat; 0: an order to adopt what the lane has left
	Data []byte // what else others may know of it, such as its rates; with the count 0, of the order
}

// A Claim is what stands in the register of a segment.
type Claim struct {
	Lane    mailbox.MessageID
	Version int64 // write timestamp, microseconds since 1970
}

// A Class is how urgent a message is.
type Class uint8

const (
	Normal Class = iota
	High         // answers that somebody waits for, such as codes
	Bulk         // newsletters
)

// A Submission is what was accepted: the envelope, and what was promised. It is the
// data of the event Accepted.
type Submission struct {
	Account    mailbox.Address   // who submitted it
	From       mailbox.Address   // reverse-path; zero: the null one
	Recipients []mailbox.Address // forward-paths that are not ours
	Notify     []Notify          // of each recipient (RFC 3461, section 4.1); nil: the default for all
	Original   []string          // ORCPT of each recipient (RFC 3461, section 4.2); nil: none
	EnvelopeID string            // ENVID (RFC 3461, section 4.4)
	FullReturn bool              // RET=FULL (RFC 3461, section 4.3)
	UTF8       bool              // SMTPUTF8 (RFC 6531)
	EightBit   bool              // BODY=8BITMIME (RFC 6152)
	Signed     bool              // multipart/signed or multipart/encrypted (RFC 1847)
	Journalled bool              `json:",omitzero"` // the content is in the journal, with this
	Octets     int64             // of the content
	HeaderID   string            // Message-ID, as it stands in the header
	Class      Class
	Accepted   time.Time
	Expires    time.Time // no attempt begins later
}

// Notify is what the sender wants to hear about a recipient (RFC 3461, section 4.1).
// Zero is the default: failure, and delay.
type Notify uint8

const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// A Mail is what a provider hands over: one message for some of its recipients.
type Mail struct {
	Message    mailbox.MessageID
	Submission *Submission
	Recipients []int // of the submission, of which there is at least one

	// Open is the content from its first octet: CRLF line ends, not dot-stuffed. It
	// may be called again.
	Open func(ctx context.Context) (io.ReadCloser, error)

	// Commit is called when nothing but the end of the content is left to be said:
	// before the final dot of SMTP, before the last octet of a request. Where it
	// fails, the provider breaks off so that the next hop does not take the message,
	// and answers with Transport for all recipients.
	Commit func() error
}

// A Provider hands mail to a next hop. It is safe for concurrent use.
type Provider interface {
	// Send returns an outcome for each of the recipients, in their order. It takes as
	// long as it takes, and ends soon after ctx.
	Send(ctx context.Context, m Mail) []Outcome

	// Probe finds out whether the next hop would take mail, without sending any. Its
	// outcome is Success where it would.
	Probe(ctx context.Context) Outcome

	// Limits are what the next hop is known to take.
	Limits() Limits

	// Close gives up connections that are kept. Sends that run end: with Transport, or with
	// Ambiguous where the content was complete.
	Close() error
}

// Limits are bounds of a next hop; zero is none.
type Limits struct {
	Octets      int64 // of a content
	Recipients  int   // of one transaction
	Concurrency int   // transactions at a time
	PerSecond   float64
	PerDay      int64
	NoUTF8      bool // without SMTPUTF8
	Reassembles bool // takes mail apart and puts it together anew, which breaks signatures
}

// A Result says what came of handing a message over for one recipient.
type Result uint8

const (
	// Success: the next hop took responsibility.
	Success Result = iota
	// BadRecipient: it will never take mail for this recipient.
	BadRecipient
	// BadMessage: it will not take this content; another whose limits differ may.
	BadMessage
	// Temporary: not now. Another is asked at once.
	Temporary
	// Throttled: too much. The service rests until a time, others are asked.
	Throttled
	// AccountFault: our account there is broken, for every mail, or may not send for this
	// sender. The service leaves the pool until the operator has looked, unless OfSender,
	// and no mail fails for it.
	AccountFault
	// Transport: nobody answered before the content was complete; nothing was sent.
	Transport
	// Ambiguous: the content was complete and no answer came. It may have been taken.
	Ambiguous
)

func (r Result) String() string {
	return [...]string{"success", "bad recipient", "bad message", "temporary", "throttled", "account fault", "transport", "ambiguous"}[r]
}

// An Outcome is a result with what was said.
type Outcome struct {
	Result   Result
	Code     int       // of the reply: SMTP or HTTP; 0: there was none
	Enhanced string    // enhanced status code (RFC 3463), such as "5.1.1"; may be empty
	Text     string    // the reply, or what happened instead, on one line and at most 512 octets
	Until    time.Time // of Throttled: when to ask again; zero: not told
	RemoteID string    // of Success: what the next hop calls the message, if it said so

	// Unasked: the next hop is known not to take such a content, and was not asked. It
	// decides nothing beyond the attempt, and is not kept.
	Unasked bool `json:"-"`
	// OfSender, of AccountFault: it may be about who sent this mail, and not about others.
	// The service stays in the pool. It is not kept either.
	OfSender bool `json:"-"`
}

// A Pool chooses a service for each mail. It is safe for concurrent use.
type Pool interface {
	// Pick chooses a service that is up, may carry the mail and has room for it, and
	// keeps that room for it until Send has returned or Release was called. It fails
	// with ErrNoService where no service is up that may carry the sender's mail, which is
	// no fault of the mail's; with ErrBusy where those that take it and were not tried
	// have no room just now; and with ErrResting where these are not up. Where there are
	// none, it fails with ErrTried, or with ErrUnfit if no service that is up takes one
	// like this.
	Pick(w Want) (Picked, error)

	// Changed is closed when one of these failures may have passed.
	Changed() <-chan struct{}
}

// A Want is what matters about a mail when a service is chosen.
type Want struct {
	Domain     string // of the sender: that of the reverse-path, or else of the account
	Octets     int64
	Recipients int
	UTF8       bool
	Signed     bool // multipart/signed or multipart/encrypted (RFC 1847)
	Class      Class
	Tried      []string // names of services that this attempt has tried
	Prefer     string   // the service that may have the mail already; empty: none
}

// A Picked is a service with room for one mail.
type Picked interface {
	// Name is of the service, unique in the pool.
	Name() string
	// Send hands the mail over, tells the pool what came of it and gives the room back.
	Send(ctx context.Context, m Mail) []Outcome
	// Release gives the room back unused.
	Release()
}

// Why no service could be picked.
var (
	ErrNoService = errors.New("relay: no service is up")
	ErrTried     = errors.New("relay: all services were tried")
	ErrBusy      = errors.New("relay: all services are busy")
	ErrUnfit     = errors.New("relay: no service takes such a mail")

	// ErrResting is an ErrNoService that is about this mail, and not about others of its
	// sender: services are up, but not those that are left to take it.
	ErrResting = fmt.Errorf("%w that takes such a mail", ErrNoService)
)

// ErrLease is what Commit fails with when the lane may have been taken over.
var ErrLease = errors.New("relay: the lease is over")
