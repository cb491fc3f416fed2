package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// The calls here are package os's without what that does beside them: it asks
// the poller about every file it opens (five system calls for an answer that is
// always no) and looks for a directory in the way of every rename.

func open(name string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0o600)
		if err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		if err != unix.EINTR {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

func createFile(name string) (*os.File, error) {
	return open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
}

func openDir(name string) (*os.File, error) {
	return open(name, unix.O_RDONLY|unix.O_DIRECTORY)
}

func rename(oldname, newname string) error {
	for {
		err := unix.Rename(oldname, newname)
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
		}
	}
}

// keepsUnnamed is whether files without a name may be used on root's file system.
//
// QUIRK: fsync of a file without a name is no more than a hint to btrfs, which
// need not bring back what has no name; linking it and syncing the directory
// later may then leave the name without the contents. On ext4 and XFS the
// contents are durable, which TestShutdown of mailstore/maildir tries.
//
// Without /proc, older kernels could not link them.
func keepsUnnamed(root *os.File) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(root.Fd()), &st); err != nil {
		return false
	}
	if kind := int64(st.Type); kind != unix.EXT4_SUPER_MAGIC && kind != unix.XFS_SUPER_MAGIC {
		return false
	}
	_, err := os.Stat(procFD(root))
	return err == nil
}

func createUnnamed(dir string) (*os.File, error) {
	for {
		fd, err := unix.Open(dir, unix.O_WRONLY|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), filepath.Join(dir, noName)), nil
		case unix.EINTR:
			continue
		case unix.EOPNOTSUPP, unix.EISDIR, unix.EINVAL:
			return nil, errors.ErrUnsupported
		}
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
}

// noName stands for the name of a file that has none.
const noName = "(no name)"

func procFD(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// linkFile names an open file without a name. Since Linux 6.10 whoever opened it
// may do so by its descriptor alone; before that it takes a capability, or the
// way through /proc, which costs a fifth more.
func linkFile(f *os.File, newname string) error {
	err := linkByFD(f, newname)
	switch err {
	case unix.ENOENT, unix.EPERM, unix.EINVAL:
		err = linkByProc(f, newname)
	}
	if err != nil {
		return &os.LinkError{Op: "link", Old: f.Name(), New: newname, Err: err}
	}
	return nil
}

func linkByFD(f *os.File, newname string) error {
	return unix.Linkat(int(f.Fd()), "", unix.AT_FDCWD, newname, unix.AT_EMPTY_PATH)
}

func linkByProc(f *os.File, newname string) error {
	return unix.Linkat(unix.AT_FDCWD, procFD(f), unix.AT_FDCWD, newname, unix.AT_SYMLINK_FOLLOW)
}
