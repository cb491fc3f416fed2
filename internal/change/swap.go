package change

import (
	"errors"
	"io/fs"
	"os"
)

// swapByLink exchanges two files by way of a third name for b, which is there at each moment. What somebody renames over b between
// the two steps is lost: such a file system cannot do better.
func swapByLink(a, b string) error {
	kept := a + ".old"
	if err := os.Remove(kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(b, kept); err != nil {
		return err
	}
	if err := os.Rename(a, b); err != nil {
		return errors.Join(err, os.Remove(kept))
	}
	return os.Rename(kept, a)
}

// place gives a new file its name, unless there is one of that name.
func place(beside, name string) error { return os.Link(beside, name) }
