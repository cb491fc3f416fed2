//go:build unix

package peertest

import (
	"io/fs"
	"syscall"
)

const (
	freeze = syscall.SIGSTOP
	thaw   = syscall.SIGCONT
)

// below are the attributes of a process in a group of its own, below a root
// directory, "" for the machine's own.
func below(root string) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Chroot: root}
}

// Become makes a process a user's.
func Become(attr *syscall.SysProcAttr, uid, gid int) {
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// signal tells a process, or with a negative number its group, something.
func signal(pid int, s syscall.Signal) { syscall.Kill(pid, s) }

func ownerOf(info fs.FileInfo) (uid, gid int) {
	owner := info.Sys().(*syscall.Stat_t)
	return int(owner.Uid), int(owner.Gid)
}
