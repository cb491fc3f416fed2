// Package private writes the files that only their owner may read.
package private

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Create makes a new file that only its owner can read: whole and on
// stable storage, or not at all. It never overwrites one.
func Create(name string, content []byte) (err error) {
	folder := filepath.Dir(name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	f, err := os.CreateTemp(folder, ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	// A link, unlike a rename, fails if the name is taken.
	if err := os.Link(f.Name(), name); err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	return syncFolder(folder)
}

// syncFolder makes the names in a folder durable. Windows does not let a folder that was opened for reading be synced;
// there it is left to the journal of the file system.
func syncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
