package seal

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// Errors of sealing. Callers compare with errors.Is.
var (
	// ErrOpen: the box was not sealed with this key and context, or was changed.
	ErrOpen = errors.New("seal: cannot open: wrong key, wrong context, or damaged")
	// ErrTruncated: a sealed stream ended before its end, or its end was changed.
	ErrTruncated = errors.New("seal: sealed stream is cut short")
	// ErrKey: a key of a wrong size, or none.
	ErrKey = errors.New("seal: no usable key")
	// ErrKeyFile: a key file that others can read, or that holds no key.
	ErrKeyFile = errors.New("seal: bad key file")
)

// KeySize is the size of a Key in bytes.
const KeySize = 32

// Key seals secrets with XChaCha20-Poly1305. Make one with NewKey, GenerateKey,
// DeriveKey or LoadKey; the zero Key seals nothing. Printing or logging it does
// not show it.
type Key struct{ secret *[KeySize]byte }

// NewKey makes a Key of KeySize random bytes from elsewhere, which it copies.
func NewKey(raw []byte) (Key, error) {
	if len(raw) != KeySize {
		return Key{}, fmt.Errorf("%w: %d bytes instead of %d", ErrKey, len(raw), KeySize)
	}
	k := Key{new([KeySize]byte)}
	copy(k.secret[:], raw)
	return k, nil
}

// GenerateKey makes a random Key.
func GenerateKey() Key {
	k := Key{new([KeySize]byte)}
	rand.Read(k.secret[:]) // never fails: crypto/rand ends the process instead
	return k
}

// DeriveKey makes a Key of a passphrase and a salt of at least 16 bytes with
// argon2id: 64 MiB, three passes, four lanes (RFC 9106 §4, the second
// recommended option).
func DeriveKey(passphrase, salt []byte) (Key, error) {
	if len(passphrase) == 0 || len(salt) < 16 {
		return Key{}, fmt.Errorf("%w: no passphrase, or a salt shorter than 16 bytes", ErrKey)
	}
	return NewKey(argon2.IDKey(passphrase, salt, 3, 64<<10, 4, KeySize))
}

// Derive gives 32 bytes for another purpose, from which neither the Key nor
// what it derives for any other purpose can be found (HKDF-SHA256, RFC 5869).
// One key file is thus enough for a server: sasl.NewDecoy(k.Derive("sasl decoy")).
func (k Key) Derive(purpose string) ([]byte, error) { return k.subkey("derive " + purpose) }

func (k Key) subkey(info string) ([]byte, error) {
	if k.secret == nil {
		return nil, ErrKey
	}
	return hkdf.Key(sha256.New, k.secret[:], nil, "postrider cipher v1 "+info, KeySize)
}

// Equal says in constant time whether two Keys are the same.
func (k Key) Equal(other Key) bool {
	if k.secret == nil || other.secret == nil {
		return k.secret == other.secret
	}
	return subtle.ConstantTimeCompare(k.secret[:], other.secret[:]) == 1
}

// String hides the key.
func (k Key) String() string { return "seal.Key(hidden)" }

// GoString hides the key.
func (k Key) GoString() string { return k.String() }

// MarshalText refuses to write the key, as into JSON: what is written in its place could
// not be read again, and the key itself belongs into no such file.
func (k Key) MarshalText() ([]byte, error) {
	return nil, errors.New("seal: a key is written by EnsureKey, to a file of its own")
}

// LogValue hides the key.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// boxVersion is the first byte of a box: XChaCha20-Poly1305 under the sealing
// subkey, nonce, ciphertext, tag.
const boxVersion = 1

// Overhead is how many bytes longer than its plaintext a box is.
const Overhead = 1 + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

// Seal encrypts plaintext under a random nonce. context says what the secret
// is and whose ("apop:alice@example.com"); the box opens with the same context
// only, so that it cannot be moved to another place. The error is ErrKey for
// the zero Key.
func (k Key) Seal(plaintext, context []byte) ([]byte, error) {
	sub, err := k.subkey("seal")
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(sub)
	if err != nil {
		return nil, fmt.Errorf("seal: seal: %w", err)
	}
	box := make([]byte, 1+aead.NonceSize(), len(plaintext)+Overhead)
	box[0] = boxVersion
	nonce := box[1:]
	rand.Read(nonce)
	return aead.Seal(box, nonce, plaintext, context), nil
}

// Open gives back what Seal encrypted, or ErrOpen.
func (k Key) Open(box, context []byte) ([]byte, error) {
	sub, err := k.subkey("seal")
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(sub)
	if err != nil {
		return nil, fmt.Errorf("seal: open: %w", err)
	}
	if len(box) < Overhead || box[0] != boxVersion {
		return nil, ErrOpen
	}
	nonce, text := box[1:1+aead.NonceSize()], box[1+aead.NonceSize():]
	plaintext, err := aead.Open(nil, nonce, text, context)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// sealedPrefix marks SealText's form.
const sealedPrefix = "sealed:"

// SealText is Seal in a form for configuration files: "sealed:" and base64.
func (k Key) SealText(plaintext, context []byte) (string, error) {
	box, err := k.Seal(plaintext, context)
	if err != nil {
		return "", err
	}
	return sealedPrefix + base64.RawStdEncoding.EncodeToString(box), nil
}

// OpenText opens what SealText gave. The error is ErrOpen also for a text of
// another form.
func (k Key) OpenText(text string, context []byte) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, sealedPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrOpen, sealedPrefix)
	}
	box, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: damaged base64", ErrOpen)
	}
	return k.Open(box, context)
}

// IsSealed reports whether text is of SealText's form.
func IsSealed(text string) bool { return strings.HasPrefix(text, sealedPrefix) }
