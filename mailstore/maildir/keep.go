package maildir

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/postrider-mail/postrider/mailstore"
)

// Flag implements mailstore.Keeper. A flagged message stands in cur, as every
// Maildir tool wants it.
func (m *maildrop) Flag(ctx context.Context, is []int, flags string) error {
	flags = cleanFlags(flags)
	return wrap("maildir: flag messages", m.change(ctx, is, func(e *entry) error {
		return m.rename(e, func(name string) string { return m.b.sub("cur", withFlags(name, flags)) })
	}))
}

// Move implements mailstore.Keeper: the folder is the one of Maildir++, a
// Maildir in ".<folder>" inside the mailbox, as Dovecot and mutt know it.
func (m *maildrop) Move(ctx context.Context, is []int, folder string) error {
	if !validFolder(folder) {
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
		there = to(w.name)
		return m.b.s.fs.Rename(m.b.sub(w.sub, w.name), there)
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

// withFlags adds flags to a name.
func withFlags(name, flags string) string {
	f := parseName(name)
	return f.stable + ":2," + cleanFlags(f.flags+flags)
}

// validFolder: one level, of characters that need no encoding in Maildir++.
func validFolder(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	return strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
