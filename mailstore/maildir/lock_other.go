//go:build !(linux || darwin || freebsd)

package maildir

import (
	"errors"
	"os"
)

// Without locks that end with the process, and without colons in file names,
// there is no Maildir store.
func lockFile(*os.File) error { return errors.ErrUnsupported }

func free(string) int64 { return -1 }
