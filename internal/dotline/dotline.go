// Package dotline holds what SMTP and POP3 do to the lines of a message: line
// ends are settled once, at the door ([Reader]); dots are stuffed whenever the
// message leaves ([Writer], RFC 1939, section 3; RFC 5321, section 4.5.2); and
// TOP takes the first lines ([Head]).
//
// All three work on streams in constant memory and find what they look for with
// the vectorised scans of package bytes, never octet by octet.
package dotline

const crlf = "\r\n"
