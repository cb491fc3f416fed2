//go:build linux || darwin || freebsd

package daemon

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// diskSize is the size of the file system of dir in octets; 0 if it is not
// known. dir may be about to be made.
func diskSize(dir string) int64 {
	var st unix.Statfs_t
	for unix.Statfs(dir, &st) != nil {
		up := filepath.Dir(dir)
		if up == dir {
			return 0
		}
		dir = up
	}
	return int64(st.Blocks) * int64(st.Bsize)
}

// openFiles is how many files this process may have open; 0 if it is not known.
func openFiles() uint64 {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return uint64(r.Cur)
}
