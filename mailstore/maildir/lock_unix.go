//go:build linux || darwin || freebsd

package maildir

import (
	"errors"
	"fmt"
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

// lockDir takes an exclusive lock of a directory, which needs no room on the disk.
// errBusy if somebody else has it, errors.ErrUnsupported where directories cannot
// be locked: NFS makes flock out of locks that ask for a file open for writing.
func lockDir(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if err = lockFile(f); err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EBADF) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EOPNOTSUPP) {
		err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return nil, err
}
