package freeport_test

import (
	"io"
	"net"
	"testing"

	"restante/internal/freeport"
)

func TestAServerTakesAHeldPort(t *testing.T) {
	addrs, release, err := freeport.Hold(3)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may end and start again
		for _, addr := range addrs {
			echo(t, addr)
		}
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		echo(t, addr)
	}
}

// echo listens on an address and checks that a client is heard there.
func echo(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
		t.Errorf("%s said %q, %v", addr, got, err)
	}
}

// The kernel has some 14,000 ports for those who ask for any, and takes one by chance:
// 500 on 500 would meet some 18 times.
func TestAHeldPortIsGivenToNobody(t *testing.T) {
	const n = 500
	held := make(map[string]bool, 2*n)
	for range 2 {
		addrs, release, err := freeport.Hold(n)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = release() }()
		for _, addr := range addrs {
			if held[addr] {
				t.Fatalf("%s is given twice", addr)
			}
			held[addr] = true
		}
	}
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		if held[l.Addr().String()] {
			t.Fatalf("%s is given though it is held", l.Addr())
		}
	}
}
