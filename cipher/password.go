package cipher

import (
	"errors"
)

// Errors of stored passwords. Callers compare with errors.Is.
var (
	// ErrMismatch: the password is wrong.
	ErrMismatch = errors.New("cipher: password does not match")
	// ErrForm: the stored string is of no form that is known, or is damaged.
	ErrForm = errors.New("cipher: unknown form of stored password")
	// ErrRefused: the form is known and refused; the error names the reason.
	ErrRefused = errors.New("cipher: refused")
	// ErrCost: checking it would take more memory or time than is allowed.
	ErrCost = errors.New("cipher: stored password asks for too much work")
)

// MaxPassword is the longest password in bytes that is hashed or checked.
const MaxPassword = 1024

// HashPassword gives the string to store for a password: argon2id with 19 MiB,
// two passes and one lane (the first choice of OWASP's password storage sheet)
// and a random salt of 16 bytes, in PHC form ("$argon2id$v=19$m=19456,t=2,p=1$…").
func HashPassword(password []byte) (string, error) { return "", errors.ErrUnsupported }

// VerifyPassword checks password against a stored string of any accepted form
// (see CheckForm). It returns nil, ErrMismatch, or the error CheckForm gives.
// Its work is bounded whatever the string says, but not how much of it happens
// at a time: a server uses a Verifier.
func VerifyPassword(stored string, password []byte) error { return errors.ErrUnsupported }

// NeedsRehash says whether a stored string should be replaced by
// HashPassword's at the next login: it is of another form, or of smaller
// parameters.
func NeedsRehash(stored string) bool { return false }

// CheckForm says whether a stored string can be verified against, without
// doing the work: nil, or an error that is ErrForm, ErrRefused or ErrCost and
// says why.
//
// Accepted are PHC strings of argon2id and argon2i; bcrypt ($2a$, $2b$, $2y$);
// SHA-crypt ($5$, $6$); and Dovecot's {ARGON2ID} {ARGON2I} {BLF-CRYPT} {CRYPT}
// {SHA256-CRYPT} {SHA512-CRYPT} {SSHA} {SSHA256} {SSHA512} {PBKDF2}
// {SCRAM-SHA-1} {SCRAM-SHA-256} {CRAM-MD5}, with .b64 and .hex where Dovecot
// has them. {PLAIN} is refused here; a Verifier can allow it.
func CheckForm(stored string) error { return errors.ErrUnsupported }
