package sealedmail

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"github.com/postrider-mail/postrider/cipher/seal"
)

// Keyring is what the server stores for a sealed mailbox. Its text form (JSON,
// through MarshalText and UnmarshalText) holds no secret in clear, but whoever
// has it can try passwords against it: keep it as the stored password is kept.
//
// A method that fails leaves it as it was. It is not safe for concurrent use.
type Keyring struct{ data keyringData }

// keyringData is the text form, version 1.
type keyringData struct {
	Version   int    `json:"version"`
	Recipient string `json:"recipient"` // mail is sealed to this
	// KDF names how the password becomes a key: argon2id with 64 MiB, three
	// passes and four lanes. Another one would be another name.
	KDF      string `json:"kdf"`
	Salt     []byte `json:"salt"`
	Wrapped  []byte `json:"wrapped"`  // the private keys under the password
	Recovery string `json:"recovery"` // the recovery key's public half
	Escrowed []byte `json:"escrowed"` // the private keys sealed to it
}

const (
	version    = 1
	kdf        = "argon2id-m65536-t3-p4"
	maxKeyring = 64 << 10
)

// NewKeyring makes a mailbox's keys. recovery is the key to write down: the
// only thing that opens the mail when the password is forgotten. It is not
// stored anywhere.
func NewKeyring(password []byte) (k *Keyring, recovery string, err error) {
	mailbox, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, "", fmt.Errorf("sealedmail: generate key: %w", err)
	}
	k = new(Keyring)
	recovery, err = k.seal(&Unlocked{keys: []*age.X25519Identity{mailbox}}, password)
	return k, recovery, err
}

// seal fills a keyring with new wrappings of everything.
func (k *Keyring) seal(u *Unlocked, password []byte) (recovery string, err error) {
	r, err := age.GenerateX25519Identity()
	if err != nil {
		return "", fmt.Errorf("sealedmail: generate recovery key: %w", err)
	}
	next := k.data
	next.Version, next.KDF = version, kdf
	next.Recipient, next.Recovery = u.keys[0].Recipient().String(), r.Recipient().String()
	if err := next.wrap(u, password); err != nil {
		return "", err
	}
	if err := next.escrow(u); err != nil {
		return "", err
	}
	k.data = next
	return r.String(), nil
}

// wrap puts the private keys under the password, with a fresh salt.
func (d *keyringData) wrap(u *Unlocked, password []byte) error {
	d.Salt = make([]byte, 16)
	rand.Read(d.Salt)
	key, err := seal.DeriveKey(password, d.Salt)
	if err != nil {
		return fmt.Errorf("sealedmail: derive key: %w", err)
	}
	d.Wrapped, err = key.Seal([]byte(u.Identities()), d.context())
	return err
}

// context binds the wrapped keys to the keyring's public half, so that nobody
// can put another public key beside them and have new mail sealed to it
// unnoticed.
func (d *keyringData) context() []byte {
	return []byte("sealedmail " + d.Recipient + " " + d.Recovery)
}

// escrow seals the private keys to the recovery key's public half.
func (d *keyringData) escrow(u *Unlocked) error {
	var b bytes.Buffer
	w, err := Seal(&b, d.Recovery)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, u.Identities()); err != nil {
		return fmt.Errorf("sealedmail: seal keys: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("sealedmail: seal keys: %w", err)
	}
	d.Escrowed = b.Bytes()
	return nil
}

// Recipient is the public key that mail is to be sealed to.
func (k *Keyring) Recipient() string { return k.data.Recipient }

// Seal is Seal to the keyring's public key.
func (k *Keyring) Seal(w io.Writer) (io.WriteCloser, error) { return Seal(w, k.data.Recipient) }

// Unlock opens the keyring with the password. It takes 64 MiB for some 100 ms:
// bound how many happen at a time. The error is ErrPassword or ErrKeyring.
func (k *Keyring) Unlock(password []byte) (*Unlocked, error) {
	if err := k.data.made(); err != nil {
		return nil, err
	}
	key, err := seal.DeriveKey(password, k.data.Salt)
	if err != nil {
		return nil, ErrPassword
	}
	text, err := key.Open(k.data.Wrapped, k.data.context())
	if err != nil {
		return nil, ErrPassword
	}
	return k.data.parse(string(text))
}

