package milter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/postrider-mail/postrider/internal/sys"
)

// explain says why nobody could be reached at a Unix socket: most often it is the right to write to it.
func explain(network, address string, err error) error {
	if network != "unix" {
		return err
	}
	info, statErr := os.Stat(address)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no %s: the milter does not run, or listens elsewhere: %w", address, err)
	case errors.Is(err, sys.ConnRefused):
		return fmt.Errorf("nobody listens at %s: the milter that made it has ended: %w", address, err)
	case errors.Is(err, fs.ErrPermission) && statErr != nil:
		return fmt.Errorf("%s is in a folder that %s may not enter: %w", address, us(), err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s belongs to %s (mode %04o), and %s may not write to it: %w", address, ownerOf(info), info.Mode().Perm(), us(), err)
	}
	return err
}

// us is who this process is.
func us() string { return "this server, which is " + name(os.Geteuid(), os.Getegid()) + "," }
