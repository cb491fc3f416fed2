package maildir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/dirents"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// Rename gives the mailbox from another name, with its folders, its unique ids and
// whatever other programs keep in it. Where there is a mailbox of that name
// already, the messages join those in it. It returns nil when that will survive a
// crash; after a crash before that, it may be repeated. A mailbox that is not there
// has nothing to move. It is ErrLocked if a session has one of the two.
//
// It may run beside the store's owner, in another process. Mail for from that
// arrives while it runs, or later, makes a mailbox of that name again: repeat it
// when none can.
func (s *Store) Rename(ctx context.Context, from, to string) error {
	a, err := s.box(from)
	if err != nil {
		return err
	}
	b, err := s.box(to)
	switch {
	case err != nil:
		return err
	case s.mode == ReadOnly:
		return mailstore.ErrReadOnly
	case a == b || !holdsMail(a.dir):
		return nil
	}
	if err := s.Err(); err != nil {
		return err
	}
	lock, err := a.lock()
	if err != nil {
		return wrap("maildir: rename mailbox", err)
	}
	defer lock.Close()
	defer a.forget()
	defer b.forget()
	if _, err := os.Lstat(b.dir); errors.Is(err, fs.ErrNotExist) {
		return wrap("maildir: rename mailbox", s.moveBox(ctx, a, b))
	}
	return wrap("maildir: join mailboxes", s.joinBoxes(ctx, a, b))
}

// moveBox renames the directory of a mailbox.
func (s *Store) moveBox(ctx context.Context, a, b *box) error {
	if err := s.c.MkdirAll(ctx, s.root, filepath.Dir(b.dir)); err != nil {
		return err
	}
	if err := s.fs.Rename(a.dir, b.dir); err != nil {
		return err
	}
	// Where it goes to comes before where it came from, so that no crash leaves it
	// without a name.
	return s.c.Commit(context.WithoutCancel(ctx), &durable.Tx{Dirs: []string{filepath.Dir(b.dir), filepath.Dir(a.dir)}})
}

// joinBoxes moves every message of a to b, folder by folder, and takes away what
// is left of a if it is empty then.
func (s *Store) joinBoxes(ctx context.Context, a, b *box) error {
	lock, err := b.lockMade(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := s.joinKeys(ctx, a, b); err != nil {
		return err
	}
	folders, err := Folders(a.dir)
	if err != nil {
		return err
	}
	for _, folder := range append([]string{""}, folders...) {
		src, dst := filepath.Join(a.dir, folder), filepath.Join(b.dir, folder)
		subs := []string{filepath.Join(dst, "tmp"), filepath.Join(dst, "new"), filepath.Join(dst, "cur")}
		if err := s.c.MkdirAll(ctx, s.root, subs...); err != nil {
			return err
		}
		for _, sub := range []string{"new", "cur"} {
			if err := s.moveFiles(ctx, filepath.Join(src, sub), filepath.Join(dst, sub)); err != nil {
				return err
			}
		}
		if folder != "" {
			s.removeEmpty(src)
		}
	}
	os.Remove(a.sub("", boxLock))
	s.removeEmpty(a.dir)
	return nil
}

// joinKeys has the keys of sealed messages go before these, where the other mailbox has none.
func (s *Store) joinKeys(ctx context.Context, a, b *box) error {
	from, to := filepath.Join(a.dir, keysFile), filepath.Join(b.dir, keysFile)
	if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := waitForLock(ctx, from+".lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return errors.New("its messages are sealed with keys of its own, and the other mailbox has keys as well: unseal it first")
	}
	if err := s.fs.Rename(from, to); err != nil {
		return err
	}
	os.Remove(from + ".lock")
	return s.c.Commit(context.WithoutCancel(ctx), &durable.Tx{Dirs: []string{b.dir, a.dir}})
}

// moveFiles moves the files of one directory to another, under names that are free
// there, and makes that durable.
func (s *Store) moveFiles(ctx context.Context, src, dst string) error {
	var names []string
	err := dirents.Read(src, func(e *dirents.Entry) {
		if len(e.Name) > 0 && e.Name[0] != '.' && e.Regular() {
			names = append(names, string(e.Name))
		}
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		to := filepath.Join(dst, name)
		if _, err := os.Lstat(to); err == nil {
			// A name of its own; without its id, which the other has.
			f := parseName(name)
			fresh := s.name.next(time.Now())
			if f.disk >= 0 && f.wire >= 0 {
				fresh += sizeFields(f.disk, f.wire, f.exact, f.seal, "")
			}
			to = filepath.Join(dst, withFlags(fresh, f.flags))
		}
		if err := s.fs.Rename(filepath.Join(src, name), to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.c.Commit(context.WithoutCancel(ctx), &durable.Tx{Dirs: []string{dst, src}})
}

// removeEmpty takes a Maildir away, unless something is in it: mail that has just
// come, or what another program keeps there.
func (s *Store) removeEmpty(dir string) {
	for _, sub := range []string{"tmp", "new", "cur", ""} {
		if os.Remove(filepath.Join(dir, sub)) != nil {
			return
		}
	}
}

// forget drops what is known of a mailbox that was moved.
func (b *box) forget() {
	b.vanished()
	b.mu.Lock()
	b.list = nil
	b.mu.Unlock()
}

// gone begins the name of a mailbox that is being deleted.
const gone = ".gone-"

// Purge deletes a mailbox with all its folders, for good. It returns nil when it
// is gone, also if it was not there. It is ErrLocked if a session has it.
func (s *Store) Purge(ctx context.Context, user string) error {
	b, err := s.box(user)
	switch {
	case err != nil:
		return err
	case s.mode == ReadOnly:
		return mailstore.ErrReadOnly
	case s.single:
		return errors.New("maildir: a store of one mailbox cannot do without it")
	case !holdsMail(b.dir):
		return nil
	}
	lock, err := b.lock()
	if err != nil {
		return wrap("maildir: delete mailbox", err)
	}
	defer lock.Close()
	defer b.forget()
	where, err := os.Readlink(b.dir) // it may be kept elsewhere
	if err == nil && !filepath.IsAbs(where) {
		where = filepath.Join(filepath.Dir(b.dir), where)
	}
	parent := filepath.Dir(b.dir)
	hidden := filepath.Join(parent, gone+s.name.next(time.Now()))
	if err := s.fs.Rename(b.dir, hidden); err != nil {
		return wrap("maildir: delete mailbox", err)
	}
	// From here on nobody finds it, whatever of it a crash leaves.
	if err := s.c.Commit(context.WithoutCancel(ctx), &durable.Tx{Dirs: []string{parent}}); err != nil {
		return wrap("maildir: delete mailbox", err)
	}
	err = os.RemoveAll(hidden)
	if where != "" {
		err = errors.Join(err, os.RemoveAll(where))
	}
	s.sweep(parent)
	return wrap("maildir: delete mailbox", err)
}

// sweep takes away what an interrupted Purge left in the directory of a domain.
func (s *Store) sweep(domain string) {
	entries, err := os.ReadDir(domain)
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), gone) {
			os.RemoveAll(filepath.Join(domain, e.Name()))
		}
	}
}
