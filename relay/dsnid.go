package relay

import (
	"fmt"
	"time"

	"restante/mailbox"
)

// noticeAge is how much older than its notification an id may be. It is less than the
// age from which a sweep takes a content that is listed nowhere for orphaned, and more
// than any repeat takes that is not an accident.
const noticeAge = time.Hour

// id is the id of the notification: the same for every repeat. Stores read the age of a
// message from it, so that its time has to be of about now: it is that of the message and
// as many whole hours as have passed since.
func (n Notice) id(now time.Time) mailbox.MessageID {
	at := n.Message.Time()
	if passed := now.Sub(at); passed > 0 {
		at = at.Add(passed.Truncate(noticeAge))
	}
	about := fmt.Sprintf("%s for recipient", n.Message)
	for _, f := range n.Recipients {
		about += fmt.Sprintf(" %d", f.Recipient)
	}
	return mailbox.MessageIDOf(fmt.Sprintf("%s: %s", about, n.Action), at)
}

// headerID is the Message-ID field of a message of ours, without the angle brackets.
func headerID(id mailbox.MessageID, hostname string) string { return id.String() + "@" + hostname }
