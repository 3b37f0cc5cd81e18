// Package session names protocol sessions, so that a line of the log and an
// error that a client shows to its user can be brought together.
package session

import "crypto/rand"

// NewID is a fresh id of ten letters and digits, unique for all that matters in
// the logs of a site (50 random bits).
func NewID() string { return rand.Text()[:10] }
