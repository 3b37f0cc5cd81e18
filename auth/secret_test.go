package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func TestAHashBelongsToItsPasswordAlone(t *testing.T) {
	hash, err := Hash("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=7168,t=5,p=1$") {
		t.Errorf("hash %q does not begin as promised", hash)
	}
	if !Check(hash, "correct horse") {
		t.Error("the right password is refused")
	}
	for _, wrong := range []string{"", "correct hors", "correct horse ", "Correct horse", "correct horse\x00"} {
		if Check(hash, wrong) {
			t.Errorf("%q is accepted", wrong)
		}
	}
	if again, _ := Hash("correct horse"); again == hash {
		t.Error("two hashes of one password are equal: the salt is not fresh")
	}
	if err := ValidHash(hash); err != nil {
		t.Error(err)
	}
}

// The argon2id hashes are the reference implementation's, the bcrypt hashes were
// made by crypt(3) of libxcrypt.
func TestHashesOfOtherProgramsAreChecked(t *testing.T) {
	for _, hash := range []string{
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
		"$2a$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm",
		"$2b$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm",
		"$2y$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm",
	} {
		if err := ValidHash(hash); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
		if !Check(hash, "password") {
			t.Errorf("%s: the right password is refused", hash)
		}
		if Check(hash, "Password") {
			t.Errorf("%s: a wrong password is accepted", hash)
		}
	}
}

func TestBcryptKnowsTheFirst72Octets(t *testing.T) {
	long := strings.Repeat("x", 72)
	hash, err := bcrypt.GenerateFromPassword([]byte(long), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if !Check(string(hash), long+"and more") {
		t.Error("a password longer than 72 octets is refused, though other programs made its hash")
	}
	if Check(string(hash), long[1:]) {
		t.Error("71 of 72 octets are accepted")
	}
}

const (
	someSalt = "c29tZXNhbHQ"
	someKey  = "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
)

func TestAHashThatAsksTooMuchOrIsNoneIsRefused(t *testing.T) {
	argon := func(params string) string { return "$argon2id$v=19$" + params + "$" + someSalt + "$" + someKey }
	if err := ValidHash(argon("m=131072,t=4,p=1")); err != nil {
		t.Fatalf("the most that is allowed: %v", err)
	}
	bcrypt53 := strings.Repeat("a", 53)
	if err := ValidHash("$2b$13$" + bcrypt53); err != nil {
		t.Fatalf("the most that is allowed: %v", err)
	}
	tests := map[string]string{
		"empty":                  "",
		"a password":             "secret",
		"another scheme":         "$6$salt$hash",
		"argon2i":                strings.Replace(argon("m=64,t=1,p=1"), "argon2id", "argon2i", 1),
		"a gigabyte":             argon("m=1048576,t=1,p=1"),
		"a minute":               argon("m=7168,t=5000,p=1"),
		"more work than allowed": argon("m=131072,t=5,p=1"),
		"product beyond 32 bits": argon("m=65536,t=65536,p=1"),
		"number beyond 32 bits":  argon("m=4294967360,t=1,p=1"),
		"no passes":              argon("m=64,t=0,p=1"),
		"no threads":             argon("m=64,t=1,p=0"),
		"too many threads":       argon("m=7168,t=1,p=17"),
		"threads beyond 8 bits":  argon("m=7168,t=1,p=257"),
		"too little memory":      argon("m=15,t=1,p=2"),
		"order of parameters":    argon("t=1,m=64,p=1"),
		"a parameter too many":   argon("m=64,t=1,p=1,data=AA"),
		"a sign":                 argon("m=+64,t=1,p=1"),
		"a leading zero":         argon("m=064,t=1,p=1"),
		"a space":                argon("m=64, t=1,p=1"),
		"a fourth part missing":  "$argon2id$v=19$m=64,t=1,p=1$" + someSalt,
		"no version":             "$argon2id$m=64,t=1,p=1$" + someSalt + "$" + someKey,
		"old version":            "$argon2id$v=16$m=64,t=1,p=1$" + someSalt + "$" + someKey,
		"a short salt":           "$argon2id$v=19$m=64,t=1,p=1$c29tZQ$" + someKey,
		"a short key":            "$argon2id$v=19$m=64,t=1,p=1$" + someSalt + "$c29tZQ",
		"a long key":             "$argon2id$v=19$m=64,t=1,p=1$" + someSalt + "$" + strings.Repeat("AAAA", 22),
		"padded base64":          "$argon2id$v=19$m=64,t=1,p=1$" + someSalt + "=$" + someKey,
		"a line end in base64":   "$argon2id$v=19$m=64,t=1,p=1$" + someSalt + "\n$" + someKey,
		"something after it":     argon("m=64,t=1,p=1") + "$x",
		"a mebibyte":             argon("m=64,t=1,p=1") + strings.Repeat("x", 1<<20),
		"bcrypt of 2^31 rounds":  "$2b$31$" + bcrypt53,
		"bcrypt cost 14":         "$2b$14$" + bcrypt53,
		"bcrypt cost 3":          "$2b$03$" + bcrypt53,
		"bcrypt without cost":    "$2b$" + bcrypt53,
		"bcrypt that is short":   "$2b$04$" + bcrypt53[1:],
		"bcrypt that is long":    "$2b$04$" + bcrypt53 + "a",
		"bcrypt with a space":    "$2b$04$ " + bcrypt53[1:],
		"bcrypt of 2x":           "$2x$04$" + bcrypt53,
	}
	for name, hash := range tests {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			err := ValidHash(hash)
			if !errors.Is(err, ErrHash) {
				t.Fatalf("error is %v, want ErrHash", err)
			}
			if Check(hash, "password") {
				t.Error("a password is accepted")
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			if strings.Contains(err.Error(), someKey) {
				t.Errorf("the error shows the hash: %v", err)
			}
		})
	}
}

