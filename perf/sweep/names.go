// Package sweep varies one thing and measures what that changes: what a mail costs by its
// size, its recipients and the users that there are; what a login costs by the messages
// that its maildrop has, or has had; and what clients wait for by the delay between two
// data centres, and by the servers that they go to.
package sweep

// What points are called (report.Point): plots, the fit of the capacity model and all
// who measure for them use these names.
const (
	Delivery = "delivery" // of one mail: from MAIL to the answer to its last octet
	Login    = "login"    // one visit: connect, log in, STAT, QUIT
	Retrieve = "RETR"     // of one message

	FirstLogin = "first login" // a visit of a user whom the server has not seen yet

	// Over the delay of the link, delivery is from when the mail was due, each other
	// command has its time alone, and login is USER and PASS.
	Stat    = "STAT"
	Removal = "QUIT"
	Lag     = "lag" // from the 250 until a login in the other data centre lists the mail

	// Mail is one of those that come in at a rate, from when it was due; its CPU is that
	// of all that goes on meanwhile, idle work too.
	Mail = "mail"

	RestanteCPU  = "Restante CPU"  // ms of all servers together, for one operation
	CassandraCPU = "Cassandra CPU" // ms of all nodes together
	Stored       = "stored"        // octets on the disks of all nodes together
	P50          = "p50"           // ms
	P99          = "p99"           // ms
	Rate         = "rate"          // operations a second
	Highest      = "highest rate"  // that is sustained
	Link         = "over the link" // octets, both ways
	Statements   = "statements"    // that servers send to Cassandra
)

// What is varied, or stays the same and is told.
const (
	Delay      = "delay"   // of the link, ms one way
	Servers    = "servers" // that clients go to
	Size       = "size"    // of a mail, KiB
	Recipients = "recipients"
	Messages   = "messages" // in the maildrop
	Ever       = "ever"     // messages that a maildrop has had, all of them removed
	Users      = "users"    // that mail goes to
	Copies     = "copies"   // of each mail on nodes of Cassandra, in all data centres
)
