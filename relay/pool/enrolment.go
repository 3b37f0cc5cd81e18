package pool

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"time"

	"restante/mailbox"
)

// An Enrolment is leave to register services. Who has its token may register whatever is
// in its scope, and then receives mail: it is as good as a password.
type Enrolment struct {
	Digest  string    `json:"digest"`           // of the token; see [Digest]
	Note    string    `json:"note,omitempty"`   // for people
	Names   string    `json:"names"`            // pattern of the names, as path.Match has it; empty: all
	Kinds   []string  `json:"kinds,omitempty"`  // none: all that may register
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

type enrolment struct {
	Enrolment
	configured bool
	version    int64
}

const (
	maxEnrolments   = 1000
	enrolmentPrefix = "enrolment/"
)

// Digest is what is kept of a token: SHA-256 in hexadecimal digits. Tokens are random, so
// nothing is gained by a slow one.
func Digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// newToken is a token that nobody can guess.
func newToken() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (e Enrolment) check() error {
	digest, err := hex.DecodeString(e.Digest)
	if err != nil || len(digest) != sha256.Size {
		return fmt.Errorf("pool: enrolment %q: %w: the digest is not one of SHA-256", e.Note, ErrInvalid)
	}
	if _, err := path.Match(e.Names, ""); err != nil || len(e.Names) > 64 {
		return fmt.Errorf("pool: enrolment %q: %w: pattern %.70q", e.Note, ErrInvalid, e.Names)
	}
	if len(e.Kinds) > 16 || len(e.Note) > maxText {
		return fmt.Errorf("pool: enrolment: %w: too many kinds, or too long a note", ErrInvalid)
	}
	return nil
}

// allows fails with ErrScope unless a service may register by this enrolment.
func (e Enrolment) allows(d Document) error {
	if match, _ := path.Match(cmp.Or(e.Names, "*"), d.Name); !match {
		return fmt.Errorf("pool: register %.70q: %w: names like %s", d.Name, ErrScope, e.Names)
	}
	if len(e.Kinds) > 0 && !slices.Contains(e.Kinds, d.Kind) {
		return fmt.Errorf("pool: register %.70q: %w: kinds %v", d.Name, ErrScope, e.Kinds)
	}
	return nil
}

// enrolment is the one that a token belongs to. It fails with ErrToken.
func (p *Pool) enrolment(token string) (Enrolment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// The time it takes to find a digest says nothing about a token.
	e := p.enrolments[Digest(token)]
	if e == nil || !e.Expires.IsZero() && !time.Now().Before(e.Expires) {
		return Enrolment{}, fmt.Errorf("pool: enrolment: %w", ErrToken)
	}
	return e.Enrolment, nil
}

// Trust lets who has a token register any service with this process, as an enrolment of
// the configuration does: the operator's own.
func (p *Pool) Trust(token, note string) {
	e := Enrolment{Digest: Digest(token), Note: note}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enrolments[e.Digest] = &enrolment{Enrolment: e, configured: true}
}

// Enrol makes an enrolment with a scope, whose digest is not looked at, and returns its
// token, which nobody can find out later.
func (p *Pool) Enrol(ctx context.Context, scope Enrolment) (Enrolment, string, error) {
	token := newToken()
	scope.Digest = Digest(token)
	if err := scope.check(); err != nil {
		return Enrolment{}, "", err
	}
	if err := p.beginSteering(ctx); err != nil {
		return Enrolment{}, "", err
	}
	defer p.endSteering()
	p.mu.Lock()
	full := len(p.enrolments) >= maxEnrolments
	p.mu.Unlock()
	if full {
		return Enrolment{}, "", fmt.Errorf("pool: enrol: %w", mailbox.ErrFull)
	}
	data, err := json.Marshal(scope)
	if err != nil {
		return Enrolment{}, "", fmt.Errorf("pool: enrol: %w", err)
	}
	e := &enrolment{Enrolment: scope, version: versionAfter(0)}
	r := Register{Key: enrolmentPrefix + scope.Digest, Version: e.version, Data: data}
	if !scope.Expires.IsZero() {
		r.Kept = time.Until(scope.Expires) + time.Hour
		if r.Kept <= 0 {
			return Enrolment{}, "", fmt.Errorf("pool: enrol: %w: it is over already", ErrInvalid)
		}
	}
	if err := p.put(ctx, r); err != nil {
		return Enrolment{}, "", err
	}
	p.mu.Lock()
	p.enrolments[scope.Digest] = e
	p.mu.Unlock()
	return scope, token, nil
}

// Enrolments are all of them, those that are over too as long as they are kept.
func (p *Pool) Enrolments() []Enrolment {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Enrolment, 0, len(p.enrolments))
	for _, e := range p.enrolments {
		all = append(all, e.Enrolment)
	}
	slices.SortFunc(all, func(a, b Enrolment) int { return cmp.Compare(a.Digest, b.Digest) })
	return all
}

// Withdraw ends an enrolment. Services that have registered by it stay. It fails with
// mailbox.ErrNotFound, and with ErrStatic where it is one of the configuration.
func (p *Pool) Withdraw(ctx context.Context, digest string) error {
	if err := p.beginSteering(ctx); err != nil {
		return err
	}
	defer p.endSteering()
	p.mu.Lock()
	e := p.enrolments[digest]
	p.mu.Unlock()
	switch {
	case e == nil:
		return fmt.Errorf("pool: withdraw enrolment: %w", mailbox.ErrNotFound)
	case e.configured:
		return fmt.Errorf("pool: withdraw enrolment: %w", ErrStatic)
	}
	r := Register{Key: enrolmentPrefix + digest, Version: versionAfter(e.version), Kept: removedKept}
	if err := p.put(ctx, r); err != nil {
		return err
	}
	p.mu.Lock()
	delete(p.enrolments, digest)
	p.mu.Unlock()
	return nil
}

// applyEnrolment takes over what another process wrote. The caller holds the lock.
func (p *Pool) applyEnrolment(digest string, r Register) {
	known := p.enrolments[digest]
	if known != nil && (known.configured || known.version >= r.Version) {
		return
	}
	if len(r.Data) == 0 {
		delete(p.enrolments, digest)
		return
	}
	e := &enrolment{version: r.Version}
	if err := json.Unmarshal(r.Data, &e.Enrolment); err != nil || e.check() != nil || e.Digest != digest {
		p.log.Warn("enrolment not understood", "key", r.Key, "err", err)
		return
	}
	if known != nil || len(p.enrolments) < maxEnrolments {
		p.enrolments[digest] = e
	}
}
