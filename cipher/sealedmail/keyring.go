package sealedmail

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/postrider-mail/postrider/cipher/seal"
)

// Keyring is what the server stores for a sealed mailbox. Its text form (JSON,
// through MarshalText and UnmarshalText) holds no secret in clear, but whoever
// has it can try passwords against it: keep it as the stored password is kept.
//
// The private keys are sealed with one random ring key, and that once for each password, app password and recovery key: any of these opens
// all, and each can come and go without the others and without touching mail.
//
// A method that fails leaves it as it was. It is not safe for concurrent use.
type Keyring struct{ data keyringData }

// keyringData is the text form, version 2. (Version 1 was written by no program.)
type keyringData struct {
	Version    int      `json:"version"`
	Generation int      `json:"generation"` // grows with each change
	Recipient  string   `json:"recipient"`  // mail is sealed to this
	Known      []string `json:"known"`      // the public keys of all, Recipient first
	Keys       []byte   `json:"keys"`       // the private keys under the ring key
	Wraps      []wrap   `json:"wraps"`
}

// wrap is the ring key under one secret.
type wrap struct {
	Kind string    `json:"kind"`
	ID   string    `json:"id"`
	Made time.Time `json:"made"`
	// KDF names how the secret becomes a key. Another way would be another name.
	KDF  string `json:"kdf"`
	Salt []byte `json:"salt"`
	Box  []byte `json:"box"`
	// Over are the ids of those that it takes the place of, until it does.
	Over []string `json:"over,omitempty"`
	// Pending: whether it counts is not settled.
	Pending bool `json:"pending,omitempty"`
}

const (
	version    = 2
	maxKeyring = 64 << 10

	kindPassword, kindApp, kindRecovery = "passphrase", "app", "recovery"

	slow = "argon2id-m65536-t3-p4" // for what people choose
	fast = "hkdf-sha256"           // for what is random, 128 bits or more
)

// NewKeyring makes a mailbox's keys. recovery is the key to write down: the
// only thing that opens the mail when every password is forgotten. It is not
// stored anywhere.
func NewKeyring(password []byte) (k *Keyring, recovery string, err error) {
	u, err := NewKeys()
	if err != nil {
		return nil, "", err
	}
	ring := make([]byte, 32)
	rand.Read(ring)
	u.ring = guard(ring)
	k = &Keyring{keyringData{Version: version}}
	if err := k.data.keep(u); err != nil {
		return nil, "", err
	}
	if err = k.ChangePassword(u, password); err != nil {
		return nil, "", err
	}
	recovery, err = k.NewRecovery(u)
	return k, recovery, err
}

// keep seals the private keys with the ring key.
func (d *keyringData) keep(u *Unlocked) (err error) {
	d.Recipient, d.Known = u.Recipient(), nil
	for _, key := range u.keys {
		d.Known = append(d.Known, key.public)
	}
	if u.ring == nil {
		return fmt.Errorf("%w: the keys are not its own", ErrKeyring)
	}
	u.ring.use(func(ring []byte) {
		var key seal.Key
		if key, err = seal.NewKey(ring); err == nil {
			d.Keys, err = key.Seal([]byte(u.Identities()), d.context())
		}
	})
	return err
}

// context binds the private keys to the public ones, so that nobody
// can put another public key beside them and have new mail sealed to it
// unnoticed.
func (d *keyringData) context() []byte {
	return []byte("sealedmail 2 keys " + strings.Join(d.Known, " "))
}

func (w *wrap) context() []byte { return []byte("sealedmail 2 wrap " + w.Kind + " " + w.ID) }

// key makes the key of a secret.
func (w *wrap) key(secret []byte) (seal.Key, error) {
	if w.KDF == slow {
		return seal.DeriveKey(secret, w.Salt)
	}
	raw, err := hkdf.Key(sha256.New, secret, w.Salt, "sealedmail 2 "+w.Kind, 32)
	if err != nil {
		return seal.Key{}, err
	}
	return seal.NewKey(raw)
}

