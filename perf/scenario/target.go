package scenario

// A Target is a server that the clients of a data centre go to.
type Target struct {
	Name       string // dc1-a
	Datacenter string // dc1
	SMTP, POP3 string // host:port
}
