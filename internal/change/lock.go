package change

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider-mail/postrider/internal/sys"
)

// lockWait is how long another change is waited for: each takes a moment.
const lockWait = 10 * time.Second

// folderOf is the folder of a configuration that may be a file in it.
func folderOf(path string) string {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return filepath.Dir(path)
	}
	return path
}

// lock holds the folder of a configuration until unlock, against other processes and within this one. The
// system lets go of it should the process die.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	path = folderOf(path)
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		dir, err := sys.LockFolder(path)
		if err == nil {
			return func() { dir.Close() }, nil
		}
		if errors.Is(err, sys.ErrHeld) {
			select {
			case <-time.After(wait):
				continue
			case <-ctx.Done():
				err = errors.New("somebody else is changing the configuration, and does not come to an end")
			}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
}