// add wraps the ring key under one more secret, opens that once to see that it does, and takes those wraps away that without says.
func (k *Keyring) add(u *Unlocked, kind, id, kdf string, secret []byte, without func(*wrap) bool) error {
	if u.ring == nil {
		return fmt.Errorf("%w: the keys are not its own", ErrKeyring)
	}
	w := wrap{Kind: kind, ID: id, Made: time.Now().UTC().Truncate(time.Second), KDF: kdf, Salt: make([]byte, 16)}
	rand.Read(w.Salt)
	key, err := w.key(secret)
	if err != nil {
		return fmt.Errorf("sealedmail: derive key: %w", err)
	}
	u.ring.use(func(ring []byte) {
		if len(ring) != seal.KeySize {
			err = fmt.Errorf("%w: the keys are forgotten", ErrKeyring)
			return
		}
		if w.Box, err = key.Seal(ring, w.context()); err != nil {
			err = fmt.Errorf("sealedmail: wrap key: %w", err)
		} else if raw, bad := key.Open(w.Box, w.context()); bad != nil || !bytes.Equal(raw, ring) {
			err = fmt.Errorf("%w: what was just wrapped does not open", ErrKeyring)
		}
	})
	if err != nil {
		return err
	}
	next := k.data
	next.Wraps = append(slices.DeleteFunc(slices.Clone(k.data.Wraps), func(w wrap) bool { return without(&w) }), w)
	return k.replace(next)
}

// replace takes over changed data, unless it could not be read again.
func (k *Keyring) replace(next keyringData) error {
	next.Generation++
	if err := next.fits(); err != nil {
		return err
	}
	k.data = next
	return nil
}

func none(*wrap) bool { return false }

// AddPassword lets a password open the keyring, beside those that do. It takes some 100 ms. Others go by KeepPassword, once it is settled
// which of them counts.
func (k *Keyring) AddPassword(u *Unlocked, password []byte) (id string, err error) {
	id = strings.ToLower(rand.Text()[:10])
	var over []string
	for _, w := range k.data.Wraps {
		if w.Kind == kindPassword && (!w.Pending || time.Since(w.Made) > forgotten) {
			over = append(over, w.ID)
		}
	}
	next := *k
	if err := next.add(u, kindPassword, id, slow, password, none); err != nil {
		return "", err
	}
	last := &next.data.Wraps[len(next.data.Wraps)-1]
	last.Over, last.Pending = over, true
	k.data = next.data
	return id, next.data.fits()
}

// forgotten is when a change of passwords that was begun and not settled is taken for one that was broken off.
const forgotten = time.Hour

// KeepPassword settles that a password of AddPassword counts: those go that were there when it was added. Not
// one that somebody else is adding at the same time: which of the two opens the account nobody knows here, so that both open the keys until the next change.
func (k *Keyring) KeepPassword(id string) error {
	next := k.data
	next.Wraps = slices.Clone(next.Wraps)
	i := slices.IndexFunc(next.Wraps, func(w wrap) bool { return w.Kind == kindPassword && w.ID == id })
	if i < 0 {
		return fmt.Errorf("%w: no such password is in it any more", ErrKeyring)
	}
	over := next.Wraps[i].Over
	next.Wraps[i].Over, next.Wraps[i].Pending = nil, false
	next.Wraps = slices.DeleteFunc(next.Wraps, func(w wrap) bool { return w.Kind == kindPassword && slices.Contains(over, w.ID) })
	return k.replace(next)
}

// Passwords is how many passwords open the keyring: more than one where a change of passwords was broken off.
func (k *Keyring) Passwords() (n int) {
	for _, w := range k.data.Wraps {
		if w.Kind == kindPassword {
			n++
		}
	}
	return n
}

// AddApp lets an app password open the keyring, which must have 128 random bits or more. id names it.
func (k *Keyring) AddApp(u *Unlocked, id string, password []byte) error {
	return k.add(u, kindApp, id, fast, password, func(w *wrap) bool { return w.Kind == kindApp && w.ID == id })
}

// RemoveApps takes those app passwords away that gone names.
func (k *Keyring) RemoveApps(gone func(id string) bool) error {
	return k.drop(func(w *wrap) bool { return w.Kind == kindApp && gone(w.ID) })
}

func (k *Keyring) drop(gone func(*wrap) bool) error {
	next := k.data
	next.Wraps = slices.DeleteFunc(slices.Clone(next.Wraps), func(w wrap) bool { return gone(&w) })
	if len(next.Wraps) == len(k.data.Wraps) {
		return nil
	}
	if len(next.Wraps) == 0 {
		return fmt.Errorf("%w: nothing would open it", ErrKeyring)
	}
	return k.replace(next)
}

