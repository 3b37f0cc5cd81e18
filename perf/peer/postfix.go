package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"restante/internal/freeport"
)

// postfixMain hands everything to Dovecot by LMTP. The queue is synced before
// the answer to DATA, as always.
const postfixMain = `
compatibility_level = 3.6
queue_directory = {{dir}}/queue
data_directory = {{dir}}/lib
maillog_file = {{dir}}/postfix.log
maillog_file_prefixes = {{dir}}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = perf.example
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {{domain}}
virtual_mailbox_maps = static:all
virtual_transport = lmtp:inet:127.0.0.1:{{lmtp}}
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtputf8_enable = no
message_size_limit = 104857600
default_process_limit = 200
`

// postfixMaster has the services that one hop needs, none of them in a chroot.
const postfixMaster = `
{{smtp}}  inet  n  -  n  -     -  smtpd
pickup    unix  n  -  n  60    1  pickup
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
rewrite   unix  -  -  n  -     -  trivial-rewrite
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
trace     unix  -  -  n  -     0  bounce
verify    unix  -  -  n  -     1  verify
flush     unix  n  -  n  1000? 0  flush
proxymap  unix  -  -  n  -     -  proxymap
smtp      unix  -  -  n  -     -  smtp
relay     unix  -  -  n  -     -  smtp
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
lmtp      unix  -  -  n  -     -  lmtp
anvil     unix  -  -  n  -     1  anvil
scache    unix  -  -  n  -     1  scache
postlog   unix-dgram n - n -   1  postlogd
`

// startPostfix starts Dovecot too, with Maildir, and puts Postfix in front.
func startPostfix(ctx context.Context, s Settings) (*Server, error) {
	binary, err := installed("postfix")
	if err != nil {
		return nil, err
	}
	behind, err := dovecot("maildir").start(ctx, Settings{Dir: filepath.Join(s.Dir, "dovecot"), Users: s.Users})
	if err != nil {
		return nil, fmt.Errorf("postfix: %w", err)
	}
	server, err := postfixBefore(ctx, s, binary, behind)
	if err != nil {
		return nil, errors.Join(err, behind.Stop())
	}
	return server, nil
}

func postfixBefore(ctx context.Context, s Settings, binary string, behind *Server) (server *Server, err error) {
	ports, release, err := freeport.Hold(1)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = release()
		}
	}()
	etc := filepath.Join(s.Dir, "etc")
	if err := postfixFiles(s.Dir, etc, ports[0], behind.LMTP); err != nil {
		return nil, err
	}
	server = &Server{Name: "postfix", SMTP: ports[0], POP3: behind.POP3, behind: behind, log: filepath.Join(s.Dir, "postfix.log")}
	server.Version = "unknown"
	if conf, err := installed("postconf"); err == nil {
		server.Version = strings.TrimPrefix(firstLine(ctx, conf, "-d", "mail_version"), "mail_version = ")
	}
	start := time.Now()
	if server.process, err = launch(release, filepath.Join(s.Dir, "postfix.out"), nil, binary, "-c", etc, "start-fg"); err != nil {
		return nil, err
	}
	if err := server.await(ctx, start); err != nil {
		return nil, errors.Join(err, server.process.stop(10*time.Second))
	}
	return server, nil
}

func postfixFiles(dir, etc, smtp, lmtp string) error {
	for _, d := range []string{etc, filepath.Join(dir, "queue"), filepath.Join(dir, "lib")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	uid, gid, err := ids("postfix")
	if err != nil {
		return err
	}
	if err := os.Chown(filepath.Join(dir, "lib"), uid, gid); err != nil {
		return fmt.Errorf("postfix runs as root here: %w", err)
	}
	fill := strings.NewReplacer("{{dir}}", dir, "{{domain}}", Domain, "{{smtp}}", smtp, "{{lmtp}}", port(lmtp))
	for name, text := range map[string]string{"main.cf": postfixMain, "master.cf": postfixMaster} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(fill.Replace(text)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
