package script

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
)

// A Player plays scripts as the client. Only Dial is needed.
type Player struct {
	Dial    func(name string) (net.Conn, error) // makes the connection of a name
	TLS     *tls.Config                         // of the client, for "tls"
	Timeout time.Duration                       // for each step that waits; 0 means 10 s
	Vars    map[string]string                   // what {{$name}} means from the beginning
}

const defaultTimeout = 10 * time.Second

// Play plays s to its end, or to the first step that fails. The error says
// where, what was wanted and what came.
func (pl Player) Play(s *Script) (err error) {
	p := &play{Player: pl, conns: map[string]*conn{}, vars: map[string]string{}}
	maps.Copy(p.vars, pl.Vars)
	if p.Timeout == 0 {
		p.Timeout = defaultTimeout
	}
	defer func() {
		for _, c := range p.conns {
			c.close()
		}
	}()
	for _, step := range s.steps {
		if err := step.do(p); err != nil {
			return fmt.Errorf("%s:%d: %w", s.Name, step.line, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.conns)) {
		if err := p.conns[name].nothingLeft(); err != nil {
			return fmt.Errorf("%s: at its end: %w", s.Name, err)
		}
	}
	return nil
}

// A play is one performance of a script.
type play struct {
	Player
	name  string // of the connection that steps are about
	conns map[string]*conn
	vars  map[string]string
}

// conn is the connection that steps are about.
func (p *play) conn() (*conn, error) {
	if c := p.conns[p.name]; c != nil {
		return c, nil
	}
	nc, err := p.Dial(p.name)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &conn{Conn: nc, in: bufio.NewReader(nc), timeout: p.Timeout}
	p.conns[p.name] = c
	return c, nil
}

func (p *play) say(text string) error {
	text, err := expand(text, p.vars)
	if err != nil {
		return err
	}
	return p.send([]byte(text + "\r\n"))
}

func (p *play) send(octets []byte) error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	c.send(octets)
	return nil
}

func (p *play) hear(want pattern) error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	line, err := c.line()
	if err != nil {
		return fmt.Errorf("%w\n\twant: %s", err, want)
	}
	same, err := want.match(line, p.vars)
	if err == nil && !same {
		err = different(want.String(), line)
	}
	return err
}

// different shows two lines, one below the other, and where they part.
func different(want, got string) error {
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	return fmt.Errorf("the server sent another line\n\twant: %s\n\tgot:  %s\n\t      %s^", want, got, strings.Repeat(" ", at))
}

func (p *play) skipTo(want pattern) error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	for skipped := 0; ; skipped++ {
		line, err := c.line()
		if err != nil {
			return fmt.Errorf("%w, after %d lines without\n\twant: %s", err, skipped, want)
		}
		if same, err := want.match(line, p.vars); same || err != nil {
			return err
		}
	}
}

func (p *play) handshake() error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	return c.handshake(p.TLS)
}

func (p *play) closed() error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	return c.wantEnd()
}

func (p *play) hangUp() error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	delete(p.conns, p.name)
	c.drain()
	defer c.close()
	return c.nothingLeft()
}
