//go:build !linux

package maildir

import (
	"os"
	"time"
)

// inode is not known here; the directory's time has to do.
func inode(os.FileInfo) uint64 { return 0 }

// changed is when a file was last written.
func changed(info os.FileInfo) time.Time { return info.ModTime() }

// renamed is when a file got its name, which is not known here.
func renamed(os.FileInfo) time.Time { return time.Time{} }

// ownerOf is not known here: everybody is taken for one.
func ownerOf(os.FileInfo) uint32 { return 0 }

// fileID is not known here: every name is taken for a file of its own.
func fileID(os.FileInfo) (inodeOf, uint64) { return inodeOf{}, 1 }
