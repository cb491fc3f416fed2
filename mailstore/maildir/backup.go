package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/durable"
)

// Copied counts what Backup or Restore did.
type Copied struct {
	Mailboxes, Messages int64
	Copied              int64 // messages written anew
	Linked              int64 // messages shared with the previous backup, or there already
	Octets              int64 // of those copied, on the disk
}

// Backup writes the store's mail to dst, which must not exist, as a store of the
// same layout. It may run beside the daemon: every message is whole, because it
// is never seen before it is, and one delivered or removed during the backup is
// in it or not.
//
// Messages already in previous, an earlier backup on the same file system ("" for
// none), are linked from there and take no room. dst appears by one rename when
// everything is on stable storage. progress may be nil.
func (s *Store) Backup(ctx context.Context, dst, previous string, progress func(Copied)) (Copied, error) {
	c := &copier{ctx: ctx, previous: previous, progress: progress}
	if _, err := os.Lstat(dst); !errors.Is(err, fs.ErrNotExist) {
		return c.sum, fmt.Errorf("maildir: back up: %s is there already", dst)
	}
	if previous != "" {
		if _, err := os.Stat(previous); err != nil {
			return c.sum, wrap("maildir: back up: previous backup", err)
		}
	}
	part := dst + ".partial"
	// What an interrupted backup left is as good as a previous one, but telling
	// whole files from torn ones there is not worth it.
	if err := os.RemoveAll(part); err != nil {
		return c.sum, wrap("maildir: back up", err)
	}
	if err := os.MkdirAll(part, 0o700); err != nil {
		return c.sum, wrap("maildir: back up", err)
	}
	return c.sum, wrap("maildir: back up", s.backup(c, dst, part))
}

func (s *Store) backup(c *copier, dst, part string) error {
	fsys, err := durable.OpenOS(part)
	if err != nil {
		return err
	}
	defer fsys.Close()
	c.c, c.fs = durable.NewCommitter(fsys), fsys
	err = s.walk(c.ctx, func(domain, local, _ string) bool {
		old := ""
		if c.previous != "" {
			old = filepath.Join(c.previous, domain, local)
		}
		c.err = c.backupBox(filepath.Join(s.root, domain, local), filepath.Join(part, domain, local), old)
		return c.err == nil
	})
	if err == nil {
		err = c.err
	}
	if err == nil {
		err = c.finish()
	}
	if err != nil {
		return err
	}
	return c.c.Commit(c.ctx, &durable.Tx{Steps: []durable.Step{durable.Rename(part, dst)}})
}

// copier copies messages and makes them durable in batches.
type copier struct {
	ctx      context.Context
	c        *durable.Committer
	fs       durable.FS
	previous string
	progress func(Copied)
	sum      Copied
	err      error

	files []durable.File // written, not yet durable
	dirs  map[string]bool
	told  time.Time
}

// batch is how many files stay open until they are synced together.
const batch = 256

func (c *copier) backupBox(src, dst, old string) error {
	c.sum.Mailboxes++
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dst, sub), 0o700); err != nil {
			return err
		}
		c.dirty(dst)
	}
	c.dirty(filepath.Dir(dst))
	c.dirty(filepath.Dir(filepath.Dir(dst)))
	have := c.index(old)
	seen := make(map[string]bool)
	// new before cur: one that moves meanwhile is met at least once.
	for _, sub := range []string{"new", "cur"} {
		names, err := messageNames(filepath.Join(src, sub))
		if err != nil {
			return err
		}
		for _, name := range names {
			stable, _, _ := strings.Cut(name, ":")
			if seen[stable] {
				continue
			}
			to := filepath.Join(dst, sub, name)
			err := c.message(filepath.Join(src, sub, name), to, have[stable])
			if errors.Is(err, fs.ErrNotExist) {
				continue // moved or removed; if moved, cur has it
			}
			if err != nil {
				return err
			}
			seen[stable] = true
		}
	}
	return nil
}

// index finds the messages of a mailbox by the stable part of their names.
func (c *copier) index(dir string) map[string]string {
	out := make(map[string]string)
	if dir == "" {
		return out
	}
	for _, sub := range []string{"new", "cur"} {
		names, err := messageNames(filepath.Join(dir, sub))
		if err != nil {
			continue
		}
		for _, name := range names {
			stable, _, _ := strings.Cut(name, ":")
			out[stable] = filepath.Join(dir, sub, name)
		}
	}
	return out
}

