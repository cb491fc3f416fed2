package dirents

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Read calls fn for each name in a directory but "." and "..", in no order. It is
// the system call's own format (getdents64(2)); os.ReadDir would sort and allocate.
func Read(dir string, fn func(*Entry)) error {
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
		if err == nil && n > 0 && !each(dir, buf[:n], fn) {
			err = syscall.EIO
		}
		if err != nil {
			return &os.PathError{Op: "getdents64", Path: dir, Err: err}
		}
		if n <= 0 {
			return nil
		}
	}
}

// each calls fn for what one system call has returned. It reports false for what cannot be read.
func each(dir string, buf []byte, fn func(*Entry)) bool {
	// d_ino 8, d_off 8, d_reclen 2, d_type 1, d_name
	const atReclen, atType, atName = 16, 18, 19
	e := Entry{dir: dir}
	for rest := buf; len(rest) > 0; {
		if len(rest) <= atName {
			return false
		}
		size := int(binary.NativeEndian.Uint16(rest[atReclen:]))
		if size <= atName || size > len(rest) {
			return false
		}
		e.Name, _, _ = bytes.Cut(rest[atName:size], []byte{0})
		e.Inode, e.kind = binary.NativeEndian.Uint64(rest), kind(rest[atType])
		if s := string(e.Name); s != "." && s != ".." {
			fn(&e)
		}
		rest = rest[size:]
	}
	return true
}

func kind(dtype byte) fs.FileMode {
	switch dtype {
	case unix.DT_REG:
		return 0
	case unix.DT_UNKNOWN:
		return unknown
	}
	return fs.ModeType &^ unknown // of whatever other kind
}
