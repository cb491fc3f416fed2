package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/dirents"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// Copied counts what Backup or Restore did.
type Copied struct {
	Mailboxes, Messages int64
	Copied              int64 // messages written anew
	Linked              int64 // messages shared with the previous backup, or there already
	Failed              int64 // messages that could not be read; see ErrIncomplete
	Octets              int64 // of those copied, on the disk
}

// ErrIncomplete: a backup or restore was finished, but lacks messages that could
// not be read. The error's text names the first ten.
var ErrIncomplete = errors.New("maildir: some messages could not be read")

// Backup writes the store's mail, that in folders too, to dst, which must not
// exist, as a store of the same layout, with what Dovecot or Courier keep beside it:
// the numbers of messages, keywords, subscriptions. It may run beside the daemon: every
// message is whole, because it is never seen before it is, and one delivered or
// removed during the backup is in it or not. One that is there all the time is in
// it, whatever other programs call it meanwhile.
//
// Messages already in previous, an earlier backup on the same file system ("" for
// none), are linked from there and take no room: those of the same name, size and
// time. So are those of several recipients. dst appears by one rename when everything is on stable storage. progress
// may be nil.
//
// A message that cannot be read is left out; the error is then ErrIncomplete, and
// dst is there all the same.
func (s *Store) Backup(ctx context.Context, dst, previous string, progress func(Copied)) (Copied, error) {
	c := &copier{ctx: ctx, previous: previous, progress: progress}
	err := s.backup(c, filepath.Clean(dst))
	if err == nil {
		err = c.incomplete()
	}
	return c.sum, wrap("maildir: back up", err)
}

func (s *Store) backup(c *copier, dst string) error {
	switch _, err := os.Lstat(dst); {
	case err == nil:
		return fmt.Errorf("%s is there already", dst)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("user %d, which this runs as: %w", os.Geteuid(), err)
	}
	if s.contains(dst) {
		return fmt.Errorf("%s is inside the store", dst)
	}
	if c.previous != "" {
		if _, err := os.ReadDir(c.previous); err != nil {
			return fmt.Errorf("previous backup: %w", err)
		}
	}
	part := dst + ".partial"
	lock, err := takePart(part)
	if err != nil {
		return err
	}
	defer lock.Close()
	disk, err := durable.Open(part)
	if err != nil {
		return err
	}
	defer disk.Close()
	c.c, c.fs = disk, disk.FS()
	err = s.walk(c.ctx, func(domain, local, _ string) bool {
		c.err = c.backupBox(s.root, part, filepath.Join(domain, local))
		return c.err == nil
	})
	if err == nil {
		err = c.err
	}
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		return err
	}
	c.tell(true)
	return c.c.Commit(c.ctx, &durable.Tx{Steps: []durable.Step{durable.Rename(part, dst)}})
}

// contains reports whether a path is below the store's root. The directory it
// is in may be missing.
func (s *Store) contains(path string) bool {
	root, err := filepath.EvalSymlinks(s.root)
	if err != nil {
		return false
	}
	path, err = filepath.Abs(path)
	for err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real == root || strings.HasPrefix(real, root+string(filepath.Separator))
		}
		up := filepath.Dir(path)
		if up == path {
			break
		}
		path = up
	}
	return false
}

