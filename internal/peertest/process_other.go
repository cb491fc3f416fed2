//go:build !unix

package peertest

import (
	"io/fs"
	"syscall"
)

// There are none of the peers here; what talks to them has only to compile.
const (
	freeze = syscall.SIGINT
	thaw   = syscall.SIGINT
)

func below(string) *syscall.SysProcAttr { return new(syscall.SysProcAttr) }

// Become does nothing.
func Become(*syscall.SysProcAttr, int, int) {}

func signal(int, syscall.Signal) {}

func ownerOf(fs.FileInfo) (uid, gid int) { return -1, -1 }
