package durable

import "io"

// FS is the seam: every change to the disk goes through one of these
// operations. Reading does not change anything and needs no seam.
//
// Names are ordinary paths. Implementations must be safe for concurrent use.
type FS interface {
	// Create makes a new file for writing, mode 0600. It is an error that is
	// fs.ErrExist if the name is taken.
	Create(name string) (File, error)
	// CreateUnnamed makes a new file for writing, mode 0600, that belongs to
	// the file system and the defaults of dir but stands in no directory: should
	// nobody name it, nothing is left of it. It is an error that is
	// errors.ErrUnsupported where files must have a name from the beginning.
	CreateUnnamed(dir string) (File, error)
	// LinkFile gives a file made by CreateUnnamed and still open a name, or one
	// more. fs.ErrExist if newname is taken, fs.ErrNotExist if it has lost all the
	// names it had.
	LinkFile(f File, newname string) error
	// Mkdir makes a directory, mode 0700. fs.ErrExist if the name is taken.
	Mkdir(name string) error
	// Link gives a file a second name. fs.ErrExist if newname is taken.
	Link(oldname, newname string) error
	// Rename moves a file or directory. A file in the way is replaced.
	Rename(oldname, newname string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// SyncDir makes the entries of one directory durable. The error is
	// ErrNotTried if the directory could not be opened.
	SyncDir(name string) error
	// SyncAll makes everything durable that was written before the call to
	// the file system the FS was opened on. An implementation or system
	// that cannot answers errors.ErrUnsupported, and nothing was synced.
	SyncAll() error
	// Covers reports whether SyncAll reaches the named directory.
	Covers(dir string) bool
}

// File is a file being written.
type File interface {
	io.WriteCloser
	// WriterAt fills in what was left out before; it moves no Write.
	io.WriterAt
	// Name is the name given to Create. A file of CreateUnnamed has one that
	// lies in dir, for the sake of messages; it is not to be found there.
	Name() string
	// Sync makes the contents durable, not the name.
	Sync() error
}
