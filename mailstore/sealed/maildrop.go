package sealed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/mailstore"
)

// Unlocker is a Maildrop of a Store.
type Unlocker interface {
	mailstore.Maildrop
	// Unlock has sealed messages opened with these keys, which are the maildrop's own from then on: when it is closed they are forgotten.
	Unlock(keys *sealedmail.Unlocked)
	// Sealed reports whether the message is sealed, and with which key: the name of that, see KeyOf.
	Sealed(i int) (key string, ok bool)
}

// maildrop gives out what is inside sealed messages.
type maildrop struct {
	mailstore.SealedDrop
	user string
	log  *slog.Logger
	keys *sealedmail.Unlocked
}

// trash is the maildrop of a store that can put messages away.
type trash struct {
	*maildrop
	inner mailstore.Trash
}

var (
	_ Unlocker        = (*maildrop)(nil)
	_ mailstore.Trash = (*trash)(nil)
)

func (t *trash) Flags(i int) string       { return t.inner.Flags(i) }
func (t *trash) Received(i int) time.Time { return t.inner.Received(i) }
func (t *trash) Changed(i int) time.Time  { return t.inner.Changed(i) }
func (t *trash) Flag(ctx context.Context, is []int, flags string) error {
	return t.inner.Flag(ctx, is, flags)
}
func (t *trash) Unflag(ctx context.Context, is []int, flags string) error {
	return t.inner.Unflag(ctx, is, flags)
}
func (t *trash) Move(ctx context.Context, is []int, folder string) error {
	return t.inner.Move(ctx, is, folder)
}

// Unlock implements Unlocker.
func (m *maildrop) Unlock(keys *sealedmail.Unlocked) { m.keys = keys }

// Sealed implements Unlocker.
func (m *maildrop) Sealed(i int) (key string, ok bool) {
	mark := m.Mark(i)
	return KeyOf(mark), mark != ""
}

// Close implements mailstore.Maildrop. The keys are forgotten.
func (m *maildrop) Close() error {
	if m.keys != nil {
		m.keys.Forget()
		m.keys = nil
	}
	return m.SealedDrop.Close()
}

// Open implements mailstore.Maildrop. What cannot be opened is mailstore.ErrDamaged, and the log has its name; damage behind the first
// chunk of a message is found when that is read, as an error in place of the end.
func (m *maildrop) Open(ctx context.Context, i int) (io.ReadCloser, error) {
	if i < 0 || i >= m.Len() || m.Mark(i) == "" {
		r, err := m.SealedDrop.Open(ctx, i)
		if err != nil || m.keys == nil {
			return r, err
		}
		return m.plain(i, r)
	}
	if m.keys == nil {
		return nil, fmt.Errorf("%w: its key is not open in this session", mailstore.ErrSealed)
	}
	r, err := m.unseal(ctx, i)
	if err != nil {
		return nil, m.blame(i, err)
	}
	return r, nil
}

// blame writes down which file it is that cannot be opened.
func (m *maildrop) blame(i int, err error) error {
	if errors.Is(err, mailstore.ErrDamaged) {
		m.log.Error("sealed message cannot be opened", "mailbox", m.user, "file", m.File(i), "err", err)
	}
	return err
}

// plain gives out a message whose name says that it is not sealed. If it is, its name is
// not the one it was given.
func (m *maildrop) plain(i int, r io.ReadCloser) (io.ReadCloser, error) {
	head := make([]byte, sealedmail.MagicSize)
	n, err := io.ReadFull(r, head)
	if err == nil && sealedmail.IsSealed(head) {
		r.Close()
		return nil, m.blame(i, fmt.Errorf("%w: it is sealed, and its file has not the name that was given to it", mailstore.ErrDamaged))
	}
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		r.Close()
		return nil, err
	}
	return &prefixed{head: head[:n], ReadCloser: r}, nil
}

// prefixed is a reader whose first octets were read already.
type prefixed struct {
	head []byte
	io.ReadCloser
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.ReadCloser.Read(b)
}

// unseal opens a sealed message and compares it with its mark and size.
func (m *maildrop) unseal(ctx context.Context, i int) (io.ReadCloser, error) {
	file, octets, err := m.OpenSealed(ctx, i)
	if err != nil {
		return nil, err
	}
	r, err := open(file, octets, m.Mark(i), m.Size(i), m.keys)
	if err != nil {
		file.Close()
		return nil, err
	}
	r.fail = func(err error) error { return m.blame(i, err) }
	r.reopen = func(ctx context.Context) (io.ReadCloser, int64, error) { return m.OpenSealed(ctx, i) }
	return r, nil
}

// Check compares what is known without a key: how long a file is that holds a message of size octets.
func Check(octets int64, mark string, size int64) error {
	inside, err := sealedmail.PlainSize(octets)
	if want := size + int64(len(field(mark))); err != nil || inside != want {
		return fmt.Errorf("%w: %d octets, a message of %d would have %d", mailstore.ErrDamaged, octets, size, sealedmail.SealedSize(want))
	}
	return nil
}

// CheckHead is Check, and looks whether a file begins as a sealed one.
func CheckHead(file io.Reader, octets int64, mark string, size int64) error {
	if err := Check(octets, mark, size); err != nil {
		return err
	}
	head := make([]byte, sealedmail.MagicSize)
	if _, err := io.ReadFull(file, head); err != nil {
		return damaged(err)
	}
	if !sealedmail.IsSealed(head) {
		return fmt.Errorf("%w: it does not begin as a sealed file", mailstore.ErrDamaged)
	}
	return nil
}

// open gives what is in a sealed file.
func open(file io.ReadCloser, octets int64, mark string, size int64, keys *sealedmail.Unlocked) (*message, error) {
	if err := Check(octets, mark, size); err != nil {
		return nil, err
	}
	if key := KeyOf(mark); !keys.Has(key) {
		return nil, fmt.Errorf("%w: it is sealed to the key age1%s…, which this mailbox does not have", mailstore.ErrDamaged, key)
	}
	return newMessage(file, octets, mark, size, keys)
}

// damaged tells a message that is damaged from a disk that fails.
func damaged(err error) error {
	if errors.Is(err, sealedmail.ErrOpen) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", mailstore.ErrDamaged, noEnd{err})
	}
	return err
}

// noEnd keeps a reader from taking a file that ends too early for one that ends.
type noEnd struct{ error }
