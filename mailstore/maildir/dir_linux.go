package maildir

import (
	"os"
	"syscall"
	"time"
)

func inode(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// changed is when a file was last written, renamed or given other times.
func changed(info os.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}

// renamed is when a file got its name, or later.
func renamed(info os.FileInfo) time.Time { return changed(info) }

// ownerOf is the user a file belongs to.
func ownerOf(info os.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return 0
}

// fileID is what tells the file apart from others, and how many names it has.
func fileID(info os.FileInfo) (id inodeOf, names uint64) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return inodeOf{uint64(st.Dev), st.Ino}, uint64(st.Nlink)
	}
	return inodeOf{}, 1
}
