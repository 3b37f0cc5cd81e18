package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	gosmtp "github.com/emersion/go-smtp"

	"restante/mailbox"
)

// A Submitter takes the mail of users, to local addresses and to all others.
type Submitter interface {
	// Submit reads content, which has no Return-Path field yet, to its end. When it
	// returns nil the message is durable for all recipients: it is listed for those who
	// are local, and will be sent to the others, or the sender be told. It fails with
	// ErrHeader, or with a Reply to say itself what the client is told. An error of
	// content fails it. Nothing reads content after it has returned.
	Submit(ctx context.Context, l Letter, content io.Reader) (mailbox.MessageID, error)
}

// ErrHeader is what a Submitter fails with where the header of a message is larger than
// it takes.
var ErrHeader = errors.New("smtp: header too large")

// A Reply is an error by which a Submitter says itself what the client is told of its
// message. One of class 2 is no failure. The zero one is silence: the connection is
// closed, so that the client knows no more than who is silent.
type Reply struct {
	Code     int
	Enhanced [3]int // enhanced status code (RFC 3463)
	Text     string // printable ASCII, on one line
}

func (r Reply) Error() string {
	if r == (Reply{}) {
		return "nobody knows what became of it"
	}
	return fmt.Sprintf("%d %d.%d.%d %s", r.Code, r.Enhanced[0], r.Enhanced[1], r.Enhanced[2], r.Text)
}

// A Letter is the envelope of a message that a user submits, with all that was asked for.
type Letter struct {
	Account     mailbox.Address // who logged in; zero with a relay
	ReversePath mailbox.Address // which leads back to him; zero: the null one
	Recipients  []Addressee
	EnvelopeID  string // ENVID (RFC 3461, section 4.4)
	FullReturn  bool   // RET=FULL (RFC 3461, section 4.3)
	UTF8        bool   // SMTPUTF8 (RFC 6531)
	EightBit    bool   // BODY=8BITMIME (RFC 6152)
}

// An Addressee is a forward-path of a letter.
type Addressee struct {
	Address   mailbox.Address
	Notify    Notify
	Original  string              // ORCPT, decoded, behind its type and a semicolon (RFC 3461, section 4.2); empty: none
	Maildrops []mailbox.Recipient // who is behind a local address; none: it is not local
}

// Notify is what the sender wants to hear of an addressee (RFC 3461, section 4.1). Zero:
// he did not say.
type Notify uint8

const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

var notifyWords = map[gosmtp.DSNNotify]Notify{
	gosmtp.DSNNotifyNever:   NotifyNever,
	gosmtp.DSNNotifySuccess: NotifySuccess,
	gosmtp.DSNNotifyFailure: NotifyFailure,
	gosmtp.DSNNotifyDelayed: NotifyDelay,
}

// maxAddressees is how much the addresses of a letter take with the original ones, in
// octets. A thousand of the longest addresses fit.
const maxAddressees = 256 << 10

// submits reports whether mail goes to a Submitter.
func (s *Server) submits() bool {
	return s.opts.Submitter != nil && (s.opts.Kind == Submission || s.opts.Kind == Relay)
}

// letter begins the envelope of a message for a Submitter, or is nil where there is none.
// Only users submit, and servers of ours: nobody else's mail leaves for elsewhere.
func (s *session) letter(from mailbox.Address, opts *gosmtp.MailOptions) *Letter {
	if !s.server.submits() {
		return nil
	}
	l := &Letter{
		ReversePath: from, EnvelopeID: opts.EnvelopeID,
		FullReturn: opts.Return == gosmtp.DSNReturnFull, UTF8: opts.UTF8, EightBit: opts.Body == gosmtp.Body8BitMIME,
	}
	if s.identity != nil {
		l.Account = s.identity.Address
	}
	return l
}

// address adds an addressee. It reports false where there is no room.
func (t *transaction) address(to mailbox.Address, behind []mailbox.Recipient, opts *gosmtp.RcptOptions) bool {
	a := Addressee{Address: to, Maildrops: behind}
	for _, word := range opts.Notify {
		a.Notify |= notifyWords[word]
	}
	if opts.OriginalRecipient != "" {
		a.Original = strings.ToLower(string(opts.OriginalRecipientType)) + ";" + opts.OriginalRecipient
	}
	octets := t.addressees + len(to.Local) + len(to.Domain) + len(a.Original)
	if octets > maxAddressees {
		return false
	}
	t.addressees = octets
	t.letter.Recipients = append(t.letter.Recipients, a)
	return true
}
