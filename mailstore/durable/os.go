package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"sync"
	"sync/atomic"
)

// osFS is the real file system, opened on one directory.
type osFS struct {
	// root stays open for the whole life: syncfs reports the errors that
	// happened since the descriptor was opened, so one opened just before the
	// call would hear of none.
	root *os.File
	dev  uint64
	// unnamed is whether CreateUnnamed works here, as far as is known.
	unnamed atomic.Bool

	mu   sync.Mutex
	near map[string]bool // directory -> on root's device
}

// maxNear bounds the memory of Covers; when it is full it is forgotten.
const maxNear = 1 << 16

// openOS opens the file system that holds dir. SyncAll syncs that one.
func openOS(dir string) (*osFS, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("durable: open root: %w", err)
	}
	dev, err := device(f.Name())
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		f.Close()
		return nil, fmt.Errorf("durable: open root: %w", err)
	}
	o := &osFS{root: f, dev: dev, near: make(map[string]bool)}
	o.unnamed.Store(keepsUnnamed(f))
	return o, nil
}

// Close releases the descriptor of the root.
func (o *osFS) Close() error { return o.root.Close() }

// Free is what the file system has left for this user. Where that cannot be told
// there is always room, until a write fails.
func (o *osFS) Free() (Free, error) {
	f, err := FreeOn(o.root.Name())
	if errors.Is(err, errors.ErrUnsupported) {
		return Free{Octets: math.MaxInt64 / 2}, nil
	}
	return f, err
}

// Create implements FS.
func (o *osFS) Create(name string) (File, error) {
	f, err := createFile(name)
	if err != nil {
		return nil, err // not f: a nil *os.File in a File is not nil
	}
	return &osFile{File: f}, nil
}

// CreateUnnamed implements FS on Linux, for file systems known to make the
// contents of a file durable that has no name yet (docs/storage.md).
func (o *osFS) CreateUnnamed(dir string) (File, error) {
	if !o.unnamed.Load() || !o.Covers(dir) {
		return nil, errors.ErrUnsupported
	}
	f, err := createUnnamed(dir)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f}, nil
}

// LinkFile implements FS.
func (o *osFS) LinkFile(f File, newname string) error {
	of, ok := f.(*osFile)
	if !ok {
		return errors.ErrUnsupported
	}
	err := linkFile(of.File, newname)
	// What a policy does not let be linked it will not the next time either.
	if errors.Is(err, fs.ErrPermission) {
		o.unnamed.Store(false)
	}
	return err
}

// osFile hands a large file to the disk while it is still growing, so that
// the sync at the end finds most of it done.
type osFile struct {
	*os.File
	written, begun int64
}

// early is how much gathers before the disk is asked to begin.
const early = 1 << 20

func (f *osFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.written += int64(n)
	if f.written-f.begun >= early {
		beginWriting(f.File, f.begun, f.written-f.begun)
		f.begun = f.written
	}
	return n, err
}

func (f *osFile) Sync() error { return synced(f.File, f.File.Sync()) }

// Mkdir implements FS.
func (o *osFS) Mkdir(name string) error { return os.Mkdir(name, 0o700) }

// Link implements FS.
func (o *osFS) Link(oldname, newname string) error { return os.Link(oldname, newname) }

// Rename implements FS.
func (o *osFS) Rename(oldname, newname string) error { return rename(oldname, newname) }

// Remove implements FS.
func (o *osFS) Remove(name string) error { return os.Remove(name) }

// SyncDir implements FS.
func (o *osFS) SyncDir(name string) error {
	d, err := openDir(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotTried, err)
	}
	defer d.Close()
	return synced(d, d.Sync())
}

// synced is what a sync of f, or of all that is on its file system, came to.
//
// QUIRK: XFS that has shut itself down after a failed log write has thrown away
// what was to be logged, and then may find nothing to do when it is asked to sync:
// it reports success. It does refuse to stat.
func synced(f *os.File, err error) error {
	if err == nil {
		_, err = f.Stat()
	}
	return err
}

// SyncAll implements FS with syncfs(2). Linux has it, and reports write errors
// through it since 5.8.
func (o *osFS) SyncAll() error { return synced(o.root, syncfs(o.root)) }

// Covers implements FS: it compares devices. A file system mounted over a
// directory that was asked about before is not noticed until the Disk is opened
// again.
func (o *osFS) Covers(dir string) bool {
	o.mu.Lock()
	near, ok := o.near[dir]
	o.mu.Unlock()
	if ok {
		return near
	}
	dev, err := device(dir)
	if err != nil {
		return false
	}
	near = dev == o.dev
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.near) >= maxNear {
		clear(o.near)
	}
	o.near[dir] = near
	return near
}
