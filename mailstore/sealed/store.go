package sealed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/mailstore"
)

// ErrKey is why a mailbox cannot take mail whose public key cannot be had: its message is never written
// in clear instead. Trying later may work.
var ErrKey = errors.New("sealed: public key of the mailbox cannot be used")

// Recipient says to which public key ("age1…") a mailbox's messages are sealed; empty: they are not. An error keeps mail from the
// mailbox, see ErrKey. It is asked for each message and each maildrop.
type Recipient func(user string) (string, error)

// Store is a mailstore.Store around another. It may be used concurrently.
type Store struct {
	inner     mailstore.SealedStore
	recipient Recipient
	log       *slog.Logger
	batches   batches
}

var _ mailstore.Store = (*Store)(nil)

// New makes a store around inner, which it does not close. log (nil: nowhere) hears of files that cannot be opened.
func New(inner mailstore.SealedStore, recipient Recipient, log *slog.Logger) *Store {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Store{inner: inner, recipient: recipient, log: log}
}

// Open implements mailstore.Store. The maildrop is an Unlocker. Until it is unlocked, its sealed messages are there, with their
// sizes, but cannot be opened: mailstore.ErrSealed.
func (s *Store) Open(ctx context.Context, user string) (mailstore.Maildrop, error) {
	box, err := s.inner.Open(ctx, user)
	if err != nil {
		return nil, err
	}
	inner, ok := box.(mailstore.SealedDrop)
	if !ok {
		box.Close()
		return nil, errors.New("sealed: the maildrops of this store keep no sealed messages")
	}
	m := &maildrop{SealedDrop: inner, user: user, log: s.log}
	if t, ok := box.(mailstore.Trash); ok {
		return &trash{m, t}, nil
	}
	return m, nil
}

// Room implements mailstore.Store. There is none, for now, where the public key cannot be had: ErrKey.
func (s *Store) Room(ctx context.Context, user string, size int64) error {
	if _, err := s.recipient(user); err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	return s.inner.Room(ctx, user, size)
}

// Usage implements mailstore.Store.
func (s *Store) Usage(ctx context.Context, user string) (mailstore.Usage, error) {
	return s.inner.Usage(ctx, user)
}

// Users implements mailstore.Store.
func (s *Store) Users(ctx context.Context) iter.Seq2[string, error] { return s.inner.Users(ctx) }

// version is that of the field in a sealed file; every older one is read for ever.
const version = "1"

// idLength is how many characters of the mark tell messages apart: 5 random bits each.
const idLength = 16

// newMark names a key and a message.
func newMark(recipient string) string {
	return sealedmail.Key(recipient) + "." + strings.ToLower(rand.Text()[:idLength])
}

// KeyOf is the part of a mark that names the key.
func KeyOf(mark string) string {
	key, _, _ := strings.Cut(mark, ".")
	return key
}

// Names are what KeyOf calls these public keys.
func Names(recipients []string) []string {
	names := make([]string, len(recipients))
	for i, r := range recipients {
		names[i] = sealedmail.Key(r)
	}
	return names
}

// field is what stands on top of a message in a sealed file.
func field(mark string) string { return "X-Sealed: " + version + " " + mark + "\r\n" }

// fieldSize is the length of every field.
const fieldSize = len("X-Sealed: "+version+" ") + keyLength + len(".") + idLength + len("\r\n")

// keyLength is that of a key's name.
const keyLength = 8

// Create implements mailstore.Store.
func (s *Store) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	var open []string
	byKey := make(map[string][]string)
	refused := make(map[string]error)
	for _, u := range users {
		switch key, err := s.recipient(u); {
		case err != nil:
			refused[u] = fmt.Errorf("%w: %w", ErrKey, err)
		case key == "":
			open = append(open, u)
		default:
			byKey[key] = append(byKey[key], u)
		}
	}
	if len(byKey) == 0 && len(refused) == 0 {
		return s.inner.Create(ctx, m, open...)
	}
	d := &delivery{s: s, ctx: context.WithoutCancel(ctx), meta: m, refused: refused}
	err := d.begin(ctx, open, byKey)
	if err == nil && len(d.refused) > 0 {
		err = &mailstore.Refused{Mailboxes: d.refused}
	}
	if err != nil {
		d.Abort()
		return nil, err
	}
	return d, nil
}

// Close closes the store inside, if it has a Close method.
func (s *Store) Close() error {
	if c, ok := s.inner.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