// takePart makes the directory a backup grows in, or takes over what an
// interrupted one left there: that is as good as a previous backup, but telling
// whole files from torn ones there is not worth it. The lock keeps a second
// backup to the same place from doing that to one that is still running.
func takePart(part string) (*os.File, error) {
	if err := os.MkdirAll(part, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.Open(part)
	if err != nil {
		return nil, err
	}
	err = lockFile(lock)
	if err == nil {
		// The other may have finished, and renamed it, before the lock was taken.
		var mine, there fs.FileInfo
		if mine, err = lock.Stat(); err == nil {
			if there, err = os.Stat(part); err == nil && !os.SameFile(mine, there) {
				err = errBusy
			}
		}
	}
	if errors.Is(err, errBusy) || errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is being written by another backup", part)
	}
	if err == nil {
		err = empty(part)
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// empty removes everything in a directory.
func empty(dir string) error {
	ents, err := os.ReadDir(dir)
	for _, e := range ents {
		if err == nil {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return err
}

// backupBox copies a mailbox and its folders.
func (c *copier) backupBox(from, to, rel string) error {
	c.sum.Mailboxes++
	folders, err := Folders(filepath.Join(from, rel))
	if err != nil {
		return err
	}
	for _, folder := range append([]string{""}, folders...) {
		old := ""
		if c.previous != "" {
			old = filepath.Join(c.previous, rel, folder)
		}
		dst := filepath.Join(to, rel, folder)
		if err := c.backupDir(filepath.Join(from, rel, folder), dst, old); err != nil {
			return err
		}
		for up := dst; len(up) >= len(to); up = filepath.Dir(up) {
			c.dirty(up)
		}
	}
	return nil
}

// backupDir copies one Maildir.
func (c *copier) backupDir(src, dst, old string) error {
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dst, sub), 0o700); err != nil {
			return err
		}
	}
	from := &source{dir: src, seen: make(map[same]bool)}
	have := index(old)
	for try := range tries {
		rests, err := from.list(try)
		if err != nil {
			return err
		}
		for _, w := range from.names {
			gone, err := c.backupOne(from, w, dst, have[stable(w.name)])
			if err != nil {
				return err
			}
			rests = rests && !gone
		}
		if rests {
			break
		}
	}
	return c.backupBeside(src, dst)
}

// backupOne copies one message, unless it was met before under another name. gone
// tells that another program has renamed or removed it meanwhile.
func (c *copier) backupOne(from *source, w where, dst string, old string) (gone bool, err error) {
	in, info, err := c.openMessage(filepath.Join(from.dir, w.sub, w.name))
	if in == nil { // gone, or unreadable, which is told at the end
		return errors.Is(err, fs.ErrNotExist), notGone(err)
	}
	defer in.Close()
	key := same{stable(w.name), inode(info)}
	if from.seen[key] {
		return false, nil
	}
	from.seen[key] = true
	to := filepath.Join(dst, w.sub, w.name)
	c.dirty(filepath.Dir(to))
	c.sum.Messages++
	defer c.tell(false)
	if old != "" && isSame(old, info) && c.fs.Link(old, to) == nil || c.again(info, to) {
		c.sum.Linked++
		return false, nil
	}
	f, err := c.copy(in, to, info)
	if errors.Is(err, fs.ErrExist) {
		return false, nil // rewritten under its old name while we looked
	}
	if err != nil || f == nil {
		return false, err
	}
	c.files = append(c.files, f)
	return false, c.flushFull()
}

func notGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// isSame reports whether old is the message info is of. Messages never change,
// and a copy has the time of what it was copied from, so its size and time tell;
// file systems may round the time to two seconds.
func isSame(old string, info fs.FileInfo) bool {
	was, err := os.Stat(old)
	return err == nil && was.Size() == info.Size() && was.ModTime().Sub(info.ModTime()).Abs() <= 2*time.Second
}

// tries is how often a Maildir that does not rest is read again.
const tries = 10

// source lists a Maildir in which other programs go on renaming.
type source struct {
	dir   string
	names []where
	seen  map[same]bool
}

// same tells messages apart: the name alone would take two of one name for one,
// the file alone those that share their octets.
type same struct {
	stable string
	inode  uint64
}

// list reads new before cur, so that a message on its way is met at least once.
// A rename within cur can hide a message from the one who is reading: quiet is
// whether nothing has changed meanwhile.
func (s *source) list(try int) (rests bool, err error) {
	read := time.Now()
	before, err := stampOf(s.dir)
	if err != nil {
		return false, err
	}
	s.names = s.names[:0]
	for _, sub := range []string{"new", "cur"} {
		names, err := messageNames(filepath.Join(s.dir, sub))
		if err != nil {
			return false, err
		}
		for _, n := range names {
			s.names = append(s.names, where{sub, n})
		}
	}
	after, err := stampOf(s.dir)
	// A change within the same tick leaves no trace; a second look will do.
	return before == after && (try > 0 || quiet(before, read)), err
}

// index finds the messages of a Maildir by the stable part of their names.
func index(dir string) map[string]string {
	out := make(map[string]string)
	if dir == "" {
		return out
	}
	for _, sub := range []string{"new", "cur"} {
		names, err := messageNames(filepath.Join(dir, sub))
		if err != nil {
			continue // they are copied again, then
		}
		for _, name := range names {
			out[stable(name)] = filepath.Join(dir, sub, name)
		}
	}
	return out
}

// stable is the part of a name that flags do not change.
func stable(name string) string {
	s, _, _ := strings.Cut(name, colon)
	return s
}

func messageNames(dir string) ([]string, error) {
	var names []string
	err := dirents.Read(dir, func(e *dirents.Entry) {
		if len(e.Name) > 0 && e.Name[0] != '.' && e.Regular() {
			names = append(names, string(e.Name))
		}
	})
	return names, notGone(err)
}
