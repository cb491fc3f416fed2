package sealedmail

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// Errors of sealed mail. Callers compare with errors.Is.
var (
	// ErrPassword: neither password nor recovery key opens the keyring.
	ErrPassword = errors.New("sealedmail: wrong password or recovery key")
	// ErrRecovery: what was typed is no recovery key, but a slip in one.
	ErrRecovery = errors.New("sealedmail: that is no recovery key: something in it is mistyped")
	// ErrKeyring: the keyring's text is damaged or of an unknown version.
	ErrKeyring = errors.New("sealedmail: damaged keyring")
	// ErrOpen: the message is not sealed to this mailbox, or was changed or
	// cut short.
	ErrOpen = errors.New("sealedmail: cannot open message")
	// ErrSize: no sealed message has this size.
	ErrSize = errors.New("sealedmail: impossible size")
)

// The sizes of an age file with one X25519 recipient, in bytes.
const (
	magic     = "age-encryption.org/v1\n"
	headSize  = len(magic) + len("-> X25519 \n\n--- \n") + 3*43 // share, file key, MAC in base64
	nonceSize = 16
	chunkSize = 64 << 10
	tagSize   = 16
)

// SealedSize is the size of a sealed message in bytes, known before it is
// sealed, for quotas and file names.
func SealedSize(plain int64) int64 {
	chunks := max(1, (plain+chunkSize-1)/chunkSize)
	return int64(headSize) + nonceSize + plain + chunks*tagSize
}

// PlainSize is SealedSize's inverse: the size of a message whose sealed size is
// known, without opening it. The error is ErrSize.
func PlainSize(sealed int64) (int64, error) {
	payload := sealed - int64(headSize) - nonceSize
	chunks := (payload + chunkSize + tagSize - 1) / (chunkSize + tagSize)
	plain := payload - chunks*tagSize
	if payload < tagSize || SealedSize(plain) != sealed {
		return 0, ErrSize
	}
	return plain, nil
}

// MagicSize is how many octets IsSealed needs.
const MagicSize = len(magic) + 1

// IsSealed reports whether a message that begins with head, of MagicSize octets or more,
// is sealed, also where its line ends were made CRLF. No mail message begins like that: its first line would be no
// header field.
func IsSealed(head []byte) bool {
	line, _, ok := bytes.Cut(head, []byte("\n"))
	return ok && string(bytes.TrimSuffix(line, []byte("\r")))+"\n" == magic
}

// Seal encrypts a message to a mailbox's public key ("age1…", from
// Keyring.Recipient) in constant memory. What is written is complete only after
// Close, which does not close w. No secret is needed for it.
func Seal(w io.Writer, recipient string) (io.WriteCloser, error) {
	r, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		return nil, fmt.Errorf("sealedmail: read public key: %w", err)
	}
	sealed, err := age.Encrypt(w, r)
	if err != nil {
		return nil, fmt.Errorf("sealedmail: seal message: %w", err)
	}
	return sealed, nil
}

// Unlocked is a keyring's private keys. It is for one session: call Forget when that ends, and keep nothing of it. It may be
// used concurrently, but while it is changed (Keyring.Rotate, Keyring.Adopt).
type Unlocked struct {
	keys []*privateKey // the one in use first
	ring *guarded      // what the keyring's passwords wrap; nil: they are of no keyring
}

// privateKey is one of age's, as text, which is read again each time it is needed.
type privateKey struct {
	public string // "age1…"
	secret *guarded
}

// newKey takes an identity's text, which is cleared.
func newKey(text []byte) (*privateKey, error) {
	id, err := age.ParseX25519Identity(string(text))
	if err != nil {
		clear(text)
		return nil, err
	}
	return &privateKey{id.Recipient().String(), guard(text)}, nil
}

// Unwrap implements age.Identity.
func (k *privateKey) Unwrap(stanzas []*age.Stanza) (fileKey []byte, err error) {
	k.secret.use(func(text []byte) {
		var id *age.X25519Identity
		if id, err = age.ParseX25519Identity(string(text)); err == nil {
			fileKey, err = id.Unwrap(stanzas)
		}
	})
	return fileKey, err
}

// Forget clears the keys: nothing is opened with them any more. Keys that Rotate or Adopt has taken over from another Unlocked are that one's as well.
func (u *Unlocked) Forget() {
	for _, k := range u.keys {
		k.secret.forget()
	}
	if u.ring != nil {
		u.ring.forget()
	}
}

// Clone is a copy, which is forgotten by itself.
func (u *Unlocked) Clone() *Unlocked {
	c := new(Unlocked)
	for _, k := range u.keys {
		c.keys = append(c.keys, &privateKey{k.public, k.secret.clone()})
	}
	if u.ring != nil {
		c.ring = u.ring.clone()
	}
	return c
}

// Open decrypts a message in constant memory. Bytes that were changed or are
// missing at the end give an error that is ErrOpen; what was read before it was
// sealed so.
func (u *Unlocked) Open(r io.Reader) (io.Reader, error) {
	ids := make([]age.Identity, len(u.keys))
	for i, k := range u.keys {
		ids[i] = k
	}
	source := &noting{r: r}
	plain, err := age.Decrypt(source, ids...)
	if err != nil {
		return nil, source.judge(err)
	}
	return &opened{plain, source}, nil
}

// Has reports whether the key of this name (Key) is among them.
func (u *Unlocked) Has(key string) bool {
	for _, k := range u.keys {
		if Key(k.public) == key {
			return true
		}
	}
	return false
}

// Identities gives the private keys as age's identity file (one
// "AGE-SECRET-KEY-1…" per line), for the owner's own use of age.
func (u *Unlocked) Identities() string {
	var b bytes.Buffer
	for _, k := range u.keys {
		k.secret.use(func(text []byte) { fmt.Fprintf(&b, "%s\n", text) })
	}
	return b.String()
}

// noting remembers the error of the reader beneath, to tell a disk that failed
// from a message that is damaged.
type noting struct {
	r   io.Reader
	err error
}

func (n *noting) Read(p []byte) (int, error) {
	c, err := n.r.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return c, err
}

func (n *noting) judge(err error) error {
	if n.err != nil {
		return fmt.Errorf("sealedmail: read message: %w", n.err)
	}
	return fmt.Errorf("%w: %v", ErrOpen, err)
}

type opened struct {
	plain  io.Reader
	source *noting
}

func (o *opened) Read(p []byte) (int, error) {
	n, err := o.plain.Read(p)
	if err != nil && err != io.EOF {
		err = o.source.judge(err)
	}
	return n, err
}

// NewKeys makes a key that belongs to no keyring.
func NewKeys() (*Unlocked, error) {
	k, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("sealedmail: generate key: %w", err)
	}
	key, err := newKey([]byte(k.String()))
	if err != nil {
		return nil, fmt.Errorf("sealedmail: generate key: %w", err)
	}
	return &Unlocked{keys: []*privateKey{key}}, nil
}

// Recipient is the public key that belongs to the key in use.
func (u *Unlocked) Recipient() string { return u.keys[0].public }
