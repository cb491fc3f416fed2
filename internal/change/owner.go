package change

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
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
		if err := unix.Access(t.name, unix.W_OK); err != nil {
			return l, fmt.Errorf("it cannot be written to: %w", err)
		}
		if l.mode&0o200 == 0 { // which root is not told of
			return l, fmt.Errorf("it is read-only (mode %04o): %w", l.mode, fs.ErrPermission)
		}
	}
	if secret {
		l.mode &^= 0o077
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return l, nil
	}
	l.owner, l.group = int(stat.Uid), int(stat.Gid)
	if uid := os.Geteuid(); uid != 0 && !t.edit.New && uid != l.owner {
		return l, fmt.Errorf("it belongs to user %d, and would to user %d then", l.owner, uid)
	}
	return l, nil
}

// give makes a file look so, and nothing that a link leads to: root writes in folders of the server's user, who could put one there
// in this moment.
func (l look) give(name string) error {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	is, ok := info.Sys().(*syscall.Stat_t)
	if ok && (int(is.Uid) != l.owner || int(is.Gid) != l.group) {
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

// KeepOwner gives a file to the owner of another; of a link, the link itself. Only root can, and only root needs to.
func KeepOwner(name string, like fs.FileInfo) error {
	stat, ok := like.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(name, int(stat.Uid), int(stat.Gid))
}
