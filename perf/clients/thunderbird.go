package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// How long Thunderbird may take for one thing. It is slow, and the machine may
// be busy.
const (
	birdStart = 3 * time.Minute
	birdSetup = time.Minute
	birdFetch = 2 * time.Minute
	birdShow  = 2 * time.Minute
	birdQuit  = time.Minute
)

// birdPackages are what Debian has it in, and its screen.
const birdPackages = "thunderbird xvfb"

// The scripts that run inside of Thunderbird.
var (
	//go:embed thunderbird/password.js
	passwordScript string
	//go:embed thunderbird/setup.js
	setupScript string
	//go:embed thunderbird/fetch.js
	fetchScript string
	//go:embed thunderbird/show.js
	showScript string
)

// A bird fetches with Thunderbird on a screen of its own, and takes pictures. Whether
// they show the message it tells the table.
type bird struct {
	shots string // directory for the pictures
	table *table
}

// A flight is one run of Thunderbird.
type flight struct {
	*daemon
	marionette *marionette
	screen     *display
}

// fetch starts Thunderbird on its profile, has it get the new messages, opens the
// one with the attachment if there are any, and quits. What is in the inbox then
// and was not before has been fetched.
func (b *bird) fetch(ctx context.Context, e errand) (_ [][]byte, err error) {
	before, err := inbox(e)
	if err != nil {
		return nil, err
	}
	f, err := b.start(ctx, e)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.land()) }()
	if e.web == "" {
		err = f.storePassword(e)
	} else {
		err = b.discover(ctx, f, e)
	}
	if err != nil {
		return nil, err
	}
	if err := f.getMail(); err != nil {
		return nil, err
	}
	after, err := inbox(e)
	if err != nil {
		return nil, err
	}
	if len(after) > len(before) {
		err := b.look(ctx, f, e)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		b.table.add("thunderbird", e.way.name, shown, err)
	}
	if err := f.quit(ctx); err != nil {
		return nil, err
	}
	if after, err = inbox(e); err != nil { // it may have written more at its end
		return nil, err
	}
	return after[min(len(before), len(after)):], sameMessages(after[:min(len(before), len(after))], before)
}

// start launches everything and waits until Thunderbird listens to commands.
func (b *bird) start(ctx context.Context, e errand) (_ *flight, err error) {
	profile := filepath.Join(e.home, "profile")
	if err := writeProfile(profile, e); err != nil {
		return nil, err
	}
	portFile := filepath.Join(profile, "MarionetteActivePort")
	if err := os.Remove(portFile); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	f := &flight{}
	if f.screen, err = startDisplay(ctx, filepath.Join(e.home, "screen")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.land())
		}
	}()
	env := environment(e.home, "DISPLAY="+f.screen.name, "MOZ_CRASHREPORTER_DISABLE=1", "GDK_BACKEND=x11", "NO_AT_BRIDGE=1")
	f.daemon, err = launch(filepath.Join(e.home, "thunderbird.log"), env, "thunderbird",
		"--profile", profile, "--no-remote", "--marionette", "--remote-allow-system-access")
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, birdStart)
	defer cancel()
	return f, f.await(limited, func() error {
		port, err := os.ReadFile(portFile)
		if err != nil {
			return err
		}
		f.marionette, err = dialMarionette(ctx, "127.0.0.1:"+strings.TrimSpace(string(port)))
		return err
	})
}

// quit has Thunderbird end as its menu does, so that everything is on disk.
func (f *flight) quit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, birdQuit)
	defer cancel()
	if err := f.marionette.command("Marionette:Quit", map[string]any{"flags": []string{"eAttemptQuit"}}, nil); err != nil {
		return err
	}
	return f.ended(ctx)
}

// land ends what still runs.
func (f *flight) land() error {
	var errs error
	if f.marionette != nil {
		f.marionette.close()
	}
	if f.daemon != nil {
		errs = f.stop()
	}
	return errors.Join(errs, f.screen.stop())
}

// discover has Thunderbird find its server, which is a check of its own.
func (b *bird) discover(ctx context.Context, f *flight, e errand) error {
	err := f.setUp(e)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.table.add("thunderbird", e.way.name, found, err)
	if err != nil {
		return errors.New("there is no account")
	}
	return nil
}

// A finding is the server that Thunderbird has found, in its own words.
type finding struct {
	Source, Type, Host, Port, User string
	Socket                         int
}

// setUp has Thunderbird make the account of address and password, and compares the
// server that it found with the one there is.
func (f *flight) setUp(e errand) error {
	var done struct {
		Error string
		Found finding
	}
	if err := f.marionette.run(setupScript, birdSetup, &done, e.address, e.password); err != nil {
		return err
	}
	want := finding{Source: "xml-from-isp-http", Type: "pop3", Host: e.host, Port: e.port, User: e.address, Socket: socketType[e.way.security]}
	switch {
	case done.Error != "":
		return errors.New(done.Error)
	case done.Found != want:
		return fmt.Errorf("it found %+v, want %+v", done.Found, want)
	}
	return nil
}

// storePassword does what somebody does who ticks the box in the prompt.
func (f *flight) storePassword(e errand) error {
	var done struct{ Error string }
	if err := f.marionette.run(passwordScript, birdFetch, &done, e.address, e.password); err != nil {
		return err
	}
	if done.Error != "" {
		return errors.New(done.Error)
	}
	return nil
}

// getMail gets new messages.
func (f *flight) getMail() error {
	var done struct {
		Error string // what went wrong
		Trust string // what was wrong with the certificate
	}
	if err := f.marionette.run(fetchScript, birdFetch, &done); err != nil {
		return err
	}
	switch {
	case done.Trust != "":
		return fmt.Errorf("%w: %s", errUntrusted, done.Trust)
	case done.Error != "":
		return errors.New(done.Error)
	}
	return nil
}

// look opens the parcel and takes a picture, after it has compared what the
// windows hold with what was sent.
func (b *bird) look(ctx context.Context, f *flight, e errand) error {
	var seen struct {
		Error       string
		Subject     string
		Text        string
		Attachments []string
	}
	if err := f.marionette.run(showScript, birdShow, &seen, parcelSubject); err != nil {
		return err
	}
	name := strings.ReplaceAll(e.address, "@", "-at-") + ".png"
	if err := f.screen.shoot(ctx, filepath.Join(b.shots, name)); err != nil {
		return err
	}
	switch {
	case seen.Error != "":
		return errors.New(seen.Error)
	case !strings.HasSuffix(seen.Subject, parcelSubject) || !strings.Contains(seen.Text, parcelText),
		len(seen.Attachments) != 1 || !strings.HasPrefix(seen.Attachments[0], parcelName):
		return fmt.Errorf("the windows show %+v", seen)
	}
	return nil
}

// inbox are the messages of the account's inbox, freed of the fields that
// Thunderbird puts on top and of the line ends of Unix.
func inbox(e errand) ([][]byte, error) {
	raw, err := os.ReadFile(filepath.Join(e.home, "profile", "Mail", e.host, "Inbox"))
	if os.IsNotExist(err) {
		return nil, nil
	}
	messages := readMbox(raw)
	for i, m := range messages {
		for _, field := range []string{"X-Account-Key: ", "X-UIDL: ", "X-Mozilla-Status: ", "X-Mozilla-Status2: ", "X-Mozilla-Keys: "} {
			m = cutField(m, 0, field)
		}
		messages[i] = toCRLF(m)
	}
	return messages, err
}
