// Package sys has what operating systems do in different ways: whose a file is and
// who may use it, locks, and the numbers of some errors. What one of them
// cannot do stands at each function. It knows nothing of mail.
package sys

import (
	"errors"
	"io/fs"
)

// ErrHeld: somebody else has the lock.
var ErrHeld = errors.New("somebody else has it locked")

// Rights that Access asks for; they are added up. Search is the right to reach what is in a folder.
const (
	Search = 1 << iota
	Write
	Read
)

// GiveLike gives a file to the owner of another; of a link, the link itself. Only root can, and
// only root needs to; everywhere else it does nothing.
func GiveLike(name string, like fs.FileInfo) error {
	if uid, gid, ok := Owner(like); ok && root() {
		return give(name, uid, gid)
	}
	return nil
}

// SyncFolder makes the names in a folder durable.
func SyncFolder(name string) error {
	dir, err := OpenFolder(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
