package acme

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Store keeps what several servers have together: the account's key, certificates with their keys, when the authority was asked for
// which, and the proof that it is to be shown just now. All of it are small documents, some of them secrets, each under a name that is a
// file's: host names, and some words. Its methods may be called concurrently, by any server.
type Store interface {
	// Get reads a document; nil where there is none.
	Get(ctx context.Context, name string) (text []byte, err error)
	// Update replaces a document by what change makes of it, which gets nil where there is none; nil leaves it as it is. change may be
	// called again, where another was faster. It returns the document as it is then.
	Update(ctx context.Context, name string, change func(text []byte) ([]byte, error)) ([]byte, error)
	// Delete takes a document away; it may be gone already.
	Delete(ctx context.Context, name string) error
}

// files is the Store of a server that is alone: a folder, 0700, with a file for each document, 0600.
type files struct {
	folder string
	mu     sync.Mutex // of changes
}

func (f *files) Get(_ context.Context, name string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(f.folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

func (f *files) Update(ctx context.Context, name string, change func([]byte) ([]byte, error)) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := f.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	next, err := change(text)
	if err != nil || next == nil {
		return text, err
	}
	return next, f.put(name, next)
}

// put replaces a file by a new one, so that half of a key never stands there.
func (f *files) put(name string, text []byte) error {
	if err := os.MkdirAll(f.folder, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(f.folder, ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), filepath.Join(f.folder, name))
}

func (f *files) Delete(_ context.Context, name string) error {
	if err := os.Remove(filepath.Join(f.folder, name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
