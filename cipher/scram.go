package cipher

import (
	"crypto"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/xdg-go/stringprep"
)

// ScramKeys is what a server keeps for SCRAM (RFC 5802 §3) instead of the
// password. A password that is presented in clear can be checked against it
// too.
type ScramKeys struct {
	Hash       crypto.Hash // crypto.SHA1 or crypto.SHA256
	Iterations int
	Salt       []byte
	StoredKey  []byte
	ServerKey  []byte
}

// DeriveScram computes the keys of a password.
func DeriveScram(h crypto.Hash, password, salt []byte, iterations int) (*ScramKeys, error) {
	if h != crypto.SHA1 && h != crypto.SHA256 {
		return nil, fmt.Errorf("%w: SCRAM with %s", ErrForm, h)
	}
	if len(salt) == 0 || iterations < 1 || iterations > maxIterations {
		return nil, fmt.Errorf("%w: SCRAM with %d iterations and %d bytes of salt", ErrCost, iterations, len(salt))
	}
	salted, err := pbkdf2.Key(h.New, string(SASLprep(password)), salt, iterations, h.Size())
	if err != nil {
		return nil, fmt.Errorf("cipher: derive SCRAM keys: %w", err)
	}
	clientKey := mac(h, salted, "Client Key")
	stored := h.New()
	stored.Write(clientKey)
	return &ScramKeys{Hash: h, Iterations: iterations, Salt: salt,
		StoredKey: stored.Sum(nil), ServerKey: mac(h, salted, "Server Key")}, nil
}

func mac(h crypto.Hash, key []byte, text string) []byte {
	m := hmac.New(h.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// SASLprep prepares a password for SCRAM (RFC 4013), so that it does not matter
// how a keyboard composes accents. A password that SASLprep prohibits (control
// characters, not UTF-8) is taken as it is, as PostgreSQL does, since it was
// set somewhere that did not mind.
func SASLprep(password []byte) []byte {
	prepared, err := stringprep.SASLprep.Prepare(string(password))
	if err != nil || prepared == "" {
		return password
	}
	return []byte(prepared)
}

// String gives the form of RFC 5803 that PostgreSQL uses too:
// "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>".
func (k *ScramKeys) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", scramName(k.Hash), k.Iterations, b64(k.Salt), b64(k.StoredKey), b64(k.ServerKey))
}

func scramName(h crypto.Hash) string {
	if h == crypto.SHA1 {
		return "SCRAM-SHA-1"
	}
	return "SCRAM-SHA-256"
}

// ParseScram reads what String gives, and Dovecot's
// "{SCRAM-SHA-256}<iterations>,<salt>,<StoredKey>,<ServerKey>". The error is
// ErrForm or ErrCost.
func ParseScram(stored string) (*ScramKeys, error) {
	bad := fmt.Errorf("%w: damaged SCRAM string", ErrForm)
	name, field, ok := scramFields(stored)
	if !ok {
		return nil, bad
	}
	k := new(ScramKeys)
	switch strings.ToUpper(name) {
	case "SCRAM-SHA-1":
		k.Hash = crypto.SHA1
	case "SCRAM-SHA-256":
		k.Hash = crypto.SHA256
	default:
		return nil, fmt.Errorf("%w: SCRAM with a hash that is neither SHA-1 nor SHA-256", ErrForm)
	}
	n, ok := number(field[0], "", 1<<31)
	if !ok || n < 1 {
		return nil, bad
	}
	k.Iterations = int(n)
	for i, p := range []*[]byte{&k.Salt, &k.StoredKey, &k.ServerKey} {
		b, err := base64.StdEncoding.Strict().DecodeString(field[i+1])
		if err != nil || i > 0 && len(b) != k.Hash.Size() || i == 0 && (len(b) == 0 || len(b) > 64) {
			return nil, bad
		}
		*p = b
	}
	if k.Iterations > maxIterations {
		return nil, fmt.Errorf("%w: SCRAM with %d iterations", ErrCost, k.Iterations)
	}
	return k, nil
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

func parseScramForm(stored string) (*form, error) {
	k, err := ParseScram(stored)
	if err != nil {
		return nil, err
	}
	check := func(password []byte) bool {
		got, err := DeriveScram(k.Hash, password, k.Salt, k.Iterations)
		return err == nil && subtle.ConstantTimeCompare(got.StoredKey, k.StoredKey) == 1
	}
	return &form{check: check, cheap: k.Iterations < 100_000, lasting: true}, nil
}
