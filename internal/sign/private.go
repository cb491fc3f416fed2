package sign

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// maxKeyFile bounds the file of a private key, in octets.
const maxKeyFile = 64 << 10

// readPrivate reads a private key whose public part is known. A file that others can
// read is put right where that is possible: it is the server's own.
func readPrivate(name, public string) (crypto.Signer, error) {
	if err := closed(name); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	key, err := ReadKey(name, text)
	if err != nil {
		return nil, err
	}
	record, err := dkim.Record(key.Public())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if record != public {
		return nil, fmt.Errorf("%s holds another key than the one that was announced", name)
	}
	return key, nil
}

// ReadKey reads the text of a key file.
func ReadKey(name string, text []byte) (crypto.Signer, error) {
	if len(text) == 0 {
		return nil, fmt.Errorf("%s is empty", name)
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%s is too long for a key", name)
	}
	key, err := dkim.ReadKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

// closed sees to it that nobody but the owner can read a key, nor put another in its
// place.
func closed(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if sys.Others(info.Mode()) != 0 {
		if err := os.Chmod(name, 0o600); err != nil {
			return fmt.Errorf("others can read %s (mode %#o): chmod 600 %[1]s", name, info.Mode().Perm())
		}
	}
	dir := filepath.Dir(name)
	if info, err = os.Stat(dir); err != nil {
		return err
	}
	if sys.Others(info.Mode())&0o022 != 0 {
		if err := os.Chmod(dir, info.Mode().Perm()&^0o022); err != nil {
			return fmt.Errorf("others can put another key into %s (mode %#o): chmod go-w %[1]s", dir, info.Mode().Perm())
		}
	}
	return nil
}

// giveTo makes the owner of a directory that of files below it, where the caller is
// another and may.
func giveTo(parent string, names ...string) error {
	info, err := os.Stat(parent)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := sys.GiveLike(name, info); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
