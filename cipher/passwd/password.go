package passwd

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// Errors of stored passwords. Callers compare with errors.Is.
var (
	// ErrMismatch: the password is wrong.
	ErrMismatch = errors.New("passwd: password does not match")
	// ErrPassword: a password to be stored is empty or longer than MaxPassword.
	ErrPassword = sasl.ErrPassword
	// ErrForm: the stored string is of no form that is known, or is damaged.
	ErrForm = sasl.ErrForm
	// ErrClear: the stored string is no hash at all, but a password, it seems. Such
	// an error is ErrForm as well.
	ErrClear = fmt.Errorf("%w: it looks like a password in clear", ErrForm)
	// ErrRefused: the form is known and refused; the error says why.
	ErrRefused = errors.New("passwd: refused")
	// ErrCost: checking it would take more memory or time than is allowed.
	ErrCost = sasl.ErrCost
)

// MaxPassword is the longest password in bytes that is hashed or checked.
const MaxPassword = sasl.MaxPassword

// maxStored is the longest stored string that is looked at, in bytes.
const maxStored = 1024

// Hash gives the string to store for a password: argon2id with 19 MiB,
// two passes and one lane (the first choice of OWASP's password storage sheet)
// and a random salt of 16 bytes, in PHC form ("$argon2id$v=19$m=19456,t=2,p=1$…").
// It is prepared with sasl.SASLprep, so that it does not matter how a keyboard
// composes accents. The error is ErrPassword.
func Hash(password []byte) (string, error) {
	if len(password) == 0 || len(password) > MaxPassword {
		return "", ErrPassword
	}
	h := standard
	h.salt = make([]byte, 16)
	rand.Read(h.salt) // never fails: crypto/rand ends the process instead
	h.sum = h.compute(sasl.SASLprep(password))
	return h.String(), nil
}

// Verify checks password against a stored string of any accepted form
// (see CheckForm). It returns nil, ErrMismatch, or the error CheckForm gives.
// The password is tried as it is and, if that differs, as SASLprep prepares it:
// one keyboard sends an accent as a character of its own, another does not. An
// empty password matches nothing. The work is bounded whatever the string
// says, but not how much of it happens at a time: a server uses a Verifier.
func Verify(stored string, password []byte) error {
	f, err := parseStored(stored, false)
	if err != nil {
		return err
	}
	if !f.matches(password) {
		return ErrMismatch
	}
	return nil
}

// NeedsRehash reports whether a stored string should be replaced by
// Hash's at the next login: it is of another form, or of smaller
// parameters, or not readable at all. SCRAM and CRAM-MD5 strings are left
// alone, because they serve those mechanisms as well.
func NeedsRehash(stored string) bool {
	f, err := parseStored(stored, true)
	return err != nil || !f.lasting
}

// CheckForm reports whether a stored string can be verified against, without
// doing the work: nil, or an error that is ErrForm, ErrRefused or ErrCost and
// says why, without repeating the string.
//
// Accepted are PHC strings of argon2id and argon2i; bcrypt ($2a$, $2b$, $2y$);
// SHA-crypt ($5$, $6$); PBKDF2 ($pbkdf2-sha256$ and its kin); SCRAM keys
// (SCRAM-SHA-256$…, RFC 5803); and Dovecot's {ARGON2ID} {ARGON2I} {BLF-CRYPT}
// {CRYPT} {SHA256-CRYPT} {SHA512-CRYPT} {SSHA} {SSHA256} {SSHA512} {PBKDF2}
// {SCRAM-SHA-1} {SCRAM-SHA-256} {CRAM-MD5}, with .b64 and .hex where Dovecot
// takes them. {PLAIN} is refused here; a Verifier can allow it.
func CheckForm(stored string) error {
	_, err := parseStored(stored, false)
	return err
}

// form is a stored string that was parsed and found within the limits.
type form struct {
	check  func(password []byte) bool
	memory uint32 // KiB that check takes
	cheap  bool   // check takes less time than Hash's form
	// lasting: there is nothing better to replace it with.
	lasting bool
}

