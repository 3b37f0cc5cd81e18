package relay

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/emersion/go-msgauth/dkim"

	"restante/mailbox"
)

// A DKIMKey signs mail of a domain (RFC 6376).
type DKIMKey struct {
	Domain   string
	Selector string
	signer   crypto.Signer // RSA or Ed25519
}

// ErrKey is what is wrong with a key.
var ErrKey = errors.New("relay: not a DKIM key")

// Bounds of RSA keys, in bits. RFC 8301, section 3.2, asks for at least 1,024 and for
// 2,048 where a key is made; and verifiers need not take more than 4,096.
const (
	minRSA  = 1024
	madeRSA = 2048
	maxRSA  = 4096
)

// keySuffix ends the names of the files that are keys.
const keySuffix = ".pem"

// DKIM signs by the keys in a directory. The nil DKIM signs nothing.
type DKIM struct{ keys map[string][]DKIMKey }

// OpenDKIM reads the keys of a directory: files DOMAIN.SELECTOR.pem with a private key
// of RSA or Ed25519 in PKCS #8, or of RSA in PKCS #1. Mail of a domain that has several
// is signed with each, so that verifiers choose what they understand (RFC 8463, section
// 3). Other files are left alone.
func OpenDKIM(dir string) (*DKIM, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("relay: read DKIM keys: %w", err)
	}
	d := &DKIM{keys: make(map[string][]DKIMKey)}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), keySuffix)
		if !ok || f.IsDir() {
			continue
		}
		k, err := readKey(dir, name)
		if err != nil {
			return nil, err
		}
		d.keys[k.Domain] = append(d.keys[k.Domain], k)
	}
	return d, nil
}

// Keys are those of a domain, in canonical form.
func (d *DKIM) Keys(domain string) []DKIMKey {
	if d == nil {
		return nil
	}
	return d.keys[domain]
}

