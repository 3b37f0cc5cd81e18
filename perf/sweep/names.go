// Package sweep varies one thing and measures what that changes: what a mail costs by
// its size and by its recipients, what a login costs by the messages of its maildrop.
package sweep

// What points are called (report.Point): plots, the fit of the capacity model and all
// who measure for them use these names.
const (
	Delivery = "delivery" // of one mail: from MAIL to the answer to its last octet
	Login    = "login"    // one visit: connect, log in, STAT, QUIT
	Retrieve = "RETR"     // of one message

	RestanteCPU  = "Restante CPU"  // ms of all servers together, for one operation
	CassandraCPU = "Cassandra CPU" // ms of all nodes together
	Stored       = "stored"        // octets on the disks of all nodes together
	P50          = "p50"           // ms
	P99          = "p99"           // ms
	Rate         = "rate"          // operations a second
)

// What is varied, or stays the same and is told.
const (
	Size       = "size" // of a mail, KiB
	Recipients = "recipients"
	Messages   = "messages" // in the maildrop
	Copies     = "copies"   // of each mail on nodes of Cassandra, in all data centres
)
