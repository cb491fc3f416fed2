package maildir

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readDir calls fn for each name in a directory, in no order, with a slice that
// is only good during the call: a name already known then costs no memory. It is
// the system call's own format (getdents64(2)); os.ReadDir would sort and allocate.
func readDir(dir string, fn func(name []byte, regular bool)) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Getdents(int(d.Fd()), buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("getdents64", err)
		}
		if n <= 0 {
			return nil
		}
		for rest := buf[:n]; len(rest) >= direntName; {
			size := int(binary.NativeEndian.Uint16(rest[16:]))
			if size < direntName || size > len(rest) {
				return syscall.EIO
			}
			name := rest[direntName:size]
			if i := bytes.IndexByte(name, 0); i >= 0 {
				name = name[:i]
			}
			fn(name, isRegular(dir, name, rest[18]))
			rest = rest[size:]
		}
	}
}

// direntName is the offset of d_name: ino 8, off 8, reclen 2, type 1.
const direntName = 19

func isRegular(dir string, name []byte, kind byte) bool {
	if kind != unix.DT_UNKNOWN {
		return kind == unix.DT_REG
	}
	info, err := os.Lstat(filepath.Join(dir, string(name)))
	return err == nil && info.Mode().IsRegular()
}

func inode(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// changed is when a file was last written, renamed or given other times.
func changed(info os.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}

// renamed is when a file got its name, or later.
func renamed(info os.FileInfo) time.Time { return changed(info) }

// ownerOf is the user a file belongs to.
func ownerOf(info os.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return 0
}

// fileID is what tells the file apart from others, and how many names it has.
func fileID(info os.FileInfo) (id inodeOf, names uint64) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return inodeOf{uint64(st.Dev), st.Ino}, uint64(st.Nlink)
	}
	return inodeOf{}, 1
}
