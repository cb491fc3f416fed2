//go:build linux || darwin || freebsd

package spool

import (
	"math"

	"golang.org/x/sys/unix"
)

// freeSpace is what the file system of dir has left for users: octets, and
// files; as many as one likes where it does not count them.
func freeSpace(dir string) (octets int64, inodes uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	if inodes = uint64(st.Ffree); st.Files == 0 {
		inodes = math.MaxUint64
	}
	return int64(st.Bavail) * int64(st.Bsize), inodes, nil
}
