package spool

import (
	"bytes"
	"encoding/binary"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// readDir calls fn for each name in a directory, in no order, with the number of
// its inode, which is where on the disk it is, more or less. The name is good
// during the call only.
func readDir(dir string, fn func(name []byte, inode uint64)) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// d_ino 8, d_off 8, d_reclen 2, d_type 1, d_name (getdents64(2))
	const atReclen, atName = 16, 19
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Getdents(int(d.Fd()), buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "getdents64", Path: dir, Err: err}
		}
		if n <= 0 {
			return nil
		}
		for rest := buf[:n]; len(rest) > atName; {
			size := int(binary.NativeEndian.Uint16(rest[atReclen:]))
			if size <= atName || size > len(rest) {
				return &os.PathError{Op: "getdents64", Path: dir, Err: syscall.EIO}
			}
			name, _, _ := bytes.Cut(rest[atName:size], []byte{0})
			if s := string(name); s != "." && s != ".." {
				fn(name, binary.NativeEndian.Uint64(rest))
			}
			rest = rest[size:]
		}
	}
}
