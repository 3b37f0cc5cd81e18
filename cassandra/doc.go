// Package cassandra keeps mail in Apache Cassandra, in as many data centres as
// there are: the seams of packages mailbox and relay on tables that package schema
// defines.
//
// Every statement is an idempotent upsert or delete with a write timestamp of its
// own. An insert carries the time inside the message id, a delete a later one; so
// statements may be repeated, by the driver or by a client that got no answer, may
// arrive late and in any order, and the outcome is the same. Content that is Repeatable
// has the same id each time that it is put, and carries the time of the Put, if that is
// later: it wins over what was put or deleted before. What is a register, as an address,
// carries a later time than what was read before. No statement has a condition: there is
// no lightweight transaction anywhere.
//
// A store talks to the nodes of one data centre, at LOCAL_QUORUM unless a file
// says otherwise. What cannot be had now fails with mailbox.ErrUnavailable and an
// error that names the statement and the node, for the log.
//
// The driver is gocql, which no other package of the project knows.
package cassandra
