package smtp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"restante/mailbox"
	"restante/smtp"
)

// What a message costs beside the store: a kept connection over loopback, whose
// content is read and forgotten. The client is in the same process; it makes no
// allocations, and its CPU time is counted too.
func BenchmarkDelivery(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		body := hello + strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/72)
		b.Run(fmt.Sprintf("DATA/%dKiB", size>>10), func(b *testing.B) {
			benchmarkDelivery(b, len(body), "DATA\r\n", body+".\r\n")
		})
		b.Run(fmt.Sprintf("pipelined/%dKiB", size>>10), func(b *testing.B) {
			benchmarkDelivery(b, len(body), "", "MAIL FROM:<a@example.net>\r\nRCPT TO:<fred@example.org>\r\nDATA\r\n"+body+".\r\n")
		})
		b.Run(fmt.Sprintf("BDAT/%dKiB", size>>10), func(b *testing.B) {
			benchmarkDelivery(b, len(body), "", fmt.Sprintf("MAIL FROM:<a@example.net>\r\nRCPT TO:<fred@example.org>\r\nBDAT %d LAST\r\n", len(body))+body)
		})
	}
}

func benchmarkDelivery(b *testing.B, size int, command, content string) {
	r := newRig(b, func(o *smtp.Options) {
		o.Deliverer = &forgetful{}
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) //nolint:sloglint // what a log line costs is part of it
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	r.serve(l, false)
	defer r.stop(b)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	exchange := func(send []byte, replies int, last string) {
		if _, err := conn.Write(send); err != nil {
			b.Fatal(err)
		}
		for replies > 0 {
			line, err := in.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if line[3] == ' ' {
				if replies--; replies == 0 && string(line[:3]) != last {
					b.Fatalf("got %q", line)
				}
			}
		}
	}
	exchange([]byte("EHLO client.example.net\r\n"), 2, "250")
	mail, rcpt, data, message := []byte("MAIL FROM:<a@example.net>\r\n"), []byte("RCPT TO:<fred@example.org>\r\n"), []byte(command), []byte(content)
	replies := 3 + strings.Count(content[:100], "DATA\r\n")

	b.SetBytes(int64(size))
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		if command == "" {
			exchange(message, replies, "250")
			continue
		}
		exchange(mail, 1, "250")
		exchange(rcpt, 1, "250")
		exchange(data, 1, "354")
		exchange(message, 1, "250")
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// A forgetful deliverer reads messages and keeps none.
type forgetful struct{ ids mailbox.MessageIDs }

func (f *forgetful) Deliver(_ context.Context, _ mailbox.Envelope, content io.Reader) (mailbox.Message, error) {
	n, err := io.Copy(io.Discard, content)
	return mailbox.Message{ID: f.ids.Next(), Octets: n}, err
}

// cpu is what the process has used so far, in the kernel too.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
