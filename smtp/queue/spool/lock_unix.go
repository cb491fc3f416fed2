//go:build unix

package spool

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lock keeps other processes out: two would deliver everything twice, and each
// would delete what the other is writing. The lock belongs to the process and
// ends with it, whatever ends it, or when the file is closed.
func lock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &whole)
	switch {
	case err == nil:
		return f, nil
	case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES):
		err = fmt.Errorf("lock %s: %w", name, err)
	default:
		err = ErrLocked
		holder := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
		if unix.FcntlFlock(f.Fd(), unix.F_GETLK, &holder) == nil && holder.Type != unix.F_UNLCK {
			err = fmt.Errorf("%w, process %d", ErrLocked, holder.Pid)
		}
	}
	f.Close()
	return nil, err
}
