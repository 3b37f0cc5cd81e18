package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/scenario"
)

func TestAccountsOfOneHashCanLogIn(t *testing.T) {
	dir := t.TempDir()
	binary, err := peer.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := peer.Find(report.Ours)
	if err != nil {
		t.Fatal(err)
	}
	server, err := kind.Start(t.Context(), peer.Settings{Dir: filepath.Join(dir, "server"), Users: 2, Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := importAccounts(t.Context(), nil, binary, server.Admin, server.Data, 2, 10); err != nil {
		t.Fatal(err)
	}
	all := scenario.Login{
		Load:   scenario.Load{Address: server.POP3, Connections: 2, Count: 10, Users: 10, Pattern: peer.Pattern, Password: peer.Password},
		Expect: 0,
	}
	faultless(t.Context(), t, "log in", all)
	if err := importAccounts(t.Context(), nil, binary, server.Admin, server.Data, 9, 11); err == nil || !strings.Contains(err.Error(), "user9@") {
		t.Errorf("an account is made twice: %v", err)
	}
}

func TestALineOfAnAccountHasTheHash(t *testing.T) {
	file := filepath.Join(t.TempDir(), "accounts")
	if err := writeAccounts(file, 80, 82, hash(peer.Password)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	lines := strings.Split(string(text), "\n")
	if err != nil || len(lines) != 3 || !strings.HasPrefix(lines[1], "user81@example.test:$argon2id$v=19$m=7168,t=5,p=1$") || lines[2] != "" {
		t.Errorf("%q, %v", lines, err)
	}
}
