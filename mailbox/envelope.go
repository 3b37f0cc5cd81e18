package mailbox

import "time"

// An Envelope is what SMTP says about a message, apart from its content
// (RFC 5321, section 2.3.1).
type Envelope struct {
	ReversePath Address // the zero value is the null reverse-path, "<>"
	Recipients  []Recipient
}

// A Recipient is a maildrop that a forward-path led to.
type Recipient struct {
	Address  Address // of the account or temporary address, aliases followed
	Maildrop MaildropID
	Expires  time.Time // zero: the maildrop does not end
}