// Recover opens the keyring with the recovery key. The error is ErrPassword or
// ErrKeyring.
func (k *Keyring) Recover(recovery string) (*Unlocked, error) {
	if err := k.data.made(); err != nil {
		return nil, err
	}
	r, err := age.ParseX25519Identity(strings.ToUpper(strings.TrimSpace(recovery)))
	if err != nil || r.Recipient().String() != k.data.Recovery {
		return nil, ErrPassword
	}
	plain, err := (&Unlocked{keys: []*age.X25519Identity{r}}).Open(bytes.NewReader(k.data.Escrowed))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	text, err := io.ReadAll(io.LimitReader(plain, maxKeyring))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	return k.data.parse(string(text))
}

// made refuses a keyring that is none: no password is wrong for it.
func (d *keyringData) made() error {
	if len(d.Wrapped) == 0 {
		return fmt.Errorf("%w: it is empty; make one by NewKeyring or UnmarshalText", ErrKeyring)
	}
	return nil
}

func (d *keyringData) parse(text string) (*Unlocked, error) {
	u := new(Unlocked)
	for line := range strings.Lines(text) {
		id, err := age.ParseX25519Identity(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%w: a private key in it", ErrKeyring)
		}
		u.keys = append(u.keys, id)
	}
	if len(u.keys) == 0 || u.keys[0].Recipient().String() != d.Recipient {
		return nil, fmt.Errorf("%w: public and private key do not match", ErrKeyring)
	}
	return u, nil
}

// ChangePassword wraps the keys under a new password. No mail is touched.
func (k *Keyring) ChangePassword(old, password []byte) error {
	u, err := k.Unlock(old)
	if err != nil {
		return err
	}
	return k.rewrap(u, password)
}

// ResetPassword sets a new password by means of the recovery key.
func (k *Keyring) ResetPassword(recovery string, password []byte) error {
	u, err := k.Recover(recovery)
	if err != nil {
		return err
	}
	return k.rewrap(u, password)
}

func (k *Keyring) rewrap(u *Unlocked, password []byte) error {
	next := k.data
	if err := next.wrap(u, password); err != nil {
		return err
	}
	k.data = next
	return nil
}

// Rotate makes a new mailbox key for mail to come. Mail that is there opens
// with the old one, which stays in the keyring; the recovery key stays valid. The
// error is ErrPassword, or ErrKeyring when there are some 300 keys in it.
func (k *Keyring) Rotate(password []byte) error {
	u, err := k.Unlock(password)
	if err != nil {
		return err
	}
	fresh, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("sealedmail: generate key: %w", err)
	}
	u = &Unlocked{keys: append([]*age.X25519Identity{fresh}, u.keys...)}
	next := k.data
	next.Recipient = fresh.Recipient().String()
	if err := errors.Join(next.wrap(u, password), next.escrow(u), next.fits()); err != nil {
		return err
	}
	k.data = next
	return nil
}

// fits refuses a keyring that could not be read again.
func (d *keyringData) fits() error {
	text, err := (&Keyring{data: *d}).MarshalText()
	if err == nil && len(text) > maxKeyring {
		err = fmt.Errorf("%w: too many keys in it", ErrKeyring)
	}
	return err
}

// NewRecovery replaces the recovery key: the old one was lost or seen. It opens
// this keyring no more, but copies of the old keyring still.
func (k *Keyring) NewRecovery(password []byte) (recovery string, err error) {
	u, err := k.Unlock(password)
	if err != nil {
		return "", err
	}
	return k.seal(u, password)
}

// MarshalText gives the keyring's text form, JSON. The error is ErrKeyring for an empty one.
func (k *Keyring) MarshalText() ([]byte, error) {
	if err := k.data.made(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(k.data, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("sealedmail: write keyring: %w", err)
	}
	return append(text, '\n'), nil
}

// UnmarshalText reads MarshalText's form. The error is ErrKeyring.
func (k *Keyring) UnmarshalText(text []byte) error {
	var d keyringData
	if len(text) > maxKeyring {
		return fmt.Errorf("%w: %d bytes long", ErrKeyring, len(text))
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return fmt.Errorf("%w: %v", ErrKeyring, err)
	}
	if d.Version != version || d.KDF != kdf {
		return fmt.Errorf("%w: version %d with %q", ErrKeyring, d.Version, d.KDF)
	}
	for _, public := range []string{d.Recipient, d.Recovery} {
		if _, err := age.ParseX25519Recipient(public); err != nil {
			return fmt.Errorf("%w: a public key in it", ErrKeyring)
		}
	}
	if len(d.Salt) < 16 || len(d.Wrapped) == 0 || len(d.Escrowed) == 0 {
		return fmt.Errorf("%w: something is missing", ErrKeyring)
	}
	k.data = d
	return nil
}