func (f *form) matches(password []byte) bool {
	return len(password) > 0 && len(password) <= MaxPassword && f.try(password)
}

// try checks a password as it is, then as SASLprep prepares it.
func (f *form) try(password []byte) bool {
	if f.check(password) {
		return true
	}
	prepared := sasl.SASLprep(password)
	return !bytes.Equal(prepared, password) && len(prepared) <= MaxPassword && f.check(prepared)
}

// parseStored is the one reader of stored strings.
func parseStored(stored string, allowPlain bool) (*form, error) {
	switch {
	case len(stored) > maxStored:
		return nil, fmt.Errorf("%w: %d bytes long", ErrForm, len(stored))
	case strings.HasPrefix(stored, "{"):
		return parseDovecot(stored, allowPlain)
	case strings.HasPrefix(stored, "$"):
		return parseModular(stored)
	case strings.HasPrefix(stored, "SCRAM-"):
		return parseScram(stored)
	case stored == "":
		return nil, fmt.Errorf("%w: it is empty", ErrForm)
	}
	return nil, ErrClear
}

// scheme is a kind of "$id$…" strings. To read another one takes a line here and
// a file that parses it.
type scheme struct {
	ids   []string
	name  string // as Kind has it; empty for the id itself
	parse func(stored string) (*form, error)
}

func schemes() []scheme {
	return []scheme{
		{[]string{"argon2id", "argon2i"}, "", parseArgon2},
		{[]string{"2a", "2b", "2y"}, "bcrypt", parseBcrypt},
		{[]string{"5", "6"}, "SHA-crypt", parseSHACrypt},
		{[]string{"pbkdf2", "pbkdf2-sha256", "pbkdf2-sha512"}, "", parsePBKDF2},
		{[]string{"argon2d"}, "", refusing(ErrRefused, "argon2d leaks through side channels; use argon2id")},
		{[]string{"2x"}, "", refusing(ErrRefused, "$2x$ marks hashes of a faulty bcrypt")},
		{[]string{"1", "apr1", "md5"}, "MD5-crypt", refusing(ErrRefused, "MD5-crypt is too weak; use argon2id")},
		{[]string{"y", "gy"}, "yescrypt", refusing(ErrForm, "yescrypt is not supported; use argon2id")},
		{[]string{"7", "scrypt"}, "scrypt", refusing(ErrForm, "scrypt is not supported; use argon2id")},
	}
}

func refusing(err error, why string) func(string) (*form, error) {
	return func(string) (*form, error) { return nil, fmt.Errorf("%w: %s", err, why) }
}

// modular finds the scheme of a "$id$…" string.
func modular(stored string) (s scheme, id string) {
	id, _, _ = strings.Cut(stored[1:], "$")
	for _, s := range schemes() {
		if slices.Contains(s.ids, id) {
			return s, id
		}
	}
	return scheme{}, id
}

// parseModular reads the "$id$…" forms by their id.
func parseModular(stored string) (*form, error) {
	s, _ := modular(stored)
	switch {
	case s.parse != nil:
		return s.parse(stored)
	case strings.Count(stored, "$") < 2:
		return nil, ErrClear
	}
	return nil, fmt.Errorf("%w: $…$ with an id that is none of argon2id, 2b, 5, 6, pbkdf2", ErrForm)
}

// Kind names the form of a stored string, whether it can be used or not, for a
// list of accounts: "argon2id", "bcrypt", "SHA-crypt", "{SSHA}", "SCRAM-SHA-256".
// It is "unknown" for what looks like none.
func Kind(stored string) string {
	switch {
	case strings.HasPrefix(stored, "$"):
		s, id := modular(stored)
		return cmp.Or(s.name, id, "unknown")
	case strings.HasPrefix(stored, "{") && strings.Contains(stored, "}"):
		kind, _, _ := strings.Cut(stored, "}")
		return kind + "}"
	case strings.HasPrefix(stored, "SCRAM-") && strings.Contains(stored, "$"):
		kind, _, _ := strings.Cut(stored, "$")
		return kind
	}
	return "unknown"
}