// NewRecovery makes a recovery key, in place of the one there was: that was lost, or seen. It opens
// this keyring no more, but copies of the old keyring still.
func (k *Keyring) NewRecovery(u *Unlocked) (recovery string, err error) {
	secret := strings.ToLower(rand.Text() + rand.Text())[:recoveryLength]
	err = k.add(u, kindRecovery, kindRecovery, fast, []byte(secret), func(w *wrap) bool { return w.Kind == kindRecovery })
	return spell(secret), err
}

// recoveryLength is the characters of a recovery key, 5 random bits each, and checkLength those that stand behind and show slips.
const recoveryLength, checkLength = 32, 4

// spell writes a recovery key in groups of four, as people copy it; the last shows slips.
func spell(secret string) string {
	all := secret + check(secret)
	var groups []string
	for i := 0; i < len(all); i += 4 {
		groups = append(groups, all[i:i+4])
	}
	return strings.Join(groups, "-")
}

var letters = []byte("abcdefghijklmnopqrstuvwxyz234567")

func check(secret string) string {
	sum := sha256.Sum256([]byte("sealedmail recovery " + secret))
	return string([]byte{letters[sum[0]%32], letters[sum[1]%32], letters[sum[2]%32], letters[sum[3]%32]})
}

// ParseRecovery reads a recovery key, however it is grouped and in whatever case, or as words (RecoveryWords). The error is ErrRecovery where it is
// none at all: mistyped, as its check shows.
func ParseRecovery(text string) (string, error) {
	all := strings.ToLower(strings.Map(func(r rune) rune {
		if strings.ContainsRune("- \t\r\n", r) {
			return -1
		}
		return r
	}, text))
	if words := strings.Fields(text); len(words) == recoveryWords && len(all) != recoveryLength+checkLength {
		var err error
		if all, err = parseWords(words); err != nil {
			return "", err
		}
	}
	if len(all) != recoveryLength+checkLength || check(all[:recoveryLength]) != all[recoveryLength:] {
		return "", ErrRecovery
	}
	return all[:recoveryLength], nil
}

// Clone is a copy, to be changed and thrown away.
func (k *Keyring) Clone() *Keyring { return &Keyring{k.data} }

// Recipient is the public key that mail is to be sealed to.
func (k *Keyring) Recipient() string { return k.data.Recipient }

// Known are the public keys of all mail that the keyring opens, that in use first.
func (k *Keyring) Known() []string { return slices.Clone(k.data.Known) }

// Generation grows with each change.
func (k *Keyring) Generation() int { return k.data.Generation }

// Seal is Seal to the keyring's public key.
func (k *Keyring) Seal(w io.Writer) (io.WriteCloser, error) { return Seal(w, k.data.Recipient) }

// Unlock opens the keyring with a password. It takes 64 MiB for some 100 ms, twice that where a change of passwords was broken
// off: bound how many happen at a time. The error is ErrPassword or ErrKeyring.
func (k *Keyring) Unlock(password []byte) (*Unlocked, error) {
	return k.unlock(password, func(w *wrap) bool { return w.Kind == kindPassword })
}

// UnlockApp opens the keyring with an app password. It takes no time. The error is ErrPassword or ErrKeyring.
func (k *Keyring) UnlockApp(id string, password []byte) (*Unlocked, error) {
	return k.unlock(password, func(w *wrap) bool { return w.Kind == kindApp && w.ID == id })
}

// Recover opens the keyring with the recovery key. The error is ErrPassword, ErrRecovery or
// ErrKeyring.
func (k *Keyring) Recover(recovery string) (*Unlocked, error) {
	secret, err := ParseRecovery(recovery)
	if err != nil {
		return nil, err
	}
	return k.unlock([]byte(secret), func(w *wrap) bool { return w.Kind == kindRecovery })
}

// unlock tries the wraps, newest first.
func (k *Keyring) unlock(secret []byte, fits func(*wrap) bool) (*Unlocked, error) {
	if err := k.data.made(); err != nil {
		return nil, err
	}
	for i := len(k.data.Wraps) - 1; i >= 0; i-- {
		if w := &k.data.Wraps[i]; fits(w) {
			if u, err := k.data.openWith(w, secret); !errors.Is(err, ErrPassword) {
				return u, err
			}
		}
	}
	return nil, ErrPassword
}

