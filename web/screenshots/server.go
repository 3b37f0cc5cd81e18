package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"restante/internal/program"
)

// A server is a running restante.
type server struct {
	program *exec.Cmd
	ports   map[string]string // by the names of the flags
	token   string            // of the admin listener
	stopped bool
}

// startServer builds the server and starts it with everything below a directory.
func startServer(ctx context.Context, dir string) (*server, error) {
	bin, data := filepath.Join(dir, "restante"), filepath.Join(dir, "data")
	if err := program.Build(ctx, bin, program.Restante); err != nil {
		return nil, err
	}
	args := []string{"serve", "--data", data, "--domain", "example.org", "--temp-domain", "temp.example.org", "--relay-services", serviceFile(dir), "--insecure-auth"}
	wanted := []string{"smtp", "submission", "pop3", "pop3s", "http", "admin"}
	for _, flag := range wanted {
		args = append(args, "--"+flag, "127.0.0.1:0")
	}
	args = append(args, "--submissions", "off")
	s := &server{program: exec.CommandContext(ctx, bin, args...), ports: make(map[string]string)}
	s.program.Stderr = os.Stderr
	if log, err := os.Create(filepath.Join(dir, "log")); err == nil {
		s.program.Stderr = log
		defer log.Close()
	}
	said, err := s.program.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.program.Cancel = func() error { return s.program.Process.Signal(syscall.SIGTERM) }
	s.program.WaitDelay = 10 * time.Second
	if err := s.program.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(said)
	for len(s.ports) < len(wanted) && lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) == 2 && strings.HasPrefix(words[1], "127.0.0.1:") {
			s.ports[words[0]] = words[1]
		}
	}
	token, err := os.ReadFile(filepath.Join(data, "admin-token"))
	if len(s.ports) < len(wanted) {
		err = fmt.Errorf("the server opened only %v", s.ports)
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.token = strings.TrimSpace(string(token))
	if err := s.account(); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	go func() { // so that it never waits for somebody to read
		for lines.Scan() {
		}
	}()
	return s, nil
}

// stop ends the server; a second call does nothing.
func (s *server) stop() error {
	if s.stopped {
		return nil
	}
	s.stopped = true
	if err := s.program.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.program.Wait()
}

// send sends a mail by SMTP.
func (s *server) send(from, to, letter string) error {
	c, err := smtp.Dial(s.ports["smtp"])
	if err != nil {
		return err
	}
	defer c.Close()
	if err := errors.Join(c.Mail(from), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = strings.NewReplacer("{to}", to, "\n", "\r\n").WriteString(w, letter)
	return errors.Join(err, w.Close(), c.Quit())
}