func readKey(dir, name string) (DKIMKey, error) {
	wrong := func(err error) (DKIMKey, error) {
		return DKIMKey{}, fmt.Errorf("%w: %s: %w", ErrKey, name+keySuffix, err)
	}
	dot := strings.LastIndexByte(name, '.')
	k, err := namedKey(name[:max(dot, 0)], name[dot+1:])
	if err != nil {
		return wrong(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, name+keySuffix))
	if err != nil {
		return wrong(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return wrong(errors.New("no PEM in it"))
	}
	if k.signer, err = parseKey(block); err != nil {
		return wrong(err)
	}
	return k, nil
}

// namedKey is a key without the key.
func namedKey(domain, selector string) (DKIMKey, error) {
	a, err := mailbox.ParseRoute("@" + domain)
	switch {
	case err != nil:
		return DKIMKey{}, fmt.Errorf("domain %q: %w", domain, err)
	case a.Domain != domain || strings.HasPrefix(domain, "["):
		return DKIMKey{}, fmt.Errorf("domain %q is not in lower case, or not a name", domain)
	}
	if b, err := mailbox.ParseRoute("@" + selector); err != nil || b.Domain != selector || strings.ContainsAny(selector, ".[") {
		return DKIMKey{}, fmt.Errorf("selector %q is not a label in lower case", selector)
	}
	return DKIMKey{Domain: domain, Selector: selector}, nil
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	if block.Type == "RSA PRIVATE KEY" {
		k, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		return fitRSA(k)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	switch k := k.(type) {
	case *rsa.PrivateKey:
		return fitRSA(k)
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fmt.Errorf("%T is neither RSA nor Ed25519", k)
}

func fitRSA(k *rsa.PrivateKey) (crypto.Signer, error) {
	if n := k.N.BitLen(); n < minRSA || n > maxRSA {
		return nil, fmt.Errorf("RSA of %d bits, want %d to %d", n, minRSA, maxRSA)
	}
	return k, nil
}

// MakeDKIMKey makes a key and its file in the directory, readable for the owner alone:
// RSA of 2,048 bits, or Ed25519, which some verifiers do not know yet. It fails with
// fs.ErrExist where there is such a file.
func MakeDKIMKey(dir, domain, selector string, useEd25519 bool) (DKIMKey, error) {
	k, err := namedKey(domain, selector)
	if err != nil {
		return DKIMKey{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if useEd25519 {
		_, k.signer, err = ed25519.GenerateKey(rand.Reader)
	} else {
		k.signer, err = rsa.GenerateKey(rand.Reader, madeRSA)
	}
	if err != nil {
		return DKIMKey{}, fmt.Errorf("relay: make DKIM key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.signer)
	if err != nil {
		return DKIMKey{}, fmt.Errorf("relay: make DKIM key: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, domain+"."+selector+keySuffix), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return DKIMKey{}, fmt.Errorf("relay: write DKIM key: %w", err)
	}
	err = errors.Join(pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der}), f.Sync(), f.Close())
	if err != nil {
		return DKIMKey{}, errors.Join(fmt.Errorf("relay: write DKIM key: %w", err), os.Remove(f.Name()))
	}
	return k, nil
}

// Record is what has to stand in the DNS so that others can verify (RFC 6376, section
// 3.6.1): the name, and the text of a TXT record.
func (k DKIMKey) Record() (name, text string) {
	algorithm, public := "ed25519", []byte(nil)
	switch p := k.signer.Public().(type) {
	case ed25519.PublicKey:
		public = p // bare (RFC 8463, section 4)
	case *rsa.PublicKey:
		algorithm = "rsa"
		public, _ = x509.MarshalPKIXPublicKey(p) // fails for types that it does not know
	}
	return k.Selector + "._domainkey." + k.Domain + ".", "v=DKIM1; k=" + algorithm + "; p=" + base64.StdEncoding.EncodeToString(public)
}

// ZoneLine is the record as a zone file has it, in strings of at most 255 octets (RFC
// 1035, section 3.3.14).
func (k DKIMKey) ZoneLine() string {
	name, text := k.Record()
	var parts []string
	for len(text) > 0 {
		n := min(len(text), 255)
		parts = append(parts, `"`+text[:n]+`"`)
		text = text[n:]
	}
	return name + " TXT " + strings.Join(parts, " ")
}

// Fields of the header that are signed where they are there (RFC 6376, section 5.4.1).
// Of oversigned ones one more is signed than there are, so that none can be added.
var (
	oversigned = []string{"From", "To", "Cc", "Subject", "Reply-To"}
	signedOnce = []string{
		"Date", "Message-ID", "In-Reply-To", "References", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
	}
)

// signatures are the DKIM-Signature fields of a message whose content is written to
// them. It must be closed.
type signatures struct{ signers []*dkim.Signer }

func newSignatures(h *header, keys []DKIMKey) (*signatures, error) {
	count := make(map[string]int)
	for _, f := range h.fields {
		count[fieldName(f)]++
	}
	var names []string
	for _, name := range oversigned {
		for range count[strings.ToLower(name)] + 1 {
			names = append(names, name)
		}
	}
	for _, name := range signedOnce {
		for range count[strings.ToLower(name)] {
			names = append(names, name)
		}
	}
	s := new(signatures)
	for _, k := range keys {
		signer, err := dkim.NewSigner(&dkim.SignOptions{
			Domain: k.Domain, Selector: k.Selector, Signer: k.signer, HeaderKeys: names,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		})
		if err != nil {
			s.close()
			return nil, fmt.Errorf("sign for %s by %s: %w", k.Domain, k.Selector, err)
		}
		s.signers = append(s.signers, signer)
	}
	return s, nil
}

func (s *signatures) Write(p []byte) (int, error) {
	for _, signer := range s.signers {
		if _, err := signer.Write(p); err != nil {
			return 0, fmt.Errorf("sign: %w", err)
		}
	}
	return len(p), nil
}

// fields are the signatures, after all of the content.
func (s *signatures) fields() (string, error) {
	var b strings.Builder
	for _, signer := range s.signers {
		if err := signer.Close(); err != nil {
			return "", fmt.Errorf("sign: %w", err)
		}
		b.WriteString(signer.Signature())
	}
	return b.String(), nil
}

// close ends the signing; it is harmless after fields.
func (s *signatures) close() {
	for _, signer := range s.signers {
		_ = signer.Close() // of a content that broke off nothing can be signed
	}
}

var _ io.Writer = (*signatures)(nil)
