package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/app"
	"restante/cassandra"
	"restante/cassandra/cassandratest"
	"restante/mailbox"
)

func TestProgressIsALineThatChangesOnATerminal(t *testing.T) {
	p := app.Progress{Step: 2, Steps: 3, Table: "maildrop", Ring: 0.4321, Rows: 1234567, Rate: 4999.5, Found: cassandra.SweepStats{Unlisted: 7}}
	const want = "2/3 maildrop 43.2%: 1,234,567 rows, 4,999 a second; found 0 uncommitted, 0 released, 7 unlisted, 0 leftovers"
	var out bytes.Buffer
	d := &display{out: &out, width: func() int { return 200 }}
	d.show(p)
	d.show(p)
	fmt.Fprint(d, "a warning\n")
	d.clear()
	d.show(p)
	d.end()
	d.end()
	if got := out.String(); got != want+"\r\x1b[K"+want+"\r\x1b[Ka warning\n"+want+"\n" {
		t.Errorf("shown: %q", got)
	}
	out.Reset()
	d.width = func() int { return 20 }
	d.show(p)
	if got := out.String(); got != want[:19] {
		t.Errorf("shown where there is little room: %q", got)
	}
}

func TestProgressIsALineNowAndThenElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := newDisplay(&out)
		for second := range 25 {
			d.show(app.Progress{Step: 1 + second/15, Steps: 2, Table: "message", Rows: int64(second), Found: cassandra.RepairStats{}})
			time.Sleep(time.Second)
		}
		d.end()
		var rows []string
		for line := range strings.Lines(out.String()) {
			_, line, _ = strings.Cut(line, ": ")
			row, _, _ := strings.Cut(line, " ")
			rows = append(rows, row)
		}
		if got := strings.Join(rows, " "); got != "0 10 15" || strings.Contains(out.String(), "\r") {
			t.Errorf("shown: %q", out.String())
		}
	})
}

func TestNumbersAreGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 12345: "12,345", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

func TestSweepAndRepairRefuseWhatCannotWork(t *testing.T) {
	for want, args := range map[string]string{
		"--age 59m0s":            "sweep --age 59m --cassandra-datacenter dc1",
		"--age 1s":               "repair --age 1s --cassandra-datacenter dc1",
		"--rate 0":               "sweep --rate 0 --cassandra-datacenter dc1",
		"--cassandra-datacenter": "repair",
		"--cassandra-key":        "sweep --cassandra-cert a.pem --cassandra-datacenter dc1",
	} {
		if code, out, errs := runLine(t.Context(), args); code != exitUsage || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %q, %q; want %q", args, code, out, errs, want)
		}
	}
	args := "sweep --cassandra-hosts 127.0.0.1:1 --cassandra-datacenter dc1"
	if code, _, errs := runLine(t.Context(), args); code != exitFailure || !strings.Contains(errs, "connection refused") {
		t.Errorf("%s: %d, %q", args, code, errs)
	}
}

