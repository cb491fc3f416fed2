// Package dirents lists directories that may have very many names, such as those of mailboxes and queues.
//
//	err := dirents.Read(dir, func(e *dirents.Entry) {
//		if e.Regular() { names = append(names, string(e.Name)) }
//	})
package dirents

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Entry is a name in a directory.
type Entry struct {
	Name  []byte // good until the next Entry comes: a name already known then costs no memory
	Inode uint64 // of the file, which is where on the disk it is, more or less; 0 where it is not known

	dir  string
	kind fs.FileMode
}

// unknown is the kind of what the file system does not tell the kind of.
const unknown = fs.ModeIrregular

// Regular reports whether it is a regular file. Only where its directory does not say so, the file is asked.
func (e *Entry) Regular() bool {
	if e.kind != unknown {
		return e.kind.IsRegular()
	}
	info, err := os.Lstat(filepath.Join(e.dir, string(e.Name)))
	return err == nil && info.Mode().IsRegular()
}
