// Screenshots shows the pages as people see them: it builds the server, starts it
// with its own defaults on free ports, makes addresses, sends them mail by SMTP, has
// mail leave through services that fail, and has Chromium take a picture of each state
// that the pages have, in light and dark, on a large screen and on a phone; or only of
// the states that are named.
//
//	go run ./web/screenshots DIR [STATE…]
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"restante/web/internal/browser"
)

func main() {
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-") {
		fmt.Fprintln(os.Stderr, "usage: go run ./web/screenshots DIR [STATE…]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, only []string) (err error) {
	for _, name := range only {
		if !slices.ContainsFunc(scenes, func(s scene) bool { return s.name == name }) {
			return fmt.Errorf("there is no state %q", name)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "restante-screenshots-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	stopServices, err := startServices(serviceFile(temp))
	defer func() { err = errors.Join(err, stopServices()) }()
	if err != nil {
		return err
	}
	s, err := startServer(ctx, temp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	b, err := browser.Start(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	for _, scene := range scenes {
		if len(only) > 0 && !slices.Contains(only, scene.name) {
			continue
		}
		if err := shoot(b, s, scene, filepath.Join(dir, scene.name+".png")); err != nil {
			return fmt.Errorf("%s: %w", scene.name, err)
		}
		fmt.Println(filepath.Join(dir, scene.name+".png"))
	}
	return nil
}

// shoot takes one picture, in a window of its own.
func shoot(b *browser.Browser, s *server, scene scene, file string) error {
	w, stop, err := b.Open()
	if err != nil {
		return err
	}
	defer stop()
	if scene.phone {
		if err := w.Phone(360, 740); err != nil {
			return err
		}
	}
	scheme := "light"
	if scene.dark {
		scheme = "dark"
	}
	if err := w.Prefer("prefers-color-scheme", scheme, "prefers-reduced-motion", "reduce"); err != nil {
		return err
	}
	if err := scene.play(&stage{Window: w, server: s}); err != nil {
		return err
	}
	picture, err := w.Picture()
	if err != nil {
		return err
	}
	return os.WriteFile(file, picture, 0o644)
}
