// Package history keeps what the clients of a mail server saw while it was in trouble,
// one line of JSON for each operation, and judges afterwards whether the server kept its
// word: nothing that it acknowledged is lost, nothing that it removed comes back, every
// octet is the one that was sent. A history is a file, so a verdict can be had again.
package history

import "time"

// An Op is what an entry tells of.
type Op string

// What clients do, and what is done to the system meanwhile.
const (
	Run     Op = "run"     // begins a history: its data centres
	Deliver Op = "deliver" // one attempt to deliver one letter
	List    Op = "list"    // a login and what it listed
	Retr    Op = "retr"
	Quit    Op = "quit"    // QUIT after messages were marked
	Nemesis Op = "nemesis" // trouble begins, or has ended
	Final   Op = "final"   // all is healed and settled: what is listed from now on is the outcome
)

// A Result is how a client was answered.
type Result string

// How an operation may end. Where it is unknown, it may have been carried out, or may be
// later.
const (
	OK        Result = "ok"
	Temporary Result = "temporary" // 4yz, or -ERR with [SYS/TEMP], [IN-USE], [LOGIN-DELAY]
	Permanent Result = "permanent" // 5yz, or any other -ERR
	Unknown   Result = "unknown"   // no connection, or it was lost
)

// An Entry is one operation, or one event. Times count from the start of the recorder, by
// a clock that is never set.
type Entry struct {
	Line int `json:"-"` // of the file that it was read from, from 1

	Op         Op            `json:"op"`
	From       time.Duration `json:"from"` // before the first octet was sent
	To         time.Duration `json:"to"`   // after the last one was received
	Client     string        `json:"client,omitempty"`
	Datacenter string        `json:"dc,omitempty"`
	Server     string        `json:"server,omitempty"`
	Result     Result        `json:"is,omitempty"`
	Reply      string        `json:"reply,omitempty"` // unless it is OK: the answer, or why there is none

	// Of Deliver and Retr: the letter with the hash that its first field tells.
	Letter string `json:"letter,omitempty"`
	Sum    string `json:"sum,omitempty"`
	// Of Deliver: the maildrops it is for, and whether all of it may have reached the
	// server, so that an attempt which was not acknowledged may have left a copy.
	Maildrops []string `json:"to_maildrops,omitempty"`
	Sent      bool     `json:"sent,omitempty"`

	// Of List, Retr and Quit. A listing has unique-ids in their order, with sizes; QUIT
	// has those that were marked.
	Maildrop string   `json:"maildrop,omitempty"`
	UIDs     []string `json:"uids,omitempty"`
	Sizes    []int64  `json:"sizes,omitempty"`
	// Of Retr: the message, how many octets came, and what is wrong with them.
	UID     string `json:"uid,omitempty"`
	Octets  int64  `json:"octets,omitempty"`
	Damaged string `json:"damaged,omitempty"`

	// Of Run, all data centres; of Nemesis, those that are touched by it.
	Datacenters []string `json:"dcs,omitempty"`
	Note        string   `json:"note,omitempty"` // of Run: by what the history was made

	// Of Nemesis. Spell numbers it, so that begin and end find each other.
	Name     string `json:"name,omitempty"`
	Where    string `json:"where,omitempty"`
	Spell    int    `json:"spell,omitempty"`
	Struck   bool   `json:"struck,omitempty"` // nothing of what it destroys runs any more
	Ended    bool   `json:"ended,omitempty"`
	Destroys bool   `json:"destroys,omitempty"` // the store of those data centres is gone
}
