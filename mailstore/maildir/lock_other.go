//go:build !(linux || darwin || freebsd)

package maildir

import (
	"errors"
	"os"
)

// Without locks that end with the process, and without colons in file names,
// there is no Maildir store.
func lockFile(*os.File) error { return errors.ErrUnsupported }

// lockDir takes an exclusive lock of a directory.
func lockDir(string) (*os.File, error) { return nil, errors.ErrUnsupported }
