package maildir

import (
	"errors"
	"os"

	"github.com/postrider-mail/postrider/internal/sys"
)

// lockFile takes the lock of an open file; errBusy if somebody else has it.
func lockFile(f *os.File) error { return busy(sys.Lock(f)) }

// lockDir takes the lock of a folder; errBusy if somebody else has it,
// errors.ErrUnsupported where folders cannot be locked.
func lockDir(name string) (*os.File, error) {
	f, err := sys.LockFolder(name)
	return f, busy(err)
}

func busy(err error) error {
	if errors.Is(err, sys.ErrHeld) {
		return errBusy
	}
	return err
}
