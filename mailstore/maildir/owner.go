package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrHeld: another process owns the store. The error's text says which.
var ErrHeld = errors.New("maildir: the store is in use")

// errBusy: a lock is held by somebody else.
var errBusy = errors.New("maildir: lock is held")

const ownerLock = ".postrider.lock"

// takeOwnership locks the store for this process. The lock is the kernel's and
// goes with the process, however it ends; the text inside only says who.
func takeOwnership(root string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(root, ownerLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		defer f.Close()
		if !errors.Is(err, errBusy) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s is held by %s", ErrHeld, root, holder(f))
	}
	exe, _ := os.Executable()
	text := fmt.Sprintf("process %d (%s) since %s\n", os.Getpid(), filepath.Base(exe), time.Now().UTC().Format(time.RFC3339))
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(text), 0)
		if err == nil {
			return f, nil
		}
	}
	// A full disk must not keep the daemon down: the lock counts, not the text.
	return f, nil
}

func releaseOwnership(f *os.File) error {
	_ = f.Truncate(0)
	return f.Close()
}

// holder reads who wrote the lock file.
func holder(f *os.File) string {
	var b [200]byte
	n, _ := f.ReadAt(b[:], 0)
	text := strings.TrimSpace(strings.ToValidUTF8(string(b[:n]), "?"))
	if text == "" {
		return "another process"
	}
	return text
}

// Holder says which process owns the store below root, or "" if none does. It
// is a look, not a lock: the answer may be old when it arrives.
func Holder(root string) (string, error) {
	f, err := os.OpenFile(filepath.Join(root, ownerLock), os.O_RDWR, 0)
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("maildir: look for owner: %w", err)
	}
	defer f.Close()
	switch err := lockFile(f); {
	case errors.Is(err, errBusy):
		return holder(f), nil
	case err != nil:
		return "", fmt.Errorf("maildir: look for owner: %w", err)
	}
	return "", nil
}
