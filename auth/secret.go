package auth

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// ErrHash says that the text is not a password hash that can be checked here.
var ErrHash = errors.New("unusable password hash")

// Bounds on what a hash may ask for. A hash that came by import, or that was
// mistyped, must take neither a gigabyte nor a minute, and a wrong password for it
// must be told within the floor that hides which account it was.
const (
	maxMemory     = 128 << 10 // KiB
	maxWork       = 512 << 10 // KiB × passes; about half a second
	maxThreads    = 16
	minSalt       = 8
	maxSalt       = 64
	minKey        = 16
	maxKey        = 64
	maxBcryptCost = 13
	maxSecret     = 512 // octets of a hash as text
)

// A secret is a stored password hash, ready to be compared with.
type secret interface {
	matches(password []byte) bool
}

// ValidHash reports whether s is a hash that [Check] understands and that stays
// within the bounds: argon2id in PHC form with m up to 128 MiB, bcrypt up to cost 13,
// or what [HashToken] makes. The error wraps [ErrHash] and says what is wrong, without the hash.
func ValidHash(s string) error {
	_, err := parseSecret(s)
	return err
}

// LooksLikeHash reports whether s was meant as a hash, by any scheme, rather than
// as a password: "$id$…" as crypt(3) writes it, or "{SCHEME}…" as in RFC 2307.
// An import uses it, so that a hash nobody can check does not become a password.
func LooksLikeHash(s string) bool { return hashShape.MatchString(s) }

var hashShape = regexp.MustCompile(`^(\$[0-9a-z]+(-[0-9a-z]+)*\$|\{[0-9A-Za-z.-]+\}.)`)

func parseSecret(s string) (secret, error) {
	switch {
	case len(s) > maxSecret:
		return nil, fmt.Errorf("%w: longer than %d octets", ErrHash, maxSecret)
	case strings.ContainsAny(s, "\r\n"): // the base64 decoder would skip them
		return nil, fmt.Errorf("%w: contains a line end", ErrHash)
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon(s)
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		return parseBcrypt(s)
	case strings.HasPrefix(s, tokenPrefix):
		return parseToken(s)
	}
	return nil, fmt.Errorf("%w: neither $argon2id$ nor bcrypt ($2a$, $2b$, $2y$)", ErrHash)
}

// argonParams is what argon2id costs (RFC 9106, section 3.1).
type argonParams struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// New hashes take little memory and more passes. OWASP lists 7 MiB × 5 as the
// equal of 46 MiB × 1, and the whole server is to fit in 40 MiB.
var defaultParams = argonParams{memory: 7168, time: 5, threads: 1}

const (
	defaultSalt = 16
	defaultKey  = 32
)

// An argonSecret is an argon2id hash with its salt and parameters.
type argonSecret struct {
	argonParams
	salt, key []byte
}

func (s argonSecret) matches(password []byte) bool {
	return subtle.ConstantTimeCompare(s.derive(password), s.key) == 1
}

// derive is the key of a password, as long as the key that is there.
func (s argonSecret) derive(password []byte) []byte {
	return argon2.IDKey(password, s.salt, s.time, s.memory, s.threads, uint32(len(s.key)))
}

// String is the PHC form: $argon2id$v=19$m=7168,t=5,p=1$salt$key.
func (s argonSecret) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, s.memory, s.time, s.threads,
		phc.EncodeToString(s.salt), phc.EncodeToString(s.key))
}

// PHC strings use base64 without padding, and one spelling for each value.
var phc = base64.RawStdEncoding.Strict()

func parseArgon(s string) (secret, error) {
	fail := func(why string) (secret, error) { return nil, fmt.Errorf("%w: argon2id: %s", ErrHash, why) }
	fields := strings.Split(s, "$") // "", "argon2id", version, parameters, salt, key
	if len(fields) != 6 {
		return fail("not of the form $argon2id$v=…$m=…,t=…,p=…$salt$key")
	}
	if fields[2] != "v="+strconv.Itoa(argon2.Version) {
		return fail("version is not 19")
	}
	values := strings.Split(fields[3], ",")
	if len(values) != 3 {
		return fail("parameters are not m, t and p")
	}
	m, okM := number(values[0], "m=")
	t, okT := number(values[1], "t=")
	p, okP := number(values[2], "p=")
	switch {
	case !okM || !okT || !okP:
		return fail("parameters are not m, t and p")
	case p < 1 || p > maxThreads:
		return fail(fmt.Sprintf("p is not in 1…%d", maxThreads))
	case m < 8*p || m > maxMemory: // RFC 9106, section 3.1: at least 8 KiB a lane
		return fail(fmt.Sprintf("m is not in %d…%d", 8*p, maxMemory))
	case t < 1 || m*t > maxWork:
		return fail(fmt.Sprintf("t is not in 1…%d for this m", maxWork/m))
	}
	salt, err := phc.DecodeString(fields[4])
	if err != nil || len(salt) < minSalt || len(salt) > maxSalt {
		return fail(fmt.Sprintf("salt is not %d…%d octets of base64", minSalt, maxSalt))
	}
	key, err := phc.DecodeString(fields[5])
	if err != nil || len(key) < minKey || len(key) > maxKey {
		return fail(fmt.Sprintf("key is not %d…%d octets of base64", minKey, maxKey))
	}
	params := argonParams{memory: uint32(m), time: uint32(t), threads: uint8(p)}
	return argonSecret{argonParams: params, salt: salt, key: key}, nil
}

// number reads a positive decimal of at most seven digits, in its one spelling.
func number(s, name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(s, name)
	if !ok || len(digits) > 7 || strings.HasPrefix(digits, "0") {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return n, err == nil
}

// A bcryptSecret is a bcrypt hash as crypt(3) writes it. It knows the first 72
// octets of a password, as every bcrypt does.
type bcryptSecret string

var bcryptShape = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

func (s bcryptSecret) matches(password []byte) bool {
	return bcrypt.CompareHashAndPassword([]byte(s), password) == nil
}

func parseBcrypt(s string) (secret, error) {
	cost, err := bcrypt.Cost([]byte(s))
	switch {
	case err != nil || !bcryptShape.MatchString(s):
		return nil, fmt.Errorf("%w: bcrypt: not of the form $2b$cost$ and 53 characters", ErrHash)
	case cost > maxBcryptCost:
		return nil, fmt.Errorf("%w: bcrypt: cost %d is above %d", ErrHash, cost, maxBcryptCost)
	}
	return bcryptSecret(s), nil
}