func TestWhatLooksLikeAHashIsToldFromAPassword(t *testing.T) {
	for _, s := range []string{"$6$salt$hash", "$argon2i$v=19$x", "$2x$04$x", "$pbkdf2-sha256$1$a$b", "{SSHA}abc", "{BLF-CRYPT}$2y$05$x", "{PLAIN}x"} {
		if !LooksLikeHash(s) {
			t.Errorf("%q does not look like a hash", s)
		}
	}
	for _, s := range []string{"", "secret", "$ecret", "$$$", "pa$2b$word", "{}", "{x", "{smile}", "$-$"} {
		if LooksLikeHash(s) {
			t.Errorf("%q looks like a hash", s)
		}
	}
}

func TestOneSpellingOfAPasswordIsAllItNeeds(t *testing.T) {
	hash, err := Hash("caf\u00e9 noir")
	if err != nil {
		t.Fatal(err)
	}
	if !Check(hash, "cafe\u0301\u00a0noir") {
		t.Error("a combining accent and a no-break space are another password (RFC 8265, section 4.2)")
	}
	if Check(hash, "CAF\u00c9 noir") {
		t.Error("case makes no difference")
	}
	t.Run("octets that are not UTF-8 fit a hash of the same octets", func(t *testing.T) {
		latin1, err := bcrypt.GenerateFromPassword([]byte("caf\xe9"), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		if !Check(string(latin1), "caf\xe9") {
			t.Error("refused")
		}
	})
}

func TestWhatCannotBeAPasswordIsRefused(t *testing.T) {
	for name, password := range map[string]string{
		"empty":     "",
		"NUL":       "sec\x00ret",
		"line end":  "secret\r\n",
		"not UTF-8": "caf\xe9",
		"too long":  strings.Repeat("x", maxPassword+1),
	} {
		if _, err := Hash(password); !errors.Is(err, ErrPassword) {
			t.Errorf("%s: error is %v, want ErrPassword", name, err)
		}
	}
	if _, err := Hash(strings.Repeat("x", maxPassword)); err != nil {
		t.Errorf("the longest: %v", err)
	}
}

// FuzzValidHash asserts that what is accepted stays within the bounds and has
// one spelling, so that nothing accepted can be expensive.
func FuzzValidHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=7168,t=5,p=1$" + someSalt + "$" + someKey)
	f.Add("$2y$05$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := parseSecret(s)
		if err != nil {
			if !errors.Is(err, ErrHash) {
				t.Errorf("error is %v, want ErrHash", err)
			}
			return
		}
		if !LooksLikeHash(s) {
			t.Errorf("%q is a hash and does not look like one", s)
		}
		switch p := parsed.(type) {
		case argonSecret:
			if p.String() != s {
				t.Errorf("%q is also spelled %q", p, s)
			}
			if p.memory > maxMemory || uint64(p.memory)*uint64(p.time) > maxWork || p.time == 0 || p.threads == 0 {
				t.Errorf("%+v is out of bounds", p.argonParams)
			}
		case bcryptSecret:
			if cost, err := bcrypt.Cost([]byte(s)); err != nil || cost > maxBcryptCost {
				t.Errorf("cost %d, %v", cost, err)
			}
		}
	})
}
