package cipher

import (
	"errors"
	"io"
)

// Errors of sealing. Callers compare with errors.Is.
var (
	// ErrOpen: the box was not sealed with this key and context, or was changed.
	ErrOpen = errors.New("cipher: cannot open: wrong key, wrong context, or damaged")
	// ErrTruncated: a sealed stream ended before its end.
	ErrTruncated = errors.New("cipher: sealed stream is cut short")
	// ErrKeyFile: a key file others can read, or that holds no key.
	ErrKeyFile = errors.New("cipher: bad key file")
)

// KeySize is the size of a Key in bytes.
const KeySize = 32

// Key seals secrets with XChaCha20-Poly1305. Make one with NewKey, GenerateKey,
// DeriveKey or LoadKey; the zero Key seals nothing.
type Key struct{ secret *[KeySize]byte }

// NewKey makes a Key of 32 random bytes from elsewhere.
func NewKey(raw []byte) (Key, error) { return Key{}, errors.ErrUnsupported }

// GenerateKey makes a random Key.
func GenerateKey() Key { return Key{} }

// DeriveKey makes a Key of a passphrase and a salt of at least 16 bytes with
// argon2id (64 MiB, three passes, four lanes: RFC 9106's second choice).
func DeriveKey(passphrase, salt []byte) (Key, error) { return Key{}, errors.ErrUnsupported }

// LoadKey reads a key file, which must not be readable by group or others.
func LoadKey(name string) (Key, error) { return Key{}, errors.ErrUnsupported }

// CreateKey makes a key file, 0600, with a random Key in it. It never
// overwrites one.
func CreateKey(name string) (Key, error) { return Key{}, errors.ErrUnsupported }

// EnsureKey is LoadKey, after CreateKey if there is no such file.
func EnsureKey(name string) (k Key, created bool, err error) {
	return Key{}, false, errors.ErrUnsupported
}

// Seal encrypts plaintext under a random nonce. context says what the secret
// is and whose ("apop:alice@example.com"); the box opens with the same context
// only, so that it cannot be moved to another place.
func (k Key) Seal(plaintext, context []byte) ([]byte, error) { return nil, errors.ErrUnsupported }

// Open gives back what Seal encrypted, or ErrOpen.
func (k Key) Open(box, context []byte) ([]byte, error) { return nil, errors.ErrUnsupported }

// SealText is Seal in a form for configuration files: "sealed:" and base64.
func (k Key) SealText(plaintext, context []byte) (string, error) { return "", errors.ErrUnsupported }

// OpenText opens what SealText gave.
func (k Key) OpenText(text string, context []byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// IsSealed says whether text is of SealText's form.
func IsSealed(text string) bool { return false }

// EncryptWriter seals a stream in constant memory. What is written is complete
// only after Close, which does not close w.
func (k Key) EncryptWriter(w io.Writer, context []byte) (io.WriteCloser, error) {
	return nil, errors.ErrUnsupported
}

// DecryptReader opens a stream sealed by EncryptWriter in constant memory. It
// gives only bytes that were sealed; io.EOF comes only when the stream's own
// end was reached, ErrTruncated or ErrOpen otherwise.
func (k Key) DecryptReader(r io.Reader, context []byte) (io.Reader, error) {
	return nil, errors.ErrUnsupported
}
