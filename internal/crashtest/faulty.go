package crashtest

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// Faulty is a file system on which one call fails, once: the n-th from when it was
// asked for. A failed Close closes the file all the same, as the system does.
type Faulty struct {
	durable.FS

	mu     sync.Mutex
	left   int // calls until the failure; it is over at 0
	cause  error
	failed string
	open   int
}

// FailAt makes the n-th call from now fail with cause.
func (f *Faulty) FailAt(n int, cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.cause, f.failed = n, cause, ""
}

// Failed is what the failed call was, such as "rename new/1"; empty if none has
// failed since FailAt.
func (f *Faulty) Failed() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// Open is how many files are open.
func (f *Faulty) Open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

func (f *Faulty) try(what, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return nil
	}
	if f.left--; f.left > 0 {
		return nil
	}
	f.failed = what + " " + filepath.Join(filepath.Base(filepath.Dir(name)), filepath.Base(name))
	return fmt.Errorf("%s: %w", f.failed, f.cause)
}

func (f *Faulty) file(file durable.File, err error) (durable.File, error) {
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open++
	return &faultyFile{file, f}, nil
}

// Create implements durable.FS.
func (f *Faulty) Create(name string) (durable.File, error) {
	if err := f.try("create", name); err != nil {
		return nil, err
	}
	return f.file(f.FS.Create(name))
}

// CreateUnnamed implements durable.FS.
func (f *Faulty) CreateUnnamed(dir string) (durable.File, error) {
	if err := f.try("create in", dir); err != nil {
		return nil, err
	}
	return f.file(f.FS.CreateUnnamed(dir))
}

// LinkFile implements durable.FS.
func (f *Faulty) LinkFile(file durable.File, newname string) error {
	if err := f.try("name", newname); err != nil {
		return err
	}
	return f.FS.LinkFile(file.(*faultyFile).File, newname)
}

// Mkdir implements durable.FS.
func (f *Faulty) Mkdir(name string) error {
	if err := f.try("mkdir", name); err != nil {
		return err
	}
	return f.FS.Mkdir(name)
}

// Link implements durable.FS.
func (f *Faulty) Link(oldname, newname string) error {
	if err := f.try("link", newname); err != nil {
		return err
	}
	return f.FS.Link(oldname, newname)
}

// Rename implements durable.FS.
func (f *Faulty) Rename(oldname, newname string) error {
	if err := f.try("rename", newname); err != nil {
		return err
	}
	return f.FS.Rename(oldname, newname)
}

// Remove implements durable.FS.
func (f *Faulty) Remove(name string) error {
	if err := f.try("remove", name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// SyncDir implements durable.FS.
func (f *Faulty) SyncDir(name string) error {
	if err := f.try("sync directory", name); err != nil {
		return err
	}
	return f.FS.SyncDir(name)
}

// SyncAll implements durable.FS.
func (f *Faulty) SyncAll() error {
	if err := f.try("sync all", "."); err != nil {
		return err
	}
	return f.FS.SyncAll()
}

type faultyFile struct {
	durable.File
	f *Faulty
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.f.try("write", f.Name()); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.f.try("write at", f.Name()); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Sync() error {
	if err := f.f.try("sync", f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Close() error {
	err := f.f.try("close", f.Name())
	if cerr := f.File.Close(); err == nil {
		err = cerr
	}
	f.f.mu.Lock()
	defer f.f.mu.Unlock()
	f.f.open--
	return err
}
