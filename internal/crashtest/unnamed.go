package crashtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// Unnamed is the real file system with files that have no name on any system:
// they stand in a directory of their own, beside what is tested, until they are
// closed.
type Unnamed struct {
	durable.FS
	// Refuse makes CreateUnnamed unsupported, as most file systems do.
	Refuse bool

	disk  *durable.Disk
	dir   string
	count atomic.Uint64
}

// NewUnnamed opens the file system that holds root. Close it to clear up.
func NewUnnamed(root string) (*Unnamed, error) {
	dir, err := os.MkdirTemp(filepath.Dir(filepath.Clean(root)), "unnamed-")
	if err != nil {
		return nil, err
	}
	disk, err := durable.Open(root)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return &Unnamed{FS: disk.FS(), disk: disk, dir: dir}, nil
}

// Close closes the file system and removes what was not closed before.
func (u *Unnamed) Close() error {
	os.RemoveAll(u.dir)
	return u.disk.Close()
}

// CreateUnnamed implements durable.FS.
func (u *Unnamed) CreateUnnamed(dir string) (durable.File, error) {
	if u.Refuse {
		return nil, errors.ErrUnsupported
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	n := strconv.FormatUint(u.count.Add(1), 10)
	f, err := u.FS.Create(filepath.Join(u.dir, n))
	if err != nil {
		return nil, err
	}
	return &unnamedFile{File: f, name: filepath.Join(dir, "(no name "+n+")")}, nil
}

// LinkFile implements durable.FS. A file that has lost all names it was given
// gets no other, as on Linux.
func (u *Unnamed) LinkFile(f durable.File, newname string) error {
	uf := f.(*unnamedFile)
	there := func(name string) bool { _, err := os.Lstat(name); return err == nil }
	if len(uf.given) > 0 && !slices.ContainsFunc(uf.given, there) {
		return &os.LinkError{Op: "link", Old: uf.name, New: newname, Err: fs.ErrNotExist}
	}
	err := u.FS.Link(uf.File.Name(), newname)
	if err == nil {
		uf.given = append(uf.given, newname)
	}
	return err
}

type unnamedFile struct {
	durable.File
	name  string
	given []string
}

func (f *unnamedFile) Name() string { return f.name }

func (f *unnamedFile) Close() error {
	err := f.File.Close()
	if rerr := os.Remove(f.File.Name()); err == nil {
		err = rerr
	}
	return err
}
