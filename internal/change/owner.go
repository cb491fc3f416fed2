package change

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postrider-mail/postrider/internal/sys"
)

// look is whose a file is, and what it is to whom.
type look struct {
	owner, group int
	mode         fs.FileMode
}

// likeness is what a new text of a file looks like: as the old one, or closed and of its folder's owner, since the server
// may run as another user. One with secrets is closed to all others. What cannot be written is refused: the rename would go over
// the head of who made a file read-only.
func likeness(t *text, secret bool) (l look, err error) {
	from, l := t.name, look{mode: 0o600}
	if t.edit.New {
		from = filepath.Dir(t.name)
	}
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) && !t.edit.New {
		return l, ErrChanged
	} else if err != nil {
		return l, err
	}
	if !t.edit.New {
		l.mode = info.Mode().Perm()
		if err := sys.Access(t.name, sys.Write); err != nil {
			return l, fmt.Errorf("it cannot be written to: %w", err)
		}
		if l.mode&0o200 == 0 { // which root is not told of
			return l, fmt.Errorf("it is read-only (mode %04o): %w", l.mode, fs.ErrPermission)
		}
	}
	if secret {
		l.mode &^= 0o077
	}
	var ok bool
	if l.owner, l.group, ok = sys.Owner(info); !ok {
		return l, nil
	}
	if uid := os.Geteuid(); uid != 0 && !t.edit.New && uid != l.owner {
		return l, fmt.Errorf("it belongs to user %d, and would to user %d then", l.owner, uid)
	}
	return l, nil
}

// give makes a file look so, and nothing that a link leads to: root writes in folders of the server's user, who could put one there
// in this moment.
func (l look) give(name string) error {
	f, err := sys.OpenPlain(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	uid, gid, ok := sys.Owner(info)
	if ok && (uid != l.owner || gid != l.group) {
		// Who is not root can give a file to a group of his own. To any other, the group's rights would be
		// somebody else's.
		owner := l.owner
		if os.Geteuid() != 0 {
			owner = -1
		}
		if err := f.Chown(owner, l.group); err != nil && (owner >= 0 || l.mode&0o070 != 0) {
			return err
		}
	}
	return f.Chmod(l.mode)
}
