package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
	name := filepath.Join(root, ownerLock)
	f, err := openLocked(name)
	if errors.Is(err, errBusy) {
		return nil, fmt.Errorf("%w: %s is held by %s", ErrHeld, root, holder(name))
	}
	if err != nil {
		return nil, err
	}
	exe, _ := os.Executable()
	text := fmt.Sprintf("process %d (%s) since %s\n", os.Getpid(), filepath.Base(exe), time.Now().UTC().Format(time.RFC3339))
	// A full disk must not keep the daemon down: the lock counts, not the text.
	_ = os.WriteFile(name, []byte(text), 0o600)
	return f, nil
}

// openLocked opens a lock file, making it if need be, and locks it; errBusy if
// somebody else has it. It is opened for reading, which is enough to lock it:
// an open file that could be written would keep the administrator from mounting
// the file system read-only.
func openLocked(name string) (*os.File, error) {
	for _, flag := range []int{os.O_RDONLY, os.O_RDWR} {
		f, err := os.OpenFile(name, flag|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err = lockFile(f); err == nil {
			return f, nil
		}
		f.Close()
		// NFS makes flock out of locks that ask for a file open for writing.
		if !errors.Is(err, syscall.EBADF) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("lock %s: %w", name, syscall.EBADF)
}

func releaseOwnership(f *os.File) error {
	_ = os.Truncate(f.Name(), 0)
	return f.Close()
}

// holder reads who wrote the lock file.
func holder(name string) string {
	b, _ := os.ReadFile(name)
	text := strings.TrimSpace(strings.ToValidUTF8(string(b[:min(len(b), 200)]), "?"))
	if text == "" {
		return "another process"
	}
	return text
}

// Holder says which process owns the store below root, or "" if none does. It
// is a look, not a lock: the answer may be old when it arrives.
func Holder(root string) (string, error) {
	name := filepath.Join(root, ownerLock)
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	f, err := openLocked(name)
	if errors.Is(err, errBusy) {
		return holder(name), nil
	}
	if err != nil {
		return "", fmt.Errorf("maildir: look for owner: %w", err)
	}
	return "", f.Close()
}
