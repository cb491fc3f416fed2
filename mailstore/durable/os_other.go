//go:build !linux

package durable

import (
	"errors"
	"os"

	"github.com/postrider-mail/postrider/internal/sys"
)

func device(string) (uint64, error) { return 0, errors.ErrUnsupported }

func syncfs(*os.File) error { return errors.ErrUnsupported }

func beginWriting(*os.File, int64, int64) {}

func createFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func openDir(name string) (*os.File, error) { return sys.OpenFolder(name) }

func rename(oldname, newname string) error { return os.Rename(oldname, newname) }

func keepsUnnamed(*os.File) bool { return false }

func createUnnamed(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func linkFile(*os.File, string) error { return errors.ErrUnsupported }
