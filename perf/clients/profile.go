package main

import (
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"restante/perf/wire"
)

// writeProfile makes the directory of a Thunderbird that has one POP3 account, or none
// yet where it is to find the server by itself, and nothing to say but mail. A profile
// that is there keeps its mail and its password; only the preferences and the trust are
// written anew.
func writeProfile(dir string, e errand) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	prefs, err := preferences(e)
	if err != nil {
		return err
	}
	override, err := certificateOverride(e)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "user.js"), prefs, 0o600),
		os.WriteFile(filepath.Join(dir, "cert_override.txt"), override, 0o600))
}

// socketType is how Thunderbird writes the security of a connection.
var socketType = map[wire.Security]int{wire.Plain: 0, wire.Upgrade: 2, wire.Implicit: 3}

// preferences are user.js.
func preferences(e errand) ([]byte, error) {
	account := map[string]any{
		"mail.accountmanager.accounts":           "account1,account2",
		"mail.accountmanager.defaultaccount":     "account1",
		"mail.accountmanager.localfoldersserver": "server2",
		"mail.account.account1.server":           "server1",
		"mail.account.account1.identities":       "id1",
		"mail.account.account2.server":           "server2",
		"mail.account.lastKey":                   2,
		"mail.identity.id1.fullName":             "Somebody",
		"mail.identity.id1.useremail":            e.address,
		"mail.identity.id1.valid":                true,
		"mail.server.server1.type":               "pop3",
		"mail.server.server1.name":               e.address,
		"mail.server.server1.hostname":           e.host,
		"mail.server.server1.port":               json.Number(e.port),
		"mail.server.server1.userName":           e.address,
		"mail.server.server1.socketType":         socketType[e.way.security],
		"mail.server.server1.authMethod":         3, // the password as it is
		"mail.server.server1.leave_on_server":    e.keep,
		"mail.server.server1.login_at_startup":   false, // it is told when
		"mail.server.server1.check_new_mail":     false,
		"mail.server.server1.storeContractID":    "@mozilla.org/msgstore/berkeleystore;1",
		"mail.server.server1.spamLevel":          0,
		"mail.server.server2.type":               "none",
		"mail.server.server2.name":               "Local Folders",
		"mail.server.server2.hostname":           "Local Folders",
		"mail.server.server2.userName":           "nobody",
		"mail.server.server2.directory-rel":      "[ProfD]Mail/Local Folders",
		"mail.server.server2.storeContractID":    "@mozilla.org/msgstore/berkeleystore;1",
	}
	proxyHost, proxyPort := "127.0.0.1", "9"
	if e.web != "" {
		account = map[string]any{"app.use_without_mail_account": true} // nothing asks for one
		var err error
		if proxyHost, proxyPort, err = net.SplitHostPort(e.web); err != nil {
			return nil, err
		}
	}
	// No greeting of any kind, no helpers, nobody called: what speaks HTTP meets
	// a proxy that is not there, or knows one domain, while mail does not ask one.
	silence := map[string]any{
		"marionette.port":                             0, // any
		"network.proxy.type":                          1,
		"network.proxy.http":                          proxyHost,
		"network.proxy.http_port":                     json.Number(proxyPort),
		"network.proxy.ssl":                           "127.0.0.1",
		"network.proxy.ssl_port":                      9,
		"app.update.enabled":                          false,
		"app.donation.eoy.version.viewed":             999,
		"browser.cache.disk.enable":                   false,
		"datareporting.policy.dataSubmissionEnabled":  false,
		"datareporting.healthreport.uploadEnabled":    false,
		"toolkit.telemetry.enabled":                   false,
		"extensions.update.enabled":                   false,
		"extensions.getAddons.cache.enabled":          false,
		"mail.accounthub.enabled":                     false,
		"mail.biff.show_alert":                        false,
		"mail.biff.play_sound":                        false,
		"mail.biff.show_tray_icon":                    false,
		"mail.chat.enabled":                           false,
		"mail.inappnotifications.enabled":             false,
		"mail.provider.enabled":                       false,
		"mail.rights.version":                         1,
		"mail.shell.checkDefaultClient":               false,
		"mail.spotlight.firstRunDone":                 true,
		"mail.winsearch.firstRunDone":                 true,
		"mailnews.start_page.enabled":                 false,
		"mailnews.start_page_override.mstone":         "ignore",
		"mailnews.attachments.display.start_expanded": true,
	}
	var b strings.Builder
	for _, group := range []map[string]any{account, silence} {
		for name, value := range group {
			raw, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, "user_pref(%q, %s);\n", name, raw)
		}
	}
	return []byte(b.String()), nil
}

// certificateOverride is cert_override.txt: for this host and port, the
// certificate with this SHA-256 fingerprint is the right one, as somebody has
// confirmed who was shown it.
func certificateOverride(e errand) ([]byte, error) {
	raw, err := os.ReadFile(e.trusted)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s: no certificate", e.trusted)
	}
	sum := sha256.Sum256(block.Bytes)
	pairs := make([]string, len(sum))
	for i, octet := range sum {
		pairs[i] = fmt.Sprintf("%02X", octet)
	}
	const sha256OID = "OID.2.16.840.1.101.3.4.2.1"
	return fmt.Appendf(nil, "# PSM Certificate Override Settings file\n%s:%s:\t%s\t%s\t\n",
		e.host, e.port, sha256OID, strings.Join(pairs, ":")), nil
}
