//go:build linux || darwin || freebsd

package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// FreeOn is what the file system of dir has left for this user.
func FreeOn(dir string) (Free, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Free{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
		}
	}
	block := int64(st.Bsize)
	return Free{
		Octets: int64(st.Bavail) * block, AllOctets: int64(st.Blocks) * block,
		Files: int64(st.Ffree), AllFiles: int64(st.Files),
	}, nil
}
