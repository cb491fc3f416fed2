//go:build linux || darwin || freebsd

package maildir

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes an exclusive lock that belongs to this open file: it excludes
// other goroutines that opened the file themselves as well as other processes,
// and it goes when the file is closed or the process dies. errBusy if held.
func lockFile(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
			return errBusy
		}
		return os.NewSyscallError("flock", err)
	}
}

// free returns the octets left for this user on dir's file system, -1 if unknown.
func free(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