func messageNames(dir string) ([]string, error) {
	var names []string
	err := readDir(dir, func(name []byte, regular bool) {
		if regular && len(name) > 0 && name[0] != '.' {
			names = append(names, string(name))
		}
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return names, err
}

// message brings one message to dst, by a link to old if that is the same.
func (c *copier) message(src, dst, old string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	c.dirty(filepath.Dir(dst))
	c.sum.Messages++
	defer c.tell(false)
	if old != "" {
		// Messages never change: the same name and size is the same message.
		if was, err := os.Stat(old); err == nil && was.Size() == info.Size() && c.fs.Link(old, dst) == nil {
			c.sum.Linked++
			return nil
		}
	}
	f, err := c.copy(in, dst, info)
	if err != nil {
		return err
	}
	c.sum.Copied++
	c.sum.Octets += info.Size()
	if c.files = append(c.files, f); len(c.files) >= batch {
		return c.flush()
	}
	return nil
}

func (c *copier) copy(in io.Reader, dst string, info fs.FileInfo) (durable.File, error) {
	f, err := c.fs.Create(dst)
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(f, in); err == nil {
		err = os.Chtimes(dst, info.ModTime(), info.ModTime())
	}
	if err != nil {
		f.Close()
		_ = c.fs.Remove(dst)
		return nil, err
	}
	return f, nil
}

func (c *copier) dirty(dir string) {
	if c.dirs == nil {
		c.dirs = make(map[string]bool)
	}
	c.dirs[dir] = true
}

// flush makes the open files durable.
func (c *copier) flush() error {
	files := c.files
	c.files = nil
	return c.c.Commit(c.ctx, &durable.Tx{Files: files})
}

// finish makes everything durable.
func (c *copier) finish() error {
	tx := &durable.Tx{Files: c.files}
	for d := range c.dirs {
		tx.Dirs = append(tx.Dirs, d)
	}
	c.files, c.dirs = nil, nil
	defer c.tell(true)
	return c.c.Commit(c.ctx, tx)
}

func (c *copier) tell(always bool) {
	if c.progress != nil && (always || time.Since(c.told) > 200*time.Millisecond) {
		c.told = time.Now()
		c.progress(c.sum)
	}
}

// Restore brings the messages of a backup back that are not in the store, under
// the names they had, so that their unique ids stay. It removes and replaces
// nothing, may be repeated, and may run beside the daemon. users limits it to
// some mailboxes; none means all.
func (s *Store) Restore(ctx context.Context, backup string, users []string, progress func(Copied)) (Copied, error) {
	c := &copier{ctx: ctx, progress: progress, c: s.c, fs: s.fs}
	from, err := Open(backup, WithMode(ReadOnly))
	if err != nil {
		return c.sum, wrap("maildir: restore", err)
	}
	defer from.Close()
	only := make(map[string]bool)
	for _, u := range users {
		b, err := s.box(u)
		if err != nil {
			return c.sum, err
		}
		only[b.user] = true
	}
	err = from.walk(ctx, func(domain, local, user string) bool {
		if len(only) == 0 || only[user] {
			c.err = s.restoreBox(c, filepath.Join(from.root, domain, local), user)
		}
		return c.err == nil
	})
	if err == nil {
		err = c.err
	}
	c.tell(true)
	return c.sum, wrap("maildir: restore", err)
}

func (s *Store) restoreBox(c *copier, src, user string) error {
	b, err := s.box(user)
	if err != nil {
		return err
	}
	if err := b.ensure(c.ctx); err != nil {
		return err
	}
	c.sum.Mailboxes++
	have := c.index(b.dir)
	tx := &durable.Tx{}
	for _, sub := range []string{"new", "cur"} {
		names, err := messageNames(filepath.Join(src, sub))
		if err != nil {
			return err
		}
		for _, name := range names {
			stable, _, _ := strings.Cut(name, ":")
			c.sum.Messages++
			if have[stable] != "" {
				c.sum.Linked++
				continue
			}
			if err := s.restoreOne(c, tx, filepath.Join(src, sub, name), b, sub, name); err != nil {
				return err
			}
			if len(tx.Files) >= batch {
				if err := c.c.Commit(c.ctx, tx); err != nil {
					return err
				}
				tx = &durable.Tx{}
			}
			c.tell(false)
		}
	}
	return c.c.Commit(c.ctx, tx)
}

// restoreOne writes a message to tmp and adds its publication to the transaction.
func (s *Store) restoreOne(c *copier, tx *durable.Tx, src string, b *box, sub, name string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	f, err := c.copy(in, b.sub("tmp", s.tmpName()), info)
	if err != nil {
		return err
	}
	tx.Files = append(tx.Files, f)
	tx.Steps = append(tx.Steps, durable.Publish(f.Name(), b.sub(sub, name)))
	c.sum.Copied++
	c.sum.Octets += info.Size()
	return nil
}
