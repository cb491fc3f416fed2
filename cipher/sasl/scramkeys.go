package sasl

import (
	"crypto"
	"crypto/pbkdf2"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/stringprep"
)

// ScramIterations is how many iterations MakeScram uses: RFC 7677 §4's rule of
// thumb.
const ScramIterations = 15000

// maxIterations bounds the work of stored SCRAM keys: about a second.
const maxIterations = 2_000_000

// maxStored is the longest stored text that is looked at, in bytes.
const maxStored = 1024

// ScramKeys is what a server keeps for SCRAM (RFC 5802 §3) instead of the
// password. Which hash they were made with is told by the Kind beside them. A
// password that is presented in clear can be checked against them too: see
// DeriveScram.
type ScramKeys struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// MakeScram gives what to store for SCRAM, kind ScramSHA1 or ScramSHA256, with
// a random salt. iterations 0 means ScramIterations; RFC 5802 §5.1 asks for
// 4096 at least. The password is prepared with SASLprep. The error is
// ErrPassword, ErrForm or ErrCost.
func MakeScram(kind Kind, password []byte, iterations int) (*ScramKeys, error) {
	if len(password) == 0 || len(password) > MaxPassword {
		return nil, ErrPassword
	}
	if iterations == 0 {
		iterations = ScramIterations
	}
	if iterations < minIterations {
		return nil, fmt.Errorf("%w: SCRAM wants %d iterations or more", ErrForm, minIterations)
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	return DeriveScram(kind, password, salt, iterations)
}

// DeriveScram computes the keys of a password, prepared with SASLprep, for a
// salt and a number of iterations that are given: to check a password against
// stored keys, compare the StoredKeys. The error is ErrForm or ErrCost.
func DeriveScram(kind Kind, password, salt []byte, iterations int) (*ScramKeys, error) {
	h, ok := scramHash(kind)
	if !ok {
		return nil, fmt.Errorf("%w: no SCRAM kind", ErrForm)
	}
	if len(salt) == 0 || iterations < 1 || iterations > maxIterations {
		return nil, fmt.Errorf("%w: SCRAM with %d iterations and %d bytes of salt", ErrCost, iterations, len(salt))
	}
	salted, err := pbkdf2.Key(h.New, string(SASLprep(password)), salt, iterations, h.Size())
	if err != nil {
		return nil, fmt.Errorf("sasl: derive SCRAM keys: %w", err)
	}
	f := scramFlavour{kind: kind, hash: h}
	return &ScramKeys{Salt: salt, Iterations: iterations,
		StoredKey: f.sum(f.mac(salted, "Client Key")), ServerKey: f.mac(salted, "Server Key")}, nil
}

func scramHash(kind Kind) (crypto.Hash, bool) {
	switch kind {
	case ScramSHA1:
		return crypto.SHA1, true
	case ScramSHA256:
		return crypto.SHA256, true
	}
	return 0, false
}

// SASLprep prepares a password (RFC 4013), so that it does not matter how a
// keyboard composes accents. A password that SASLprep prohibits (control
// characters, not UTF-8) is taken as it is, as PostgreSQL does, since it was
// set somewhere that did not mind.
func SASLprep(password []byte) []byte {
	prepared, err := stringprep.SASLprep.Prepare(string(password))
	if err != nil || prepared == "" {
		return password
	}
	return []byte(prepared)
}

// FormatScram gives the text form of RFC 5803 §2 that PostgreSQL uses too:
// "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>", in base64.
func FormatScram(kind Kind, k *ScramKeys) string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", scramName(kind), k.Iterations, b64(k.Salt), b64(k.StoredKey), b64(k.ServerKey))
}

// ParseScram reads FormatScram's text, and Dovecot's
// "{SCRAM-SHA-256}<iterations>,<salt>,<StoredKey>,<ServerKey>". The error is
// ErrForm or ErrCost.
func ParseScram(text string) (Kind, *ScramKeys, error) {
	bad := fmt.Errorf("%w: damaged SCRAM string", ErrForm)
	name, field, ok := scramFields(text)
	if !ok {
		return 0, nil, bad
	}
	var kind Kind
	switch strings.ToUpper(name) {
	case scramName(ScramSHA1):
		kind = ScramSHA1
	case scramName(ScramSHA256):
		kind = ScramSHA256
	default:
		return 0, nil, fmt.Errorf("%w: SCRAM with a hash that is neither SHA-1 nor SHA-256", ErrForm)
	}
	h, _ := scramHash(kind)
	n, err := strconv.ParseUint(field[0], 10, 31)
	if err != nil || n < 1 || field[0][0] == '0' {
		return 0, nil, bad
	}
	k := &ScramKeys{Iterations: int(n)}
	for i, p := range []*[]byte{&k.Salt, &k.StoredKey, &k.ServerKey} {
		b, err := base64.StdEncoding.Strict().DecodeString(field[i+1])
		if err != nil || i > 0 && len(b) != h.Size() || i == 0 && (len(b) == 0 || len(b) > 64) {
			return 0, nil, bad
		}
		*p = b
	}
	if k.Iterations > maxIterations {
		return 0, nil, fmt.Errorf("%w: SCRAM with %d iterations", ErrCost, k.Iterations)
	}
	return kind, k, nil
}

// scramFields takes a SCRAM string of either form apart: the mechanism's name,
// iterations, salt and the two keys.
func scramFields(stored string) (name string, field [4]string, ok bool) {
	if len(stored) > maxStored {
		return "", field, false
	}
	separators, data := []string{":", "$", ":"}, ""
	if s, dovecot := strings.CutPrefix(stored, "{"); dovecot {
		separators = []string{",", ",", ","}
		name, data, _ = strings.Cut(s, "}")
	} else {
		name, data, _ = strings.Cut(stored, "$")
	}
	for i, sep := range separators {
		if field[i], data, ok = strings.Cut(data, sep); !ok {
			return name, field, false
		}
	}
	field[3] = data
	return name, field, true
}
