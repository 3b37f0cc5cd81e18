package cassandra

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"restante/cassandra/cassandratest"
)

// The first node of a cluster of a test is here.
const firstNode = "127.0.1.1"

func TestAClusterThatAsksWhoIsThere(t *testing.T) {
	file, trusted := nodeCertificate(t)
	c := cassandratest.StartDatacenters(t, 1, 1,
		"authenticator: PasswordAuthenticator",
		"authorizer: CassandraAuthorizer",
		"role_manager: CassandraRoleManager",
		fmt.Sprintf(`client_encryption_options:
  enabled: true
  optional: true
  keystore: %s
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory`, file))
	o := optionsFor(c, "dc1", "mail")
	o.Username, o.Password = "cassandra", "cassandra" // the role that every new cluster has
	o.TLS = &tls.Config{RootCAs: trusted}

	t.Run("password and certificate are accepted", func(t *testing.T) {
		var s *Store
		eventually(t, func() (err error) { // the cluster makes its role after it has opened the port
			s, err = Open(t.Context(), o)
			return err
		})
		defer s.Close()
		if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "keyspace mail does not exist") {
			t.Errorf("Ping: %v", err)
		}
	})
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"a wrong password is refused":           {func(o *Options) { o.Password = "wrong" }, "refuses the user name and password"},
		"a user who is not there is refused":    {func(o *Options) { o.Username = "nobody" }, "refuses the user name and password"},
		"no user name is refused":               {func(o *Options) { o.Username = "" }, "wants a user name and a password"},
		"a certificate of strangers is refused": {func(o *Options) { o.TLS = &tls.Config{RootCAs: x509.NewCertPool()} }, "the certificate of Cassandra"},
		"a certificate of another is refused": {func(o *Options) {
			o.TLS = &tls.Config{RootCAs: trusted, ServerName: "cassandra.example.org"}
		}, "the certificate of Cassandra"},
	} {
		t.Run(name, func(t *testing.T) {
			o := o
			test.change(&o)
			_, err := Open(t.Context(), o)
			if !errors.Is(err, errHopeless) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open: %v", err)
			}
		})
	}
}

// nodeCertificate writes a key and a certificate for the first node to a file, and
// returns who signed it.
func nodeCertificate(t *testing.T) (file string, trusted *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "node"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.ParseIP(firstNode)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	signed := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	file = filepath.Join(t.TempDir(), "node.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), signed...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	trusted = x509.NewCertPool()
	trusted.AppendCertsFromPEM(signed)
	return file, trusted
}
