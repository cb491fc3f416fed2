//go:build unix

package fetch

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes a lock that goes with the open file.
func lockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return errRunning
	}
	return os.NewSyscallError("flock", err)
}
