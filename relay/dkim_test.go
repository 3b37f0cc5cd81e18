package relay_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"restante/relay"
)

// made makes a key of each kind for example.org in a directory.
func made(t *testing.T) (dir string, keys []relay.DKIMKey) {
	t.Helper()
	dir = t.TempDir()
	for selector, useEd25519 := range map[string]bool{"rsa": false, "ed": true} {
		k, err := relay.MakeDKIMKey(dir, "example.org", selector, useEd25519)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return dir, keys
}

// verified are the results of those signatures of a message that any verifier finds good,
// by the records of the keys.
func verified(t *testing.T, content string, keys []relay.DKIMKey) (good int, failed []error) {
	t.Helper()
	records := make(map[string]string)
	for _, k := range keys {
		name, text := k.Record()
		records[name] = text
	}
	results, err := dkim.VerifyWithOptions(strings.NewReader(content), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) { return []string{records[strings.TrimSuffix(name, ".")+"."]}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err == nil && r.Domain == "example.org" {
			good++
		} else {
			failed = append(failed, r.Err)
		}
	}
	return good, failed
}

func TestAKeyIsMadeOnceForItsOwnerAlone(t *testing.T) {
	dir, _ := made(t)
	info, err := os.Stat(filepath.Join(dir, "example.org.rsa.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := relay.MakeDKIMKey(dir, "example.org", "rsa", true); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made again: %v", err)
	}
	for _, c := range []struct{ domain, selector string }{
		{"Example.org", "a"}, {"", "a"}, {"example.org", ""}, {"example.org", "a.b"}, {"example.org", "A"}, {"../x", "a"}, {"example.org", "../a"}, {"[192.0.2.1]", "a"},
	} {
		if _, err := relay.MakeDKIMKey(dir, c.domain, c.selector, true); !errors.Is(err, relay.ErrKey) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("%v, %v", files, err)
	}
}

func TestTheKeysOfADirectoryAreRead(t *testing.T) {
	dir, _ := made(t)
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "mail.example.com.2026.pem", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k))
	write(t, dir, "README.txt", "", nil)
	d, err := relay.OpenDKIM(dir)
	if err != nil {
		t.Fatal(err)
	}
	other := d.Keys("mail.example.com")
	if len(d.Keys("example.org")) != 2 || len(other) != 1 || other[0].Selector != "2026" || len(d.Keys("example.com")) != 0 {
		t.Errorf("keys %v, %v, %v", d.Keys("example.org"), other, d.Keys("example.com"))
	}
	var none *relay.DKIM
	if len(none.Keys("example.org")) != 0 {
		t.Error("there are keys where there is nothing")
	}
}

func write(t *testing.T, dir, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A key that is not used in silence would be noticed when mail is refused elsewhere.
func TestAKeyThatCannotBeUsedIsToldAtTheStart(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	good, _ := made(t)
	whole, err := os.ReadFile(filepath.Join(good, "example.org.ed.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(whole)
	for _, c := range []struct {
		name, file, kind string
		der              []byte
	}{
		{"another kind", "example.org.a.pem", "PRIVATE KEY", der},
		{"no key", "example.org.a.pem", "PRIVATE KEY", []byte("x")},
		{"no key of RSA", "example.org.a.pem", "RSA PRIVATE KEY", []byte("x")},
		{"no selector", "example.pem", "PRIVATE KEY", block.Bytes},
		{"no domain", ".a.pem", "PRIVATE KEY", block.Bytes},
		{"upper case", "Example.org.a.pem", "PRIVATE KEY", block.Bytes},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, c.file, c.kind, c.der)
			if _, err := relay.OpenDKIM(dir); !errors.Is(err, relay.ErrKey) || !strings.Contains(err.Error(), c.file) {
				t.Errorf("OpenDKIM: %v", err)
			}
		})
	}
	if _, err := relay.OpenDKIM(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenDKIM of no directory: %v", err)
	}
}

func TestTheRecordOfAKeyFitsAZoneFile(t *testing.T) {
	_, keys := made(t)
	for _, k := range keys {
		name, text := k.Record()
		if want := k.Selector + "._domainkey.example.org."; name != want {
			t.Errorf("name %s; want %s", name, want)
		}
		rest, ok := strings.CutPrefix(k.ZoneLine(), name+` TXT "`)
		parts := strings.Split(strings.TrimSuffix(rest, `"`), `" "`)
		for _, p := range parts {
			ok = ok && len(p) <= 255
		}
		if !ok || strings.Join(parts, "") != text {
			t.Errorf("%s; want the name and %s", k.ZoneLine(), text)
		}
	}
}
