package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// Files is a Store in a directory, which is made when the first document is: a file for each, that only its owner can read. What it makes
// belongs to whoever owns the directory, for an operator may call as root before the first start. Others than this process change nothing in it.
type Files struct {
	dir string
	mu  sync.Mutex // of changes
}

// NewFiles is the store in a directory.
func NewFiles(dir string) *Files { return &Files{dir: dir} }

// Get implements Store. A file that others can read, or replace, is put right where that is possible.
func (f *Files) Get(_ context.Context, name string, known Version) ([]byte, Version, error) {
	file, err := f.file(name)
	if err != nil {
		return nil, "", err
	}
	switch err := closed(file); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", nil
	case err != nil:
		return nil, "", err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, "", err
	}
	v := versionOf(text)
	if v == known {
		text = nil
	}
	return text, v, nil
}

// versionOf is made of the text itself.
func versionOf(text []byte) Version {
	sum := sha256.Sum256(text)
	return Version(hex.EncodeToString(sum[:16]))
}

// file is where a document is.
func (f *Files) file(name string) (string, error) {
	if !fs.ValidPath(name) || name == "." {
		return "", fmt.Errorf("%q: %w", name, fs.ErrInvalid)
	}
	return filepath.Join(f.dir, filepath.FromSlash(name)), nil
}

// Put implements Store.
func (f *Files) Put(ctx context.Context, changes ...Change) (now []Version, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range changes {
		if c.Anyway {
			continue
		}
		if _, v, err := f.Get(ctx, c.Name, ""); err != nil || v != c.Was {
			return nil, errors.Join(err, fmt.Errorf("%s: %w", c.Name, ErrChanged))
		}
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	disk, err := durable.Open(f.dir)
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	var left error
	for _, c := range changes {
		v, err := f.put(ctx, disk, c)
		if errors.Is(err, ErrLeft) {
			left = err
		} else if err != nil {
			return nil, err
		}
		now = append(now, v)
	}
	return now, left
}

func (f *Files) put(ctx context.Context, disk *durable.Disk, c Change) (Version, error) {
	file, err := f.file(c.Name)
	if err != nil {
		return "", err
	}
	if c.Text == nil {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: %w", ErrLeft, err)
		}
		return "", nil
	}
	if err := disk.MkdirAll(ctx, f.dir, filepath.Dir(file)); err != nil {
		return "", err
	}
	if err := disk.ReplaceFile(ctx, file, c.Text); err != nil {
		return "", err
	}
	return versionOf(c.Text), f.own(c.Name)
}

// own makes the owner of the directory that of a file and of the folders it is in.
func (f *Files) own(name string) error {
	info, err := os.Stat(f.dir)
	if err != nil {
		return err
	}
	for at := filepath.FromSlash(name); at != "."; at = filepath.Dir(at) {
		if err := sys.GiveLike(filepath.Join(f.dir, at), info); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// closed sees to it that nobody but the owner can read a file, nor put another in its place.
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
			return fmt.Errorf("others can put another file into %s (mode %#o): chmod go-w %[1]s", dir, info.Mode().Perm())
		}
	}
	return nil
}
