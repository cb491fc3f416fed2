package seal

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/postrider-mail/postrider/cipher/internal/private"
)

// keyFileHead explains a key file to whoever opens it.
const keyFileHead = `# Postrider key, version 1: 32 bytes in base64.
# Keep it secret, and keep a copy elsewhere: what it sealed opens with nothing else.
`

// LoadKey reads a key file: one line of base64 among comments that begin with
// "#". The error is ErrKeyFile if group or others can read or write it (but for
// the group of a file in systemd's $CREDENTIALS_DIRECTORY) or if there is not
// exactly one key in it; fs.ErrNotExist if it is not there.
func LoadKey(name string) (Key, error) {
	f, err := os.Open(name)
	if err != nil {
		return Key{}, fmt.Errorf("seal: open key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of the open file, so that it is the one that is read
	if err != nil {
		return Key{}, fmt.Errorf("seal: look at key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Key{}, fmt.Errorf("%w: %s is no regular file", ErrKeyFile, name)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 && !isCredential(name, info.Mode()) {
		return Key{}, fmt.Errorf("%w: %s has mode %04o; make it 0600", ErrKeyFile, name, info.Mode().Perm())
	}
	content, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return Key{}, fmt.Errorf("seal: read key file: %w", err)
	}
	k, err := parseKeyFile(content)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %s holds %w", ErrKeyFile, name, err)
	}
	return k, nil
}

// isCredential knows a credential that systemd passes to this process alone:
// where it grants the right by an access control list, that shows as the
// group's right to read (systemd.exec(5), LoadCredential).
func isCredential(name string, mode fs.FileMode) bool {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	return dir != "" && filepath.Dir(name) == filepath.Clean(dir) && mode.Perm()&0o037 == 0
}

func parseKeyFile(content []byte) (k Key, err error) {
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(raw) != KeySize || k.secret != nil {
			return Key{}, errors.New("something that is not one line of base64 with 32 bytes")
		}
		if k, err = NewKey(raw); err != nil {
			return Key{}, err
		}
	}
	if k.secret == nil {
		return Key{}, errors.New("no key")
	}
	return k, nil
}

// CreateKey makes a key file, 0600, with a random Key in it, durably. It never
// overwrites a file: the error is then fs.ErrExist.
func CreateKey(name string) (Key, error) {
	k := GenerateKey()
	text := keyFileHead + base64.StdEncoding.EncodeToString(k.secret[:]) + "\n"
	if err := private.Create(name, []byte(text)); err != nil {
		return Key{}, err
	}
	return k, nil
}

// EnsureKey is LoadKey, after CreateKey if there is no such file. Two processes
// that do so at the same time get the same key.
func EnsureKey(name string) (k Key, created bool, err error) {
	k, err = LoadKey(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, false, err
	}
	k, err = CreateKey(name)
	if errors.Is(err, fs.ErrExist) {
		k, err = LoadKey(name)
		return k, false, err
	}
	return k, err == nil, err
}
