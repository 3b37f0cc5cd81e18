package pop3

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"restante/internal/script"
)

// TestDialogues plays testdata/*.txt, where passwords may come in clear text,
// and testdata/strict/*.txt, where they may not. A connection whose name begins
// with "pop3s" begins with TLS. Every dialogue has a house of its own.
func TestDialogues(t *testing.T) {
	certificate()
	for _, dir := range []string{"testdata", "testdata/strict"} {
		scripts, err := script.Load(filepath.Join(dir, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scripts {
			t.Run(strings.TrimPrefix(s.Name, "testdata/"), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { playInHouse(t, s, dir == "testdata") })
			})
		}
	}
}

func playInHouse(t *testing.T, s *script.Script, insecure bool) {
	house := newHouse(t)
	serverTLS, clientTLS := certificate()
	server := New(Options{Backend: house, TLS: serverTLS, InsecureAuth: insecure, Expiring: !insecure, Log: quiet})
	plain, implicit := newPipe(), newPipe()
	served := make(chan error, 2)
	go func() { served <- server.Serve(plain) }()
	go func() { served <- server.ServeTLS(implicit) }()

	player := script.Player{TLS: clientTLS, Dial: func(name string) (net.Conn, error) {
		if strings.HasPrefix(name, "pop3s") {
			return implicit.Dial()
		}
		return plain.Dial()
	}}
	if err := player.Play(s); err != nil {
		t.Error(err)
	}
	if err := server.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	for range 2 {
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	if house.open != 0 {
		t.Errorf("%d maildrops were left open", house.open)
	}
}
