package smtp_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"restante/internal/script"
	"restante/smtp"
)

// The files of testdata are dialogues as RFCs print them; a directory for each
// kind of server.
func TestDialogues(t *testing.T) {
	for dir, kind := range map[string]smtp.Kind{
		"mx": smtp.MX, "submission": smtp.Submission, "relaying": smtp.Submission, "lmtp": smtp.LMTP,
	} {
		dialogues, err := script.Load(filepath.Join("testdata", dir, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, dialogue := range dialogues {
			name := strings.TrimSuffix(filepath.Base(dialogue.Name), ".txt")
			t.Run(dir+"/"+name, func(t *testing.T) {
				bubble(t, func(o *smtp.Options) {
					o.Kind = kind
					o.MaxOctets = 10000
					o.MaxRecipients = 3
					if dir == "relaying" {
						o.Submitter = o.Deliverer.(*post)
					}
				}, func(t *testing.T, r *rig) {
					player := script.Player{
						Dial:    func(string) (net.Conn, error) { return r.listener.dial(), nil },
						TLS:     clientTLS(),
						Timeout: patience,
					}
					if err := player.Play(dialogue); err != nil {
						t.Errorf("%v\nlog:\n%s", err, r.log)
					}
				})
			})
		}
	}
}
