package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"restante/perf/wan"
)

// mounted makes a small disk of a directory with one file in it, or none where that is not
// permitted.
func mounted(t *testing.T) (*smallDisk, string) {
	t.Helper()
	dir := nodeDir(t)
	if dir == "" {
		return nil, ""
	}
	d, err := newSmallDisk(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return d, dir
}

// nodeDir is a directory with one file in it, or nothing where no disk may be mounted.
func nodeDir(t *testing.T) string {
	t.Helper()
	if err := wan.Permitted(); err != nil && os.Getenv("RESTANTE_REQUIRE_NAMESPACES") != "1" {
		t.Logf("%v, which is fine", err) // who may not make a namespace may not mount either
		return ""
	}
	dir := filepath.Join(t.TempDir(), "node")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "data"), []byte("before"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Whoever undoes the trouble would else put a part in the place of all.
func TestADiskThatCouldNotBeCopiedIsGivenUp(t *testing.T) {
	dir := nodeDir(t)
	if dir == "" {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := newSmallDisk(ctx, dir); !errors.Is(err, context.Canceled) || d != nil {
		t.Errorf("%+v, %v", d, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "data")); err != nil || string(got) != "before" {
		t.Errorf("%q, %v", got, err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestASmallDiskIsFullAndThenIsNot(t *testing.T) {
	d, dir := mounted(t)
	if d == nil {
		return
	}
	data := filepath.Join(dir, "data")
	if got, err := os.ReadFile(data); err != nil || string(got) != "before" {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(data, []byte("after"), 0o600); err != nil {
		t.Error(err)
	}
	if err := d.fill(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "more"), make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	if err := d.moveBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(data); err != nil || string(got) != "after" {
		t.Errorf("%q, %v", got, err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(dir, filler)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the filler: %v", err)
	}
}

// A tool that is killed closes the input of the holder.
func TestASmallDiskGoesWithTheTool(t *testing.T) {
	d, dir := mounted(t)
	if d == nil {
		return
	}
	if err := d.in.Close(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.holder.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the disk is held")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
