// Package pop3 is the POP3 server: RFC 1939 with the extension mechanism
// (RFC 2449), response codes (RFC 3206), STLS (RFC 2595), implicit TLS
// (RFC 8314), AUTH PLAIN (RFC 5034, RFC 4616) and UTF8 and LANG (RFC 6856).
// There is no APOP, and so no timestamp in the greeting.
//
// A session is a state machine that turns lines into replies; it has no
// connection and owns what RFC 1939 says about message-numbers, deletion marks,
// counts and TOP. A connection is what is left: reading lines, writing replies,
// deadlines. A [Backend] says who may log in and opens the maildrop.
package pop3