// What was true when somebody said it may not be so next time.
func TestWhatHoldsForOneRunIsNoSetting(t *testing.T) {
	for _, flag := range []string{"repaired", "restart"} {
		file := filepath.Join(t.TempDir(), "restante.yaml")
		if err := os.WriteFile(file, []byte(flag+": true\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		line := "sweep --cassandra-datacenter dc1 --config " + file
		if code, _, errs := runLine(t.Context(), line); code != exitUsage || !strings.Contains(errs, fmt.Sprintf("unknown setting %q", flag)) {
			t.Errorf("%s in the file: %d, %q", flag, code, errs)
		}
		if _, out, _ := runLine(t.Context(), "sweep --help"); strings.Contains(out, "$RESTANTE_"+strings.ToUpper(flag)) || !strings.Contains(out, "--"+flag) {
			t.Errorf("the help says %q", out)
		}
	}
}

// runLine carries out a command line.
func runLine(ctx context.Context, line string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = run(ctx, streams{strings.NewReader(""), &stdout, &stderr}, strings.Fields(line))
	return code, stdout.String(), stderr.String()
}

func TestSweepAndRepairOnCassandra(t *testing.T) {
	c := cassandratest.Start(t)
	dc := c.Datacenters()[0]
	keyspace := c.Keyspace(t)
	at := fmt.Sprintf(" --cassandra-hosts %s --cassandra-datacenter %s --cassandra-keyspace %s", strings.Join(c.Hosts(), ","), dc, keyspace)
	if code, _, errs := runLine(t.Context(), "sweep"+at); code != exitFailure || !strings.Contains(errs, "run restante schema apply") {
		t.Errorf("without tables: %d, %q", code, errs)
	}
	if code, _, errs := runLine(t.Context(), "schema apply"+at); code != 0 {
		t.Fatal(errs)
	}
	db := c.Session(t, dc, keyspace)
	ids := mailbox.MessageIDs{Now: func() time.Time { return time.Now().Add(-30 * time.Hour) }}
	drop := mailbox.MaildropOf(mailbox.Address{Local: "fred", Domain: "example.org"}, 1)
	// A content that was not committed, one that nobody lists, and a line without one.
	var messages []string
	for i := range 3 {
		id := ids.Next()
		messages = append(messages, id.String())
		var err error
		switch at := id.Time().UnixMicro(); i {
		case 0:
			err = db.Query("INSERT INTO message (id, part, data) VALUES (?, 0, ?)", id.String(), []byte("x")).WithTimestamp(at).Exec()
		case 1:
			err = db.Query("INSERT INTO message (id, part, data, octets, parts, maildrops) VALUES (?, 0, ?, 1, 1, ?)", id.String(), []byte("x"), []string{drop.String()}).
				WithTimestamp(at).Exec()
		case 2:
			err = db.Query("INSERT INTO maildrop (maildrop, lane, ord, id, octets, recipients) VALUES (?, ?, 0, ?, 1, 1)", drop.String(), ids.Next().String(), id.String()).
				WithTimestamp(at).Exec()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	play := func(line, want string) {
		t.Helper()
		code, out, errs := runLine(t.Context(), line+at)
		if code != 0 || out != want {
			t.Errorf("%s: %d, %q, %q; want %q", line, code, out, errs, want)
		}
		steps := 3
		if strings.HasPrefix(line, "repair") {
			steps = 4
		}
		if !strings.Contains(errs, fmt.Sprintf("1/%d ", steps)) || !strings.Contains(errs, fmt.Sprintf("%[1]d/%[1]d ", steps)) {
			t.Errorf("%s shows %q", line, errs)
		}
	}
	play("repair", fmt.Sprintf("missing: message %s, maildrop %s\ndangling: message %s, maildrop %[2]s\n", messages[1], drop, messages[2])+
		"found, and changed nothing: 1 missing from listings, 1 listed without content\n")
	play("sweep --age 40h", "deleted: 0 uncommitted, 0 released, 0 unlisted, 0 leftovers\n")
	play("sweep --dry-run", "found, and deleted nothing: 1 uncommitted, 0 released, 1 unlisted, 0 leftovers\n")
	play("sweep", "deleted: 1 uncommitted, 0 released, 1 unlisted, 0 leftovers\n")
	play("sweep", "deleted: 0 uncommitted, 0 released, 0 unlisted, 0 leftovers\n")
	play("repair --apply", fmt.Sprintf("dangling: message %s, maildrop %s\n", messages[2], drop)+"mended: 0 missing from listings, 1 listed without content\n")
	play("repair", "found, and changed nothing: 0 missing from listings, 0 listed without content\n")

	stopped, stop := context.WithCancel(t.Context())
	stop()
	if code, _, errs := runLine(stopped, "sweep"+at); code != exitFailure || !strings.Contains(errs, "stopped half-way") {
		t.Errorf("stopped: %d, %q", code, errs)
	}
}
