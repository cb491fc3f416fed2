//go:build unix

package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Errors of the network and of the disk, by the numbers that this system gives them.
const (
	AddrInUse       = unix.EADDRINUSE
	AddrNotAvail    = unix.EADDRNOTAVAIL
	FamilyUnknown   = unix.EAFNOSUPPORT
	NetUnreachable  = unix.ENETUNREACH
	ConnRefused     = unix.ECONNREFUSED
	NoSpace         = unix.ENOSPC
	QuotaExceeded   = unix.EDQUOT
	ReadOnlySystem  = unix.EROFS
	PermissionError = unix.EACCES
)

// Owner is whom a file belongs to, by numbers; not ok where that is unknown.
func Owner(info fs.FileInfo) (uid, gid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), int(stat.Gid), true
}

// Others are the rights of a mode that others than the owner have, the group first.
func Others(mode fs.FileMode) fs.FileMode { return mode & 0o077 }

func root() bool { return os.Geteuid() == 0 }

func give(name string, uid, gid int) error { return os.Lchown(name, uid, gid) }

// Access says why this process has not all of these rights to what is at a path.
func Access(path string, rights uint32) error { return unix.Access(path, rights) }

// Lock takes a lock of an open file, or folder, for this file alone: it excludes other processes, and whoever else opened it in
// this one. It goes when the file is closed or the process dies. ErrHeld if somebody has it.
func Lock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return ErrHeld
		default:
			return os.NewSyscallError("flock", err)
		}
	}
}

// LockToRead keeps programs that use fcntl from writing to an open file. ErrHeld if one does.
func LockToRead(f *os.File) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrHeld
	}
	return os.NewSyscallError("fcntl", err)
}

// LockFolder takes the lock of a folder, which needs no room on the disk. ErrHeld if somebody has it,
// errors.ErrUnsupported where folders cannot be locked: NFS makes flock out of locks that ask for a
// file open for writing.
func LockFolder(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if err = Lock(f); err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EBADF) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EOPNOTSUPP) {
		err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return nil, err
}

// OpenPlain opens what has a name itself: no link is followed, and no pipe waited for.
func OpenPlain(name string, flag int) (*os.File, error) {
	return os.OpenFile(name, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

// OpenFolder opens a folder so that it can be synced.
func OpenFolder(name string) (*os.File, error) { return os.Open(name) }

// As runs something as another user, as files are concerned. Only root can.
func As(uid, gid int, do func() error) (err error) {
	group := os.Getegid()
	if err := syscall.Setegid(gid); err != nil {
		return fmt.Errorf("become group %d: %w", gid, err)
	}
	defer func() { err = errors.Join(err, syscall.Setegid(group)) }()
	if err := syscall.Seteuid(uid); err != nil {
		return fmt.Errorf("become user %d: %w", uid, err)
	}
	defer func() { err = errors.Join(err, syscall.Seteuid(0)) }()
	return do()
}

// Ends are the signals that end a process and can be noticed.
func Ends() []os.Signal {
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}
}

// Die ends this process by a signal, as if nobody had noticed it.
func Die(sig os.Signal) { syscall.Kill(os.Getpid(), sig.(syscall.Signal)) }
