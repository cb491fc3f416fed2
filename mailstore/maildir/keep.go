package maildir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

// Flag implements mailstore.Keeper. A flagged message stands in cur, as every
// Maildir tool wants it.
func (m *maildrop) Flag(ctx context.Context, is []int, flags string) error {
	flags = mailstore.CleanFlags(flags)
	return wrap("maildir: flag messages", m.change(ctx, is, func(e *entry) error {
		return m.rename(e, func(name string) string { return m.b.sub("cur", withFlags(name, flags)) })
	}))
}

// Unflag implements mailstore.Trash.
func (m *maildrop) Unflag(ctx context.Context, is []int, flags string) error {
	return wrap("maildir: unflag messages", m.change(ctx, is, func(e *entry) error {
		return m.rename(e, func(name string) string {
			f := parseName(name)
			left := strings.Map(func(r rune) rune {
				if strings.ContainsRune(flags, r) {
					return -1
				}
				return r
			}, f.flags)
			return m.b.sub("cur", f.stable+colon+"2,"+left)
		})
	}))
}

// Changed implements mailstore.Trash: flags stand in the name, and a file that was
// renamed has changed. Whatever else changes it since makes the answer later.
func (m *maildrop) Changed(i int) time.Time {
	w := m.at(m.list[i])
	info, err := os.Stat(m.b.sub(w.sub, w.name))
	if err != nil {
		return time.Time{}
	}
	return renamed(info)
}

// Move implements mailstore.Keeper: the folder is the one of Maildir++, a
// Maildir in ".<folder>" inside the mailbox, as Dovecot and mutt know it.
func (m *maildrop) Move(ctx context.Context, is []int, folder string) error {
	if !mailstore.IsFolder(folder) {
		return fmt.Errorf("maildir: %q cannot be the name of a folder", folder)
	}
	root := m.b.sub("."+folder, "")
	cur := filepath.Join(root, "cur")
	if len(is) > 0 && m.open && m.b.s.mode != ReadOnly {
		box := filepath.Dir(filepath.Clean(root))
		err := m.b.s.c.MkdirAll(ctx, box, filepath.Join(root, "tmp"), filepath.Join(root, "new"), cur)
		if err != nil {
			return wrap("maildir: make folder", err)
		}
	}
	return wrap("maildir: move messages", m.change(ctx, is, func(e *entry) error {
		err := m.rename(e, func(name string) string { return filepath.Join(cur, withFlags(name, "")) })
		if err == nil {
			m.b.addUse(-1, -e.size.Load())
		}
		return err
	}, cur))
}

// rename gives the message's file, wherever it is by now, the path that to
// makes of its name. A message that is gone needs none.
func (m *maildrop) rename(e *entry, to func(name string) string) error {
	var there string
	err := m.find(e, func(w where) error {
		from := m.b.sub(w.sub, w.name)
		there = m.unused(e, from, to(w.name))
		err := m.b.s.fs.Rename(from, there)
		if errors.Is(err, syscall.EXDEV) {
			err = m.moveApart(from, there)
		}
		return err
	})
	if errors.Is(err, mailstore.ErrGone) {
		return nil
	}
	if err == nil && filepath.Dir(there) == filepath.Dir(m.b.sub("cur", "x")) {
		if m.moved == nil {
			m.moved = make(map[string]where)
		}
		m.moved[base(e.name)] = where{"cur", filepath.Base(there)}
	}
	return err
}

// unused is to, unless another message has that name, which a rename would replace:
// then a name of its own, with the same id and flags.
func (m *maildrop) unused(e *entry, from, to string) string {
	if _, err := os.Lstat(to); err != nil || from == to {
		return to
	}
	f := fields{sec: e.sec}
	name := m.b.s.name.next(timeOf(f)) + sizeFields(e.disk.Load(), e.size.Load(), e.exact, e.seal, e.uid)
	return filepath.Join(filepath.Dir(to), withFlags(name, parseName(filepath.Base(to)).flags))
}

// withFlags adds flags to a name.
func withFlags(name, flags string) string {
	f := parseName(name)
	return f.stable + colon + "2," + mailstore.CleanFlags(f.flags+flags)
}
