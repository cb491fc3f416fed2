//go:build unix

package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// canMakeDir says why a directory cannot be written to, or made where it is
// not there yet.
func canMakeDir(dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at):
			continue
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s is not a directory", at)
		case unix.Access(at, unix.W_OK|unix.X_OK) == nil:
			return nil
		case at == dir:
			return fmt.Errorf("%s cannot be written to by user %d, which this runs as", dir, os.Getuid())
		default:
			return fmt.Errorf("%s cannot be made: user %d, which this runs as, cannot write to %s", dir, os.Getuid(), at)
		}
	}
}
