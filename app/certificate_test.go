package app

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestASelfSignedCertificateIsMadeOnceForAllNames(t *testing.T) {
	c := testConfig(t)
	c.Hostname = "mx.example.org"
	first := opened(t, c)
	for _, name := range []string{"localhost", "mx.example.org", "example.org", "example.net", "127.0.0.1", "::1"} {
		if err := first.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if again := opened(t, c); !bytes.Equal(first.Raw, again.Raw) {
		t.Error("a second start made another certificate")
	}
	if info, err := os.Stat(filepath.Join(c.Data, "tls", "key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info, err)
	}
	c.Domains = append(c.Domains, "example.com")
	if other := opened(t, c); other.VerifyHostname("example.com") != nil {
		t.Error("a new domain is not in the certificate")
	}
}

func TestAnInternationalizedDomainIsInTheCertificate(t *testing.T) {
	c := testConfig(t)
	c.Domains, c.Hostname = []string{"Müller.example"}, "mx.Müller.example"
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"xn--mller-kva.example", "mx.xn--mller-kva.example"} {
		if err := opened(t, c).VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}

func opened(t *testing.T, c Config) *x509.Certificate {
	t.Helper()
	cert, err := openCertificate(&c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return cert.get().Leaf
}

func TestARenewedCertificateIsReadWithoutARestart(t *testing.T) {
	c := testConfig(t)
	cert, err := openCertificate(&c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	before := cert.get().Leaf

	next := testConfig(t)
	renewed := opened(t, next)
	for _, name := range []string{"key.pem", "cert.pem"} {
		text, err := os.ReadFile(filepath.Join(next.Data, "tls", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.Data, "tls", name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(cert.certFile, later, later); err != nil {
		t.Fatal(err)
	}
	if got := cert.get().Leaf; !bytes.Equal(got.Raw, before.Raw) {
		t.Error("the file is looked at for every connection")
	}
	cert.looked = time.Time{}
	if got := cert.get().Leaf; !bytes.Equal(got.Raw, renewed.Raw) {
		t.Error("the renewed certificate is not served")
	}

	// A renewal that went wrong leaves the good one in place.
	if err := os.WriteFile(cert.certFile, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	cert.looked = time.Time{}
	if got := cert.get().Leaf; !bytes.Equal(got.Raw, renewed.Raw) {
		t.Error("a broken file took the certificate away")
	}
}

func TestASelfSignedCertificateIsMadeAnewBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(t)
		cert, err := openCertificate(&c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		first := cert.get().Leaf
		time.Sleep(selfSignedLife - selfSignedRenew - time.Hour)
		if !bytes.Equal(cert.get().Leaf.Raw, first.Raw) {
			t.Error("it was made anew long before its end")
		}
		time.Sleep(time.Hour + 2*certificateLook)
		if next := cert.get().Leaf; time.Until(next.NotAfter) < selfSignedLife-2*time.Hour {
			t.Errorf("it ends %s", next.NotAfter)
		}
	})
}

func TestACertificateThatIsNoneIsNamed(t *testing.T) {
	c := testConfig(t)
	c.TLSCert, c.TLSKey = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	if _, err := openCertificate(&c, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a missing file was accepted")
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "500": 500, "64KiB": 64 << 10, "50 MiB": 50 << 20, "1GiB": 1 << 30} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v; want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "-1", "MiB", "1MB", "1.5MiB", "99999999999GiB", "0x10"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, s)
		}
	}
}
