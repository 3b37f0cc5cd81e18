package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"restante/internal/freeport"
)

// mailUser owns the mail of Dovecot, which never handles mail as root.
const mailUser = "nobody"

// A dovecot is Dovecot with one of its mailbox formats.
type dovecot string

// dovecotConfig is tuned: processes stay and serve many, passwords are static
// and cached, nothing is encrypted. Mail is synced as by default: LMTP answers
// when it is on the disk.
const dovecotConfig = `
base_dir = {{dir}}/run
state_dir = {{dir}}/state
log_path = {{dir}}/dovecot.log
instance_name = {{dir}}
protocols = pop3 lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_cache_size = 16M
auth_cache_ttl = 1 hour
auth_cache_negative_ttl = 1 hour
mail_location = {{format}}:{{dir}}/mail/%u
mail_fsync = optimized
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 0
default_client_limit = 4096
default_process_limit = 2048
lmtp_save_to_detail_mailbox = no
passdb {
  driver = static
  args = password={{password}}
}
userdb {
  driver = static
  args = uid={{uid}} gid={{gid}} home={{dir}}/mail/%u allow_all_users=yes
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = {{lmtp}}
  }
  service_count = 0
  client_limit = 1
  process_limit = 256
}
service pop3-login {
  inet_listener pop3 {
    address = 127.0.0.1
    port = {{pop3}}
  }
  inet_listener pop3s {
    port = 0
  }
  service_count = 0
  process_min_avail = 2
}
service pop3 {
  service_count = 1000
  process_limit = 2048
}
service anvil {
  client_limit = 8192
}
service auth {
  client_limit = 8192
}
`

func (format dovecot) start(ctx context.Context, s Settings) (server *Server, err error) {
	binary, err := installed("dovecot")
	if err != nil {
		return nil, err
	}
	uid, gid, err := ids(mailUser)
	if err != nil {
		return nil, err
	}
	ports, release, err := freeport.Hold(2)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = release()
		}
	}()
	mail := filepath.Join(s.Dir, "mail")
	if err := os.MkdirAll(mail, 0o755); err != nil {
		return nil, err
	}
	if err := os.Chown(mail, uid, gid); err != nil {
		return nil, fmt.Errorf("dovecot runs as root here: %w", err)
	}
	config := filepath.Join(s.Dir, "dovecot.conf")
	text := strings.NewReplacer("{{dir}}", s.Dir, "{{format}}", string(format), "{{password}}", Password,
		"{{uid}}", strconv.Itoa(uid), "{{gid}}", strconv.Itoa(gid),
		"{{lmtp}}", port(ports[0]), "{{pop3}}", port(ports[1])).Replace(dovecotConfig)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	server = &Server{Name: "dovecot-" + string(format), LMTP: ports[0], POP3: ports[1], log: filepath.Join(s.Dir, "dovecot.log")}
	server.Version = firstLine(ctx, binary, "--version")
	start := time.Now()
	if server.process, err = launch(release, server.log, nil, binary, "-F", "-c", config); err != nil {
		return nil, err
	}
	if err := server.await(ctx, start); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return server, nil
}

// ids are a user's numbers.
func ids(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}
