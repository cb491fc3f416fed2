package change

import (
	"errors"

	"golang.org/x/sys/unix"
)

// swap exchanges two files at once: at each moment both names are there.
func swap(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // some file systems cannot
		return swapByLink(a, b)
	}
	return err
}
