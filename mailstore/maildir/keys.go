package maildir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// The keys of a mailbox whose messages are sealed stand beside these, so that they go wherever the mailbox goes: into a backup, out of
// one, to another name. The store does not know what is in the file, and its secrets are not in clear there.

// keysFile is the file, in the mailbox's directory.
const keysFile = "postrider.keys"

// maxKeys is how long it may be.
const maxKeys = 256 << 10

// KeysPath is the file that keeps the keys of a mailbox, whether it is there or not.
func (s *Store) KeysPath(user string) (string, error) {
	b, err := s.box(user)
	if err != nil {
		return "", err
	}
	return filepath.Join(b.dir, keysFile), nil
}

// ChangeKeys replaces what change makes of the keys of a mailbox (nil: there are none) by what that was given, nil being none any more. When it returns nil, that is on
// stable storage; whatever happens, the file is the one before or the one after. Two at a time, of two processes also, wait for each other.
func (s *Store) ChangeKeys(ctx context.Context, user string, change func(text []byte) ([]byte, error)) error {
	b, err := s.box(user)
	switch {
	case err != nil:
		return err
	case s.mode == ReadOnly:
		return mailstore.ErrReadOnly
	}
	if err := errors.Join(s.Err(), b.ensure(ctx)); err != nil {
		return err
	}
	name := filepath.Join(b.dir, keysFile)
	lock, err := waitForLock(ctx, name+".lock")
	if err != nil {
		return wrap("maildir: lock the keys of a mailbox", err)
	}
	defer lock.Close()
	text, err := readKeys(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrap("maildir: read the keys of a mailbox", err)
	}
	fresh, err := change(text)
	if err != nil {
		return err
	}
	switch {
	case len(fresh) > maxKeys:
		err = errors.New("too many")
	case fresh != nil:
		err = s.c.ReplaceFile(ctx, name, fresh)
	case text != nil:
		err = s.c.Commit(ctx, &durable.Tx{Steps: []durable.Step{durable.Remove(name)}})
	}
	return wrap("maildir: write the keys of a mailbox", err)
}

func readKeys(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeys))
}

// waitForLock takes the lock of a file, which is made, when nobody else has it any more.
func waitForLock(ctx context.Context, name string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		f, err := openLocked(name)
		if !errors.Is(err, errBusy) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