func (d *keyringData) openWith(w *wrap, secret []byte) (*Unlocked, error) {
	key, err := w.key(secret)
	if err != nil {
		return nil, ErrPassword
	}
	raw, err := key.Open(w.Box, w.context())
	if err != nil {
		return nil, ErrPassword
	}
	ring, err := seal.NewKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: its ring key", ErrKeyring)
	}
	text, err := ring.Open(d.Keys, d.context())
	if err != nil {
		return nil, fmt.Errorf("%w: its private keys do not open, or are of other public ones", ErrKeyring)
	}
	defer clear(text)
	u, err := d.parse(text)
	if err == nil {
		u.ring = guard(raw)
	}
	return u, err
}

// made refuses a keyring that is none: no password is wrong for it.
func (d *keyringData) made() error {
	if len(d.Keys) == 0 {
		return fmt.Errorf("%w: it is empty; make one by NewKeyring or UnmarshalText", ErrKeyring)
	}
	return nil
}

func (d *keyringData) parse(text []byte) (*Unlocked, error) {
	u := new(Unlocked)
	for line := range bytes.Lines(text) {
		key, err := newKey(bytes.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%w: a private key in it", ErrKeyring)
		}
		u.keys = append(u.keys, key)
	}
	if len(u.keys) == 0 || u.keys[0].public != d.Recipient {
		return nil, fmt.Errorf("%w: public and private key do not match", ErrKeyring)
	}
	return u, nil
}

// ChangePassword replaces all passwords by a new one, at once. No mail is touched. Where the password that is asked for at login is kept
// elsewhere, use AddPassword and KeepPassword around its change.
func (k *Keyring) ChangePassword(u *Unlocked, password []byte) error {
	next := *k
	id, err := next.AddPassword(u, password)
	if err == nil {
		err = next.KeepPassword(id)
	}
	if err == nil {
		k.data = next.data
	}
	return err
}

// Rotate makes a new mailbox key for mail to come. Mail that is there opens
// with the old one, which stays in the keyring; passwords and the recovery key stay valid. The
// error is ErrKeyring when there are some hundred keys in it.
func (k *Keyring) Rotate(u *Unlocked) error {
	fresh, err := NewKeys()
	if err != nil {
		return err
	}
	more := &Unlocked{keys: append(fresh.keys, u.keys...), ring: u.ring}
	next := k.data
	if err := next.keep(more); err != nil {
		return err
	}
	if err := k.replace(next); err != nil {
		return err
	}
	u.keys = more.keys
	return nil
}

// Adopt has the keyring open what another one opens as well, for mail to come it has the key it had. Its keys are u.
func (k *Keyring) Adopt(u, other *Unlocked) error {
	more := &Unlocked{keys: slices.Clone(u.keys), ring: u.ring}
	for _, key := range other.keys {
		if !more.Has(Key(key.public)) {
			more.keys = append(more.keys, key)
		}
	}
	next := k.data
	if err := next.keep(more); err != nil {
		return err
	}
	if err := k.replace(next); err != nil {
		return err
	}
	u.keys = more.keys
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
	if d.Version != version {
		return fmt.Errorf("%w: version %d", ErrKeyring, d.Version)
	}
	if len(d.Known) == 0 || d.Known[0] != d.Recipient {
		return fmt.Errorf("%w: its public key is not among those it knows", ErrKeyring)
	}
	for _, public := range d.Known {
		if _, err := age.ParseX25519Recipient(public); err != nil {
			return fmt.Errorf("%w: a public key in it", ErrKeyring)
		}
	}
	for _, w := range d.Wraps {
		if w.KDF != slow && w.KDF != fast || len(w.Salt) < 16 || len(w.Box) == 0 {
			return fmt.Errorf("%w: a wrapped key of an unknown form (%q)", ErrKeyring, w.KDF)
		}
	}
	if len(d.Keys) == 0 || len(d.Wraps) == 0 {
		return fmt.Errorf("%w: something is missing", ErrKeyring)
	}
	k.data = d
	return nil
}
