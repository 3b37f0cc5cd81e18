package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// How long a self-signed certificate lasts, when it is made anew, and how often
// a certificate's file is looked at.
const (
	selfSignedLife  = 397 * 24 * time.Hour
	selfSignedRenew = 30 * 24 * time.Hour
	certificateLook = time.Minute
)

// A certificate is a chain and key in two files, read again when they change,
// so that a renewal needs no restart.
type certificate struct {
	certFile, keyFile string
	selfSigned        []string // names; none: the certificate is the operator's
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time // modification of certFile
	looked  time.Time
}

// openCertificate reads the configured certificate, or makes a self-signed one
// in the data directory.
func openCertificate(c *Config, log *slog.Logger) (*certificate, error) {
	cert := &certificate{certFile: c.TLSCert, keyFile: c.TLSKey, log: log}
	if c.TLSCert == "" {
		cert.certFile, cert.keyFile = filepath.Join(c.Data, "tls", "cert.pem"), filepath.Join(c.Data, "tls", "key.pem")
		cert.selfSigned = append([]string{"localhost", c.Hostname}, c.Domains...)
	}
	if err := cert.sign(); err != nil {
		return nil, err
	}
	return cert, cert.load()
}

// config is what every listener with TLS uses (RFC 8314, section 4, asks for
// TLS 1.2 or better).
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	}
}

func (c *certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) > certificateLook {
		c.looked = now
		if time.Until(c.current.Leaf.NotAfter) < selfSignedRenew {
			if err := c.sign(); err != nil {
				c.log.Error("certificate not made anew", "file", c.certFile, "err", err)
			}
		}
		if info, err := os.Stat(c.certFile); err == nil && !info.ModTime().Equal(c.changed) {
			if err := c.load(); err != nil {
				c.log.Error("certificate not renewed", "file", c.certFile, "err", err)
			}
		}
	}
	return c.current
}

// sign sees to it that a self-signed certificate is there and lasts for some time.
func (c *certificate) sign() error {
	if c.selfSigned == nil {
		return nil
	}
	return selfSigned(c.certFile, c.keyFile, c.selfSigned)
}

func (c *certificate) load() error {
	info, err := os.Stat(c.certFile)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current, c.changed, c.looked = &pair, info.ModTime(), time.Now()
	return nil
}

// selfSigned makes a certificate for the names unless a good one is there.
func selfSigned(certFile, keyFile string, names []string) error {
	if goodFor(certFile, keyFile, names) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return fmt.Errorf("make a serial number: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[len(names)-1]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode a key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(keyFile), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// goodFor reports whether the certificate is usable for some time yet, under
// all the names.
func goodFor(certFile, keyFile string, names []string) bool {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil || time.Until(pair.Leaf.NotAfter) < selfSignedRenew {
		return false
	}
	for _, name := range names {
		if pair.Leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}
