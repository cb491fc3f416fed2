package sys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// Errors of the network and of the disk, by the numbers that this system gives them.
const (
	AddrInUse       = windows.WSAEADDRINUSE
	AddrNotAvail    = windows.WSAEADDRNOTAVAIL
	FamilyUnknown   = windows.WSAEAFNOSUPPORT
	NetUnreachable  = windows.WSAENETUNREACH
	ConnRefused     = windows.WSAECONNREFUSED
	NoSpace         = windows.ERROR_DISK_FULL
	QuotaExceeded   = windows.ERROR_DISK_QUOTA_EXCEEDED
	ReadOnlySystem  = windows.ERROR_WRITE_PROTECT
	PermissionError = windows.ERROR_ACCESS_DENIED
)

// Owner knows nothing here: users have no numbers. os.Geteuid says -1 too.
func Owner(fs.FileInfo) (uid, gid int, ok bool) { return -1, -1, false }

// Others is nothing here: files have lists of who may what, which nobody looks at, and no modes.
func Others(fs.FileMode) fs.FileMode { return 0 }

func root() bool { return false }

func give(string, int, int) error { return errors.ErrUnsupported }

// handle opens a file or a folder with these rights, and shares all of it.
func handle(name string, rights uint32) (windows.Handle, error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return windows.InvalidHandle, err
	}
	const all = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	// Folders are opened with backup semantics only.
	h, err := windows.CreateFile(path, rights, all, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		err = &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return h, err
}

// Access says why this process has not all of these rights to what is at a path: it asks the system for a
// handle that has them. For folders, Write is the right to make files in them.
func Access(path string, rights uint32) error {
	want := uint32(windows.FILE_READ_ATTRIBUTES)
	if rights&Read != 0 {
		want |= windows.FILE_READ_DATA
	}
	if rights&Write != 0 {
		want |= windows.FILE_WRITE_DATA // of a folder, FILE_ADD_FILE has the same number
	}
	h, err := handle(path, want)
	if err != nil {
		return err
	}
	return windows.CloseHandle(h)
}

// farOff is where the locked octet is, far behind every file's end: such locks keep others from reading
// what is below them, and the file is to be read.
const farOff = 1 << 30

// Lock takes a lock of an open file for this file alone: it excludes other processes, and whoever else opened it in
// this one. It goes when the file is closed or the process dies. ErrHeld if somebody has it.
func Lock(f *os.File) error { return lock(f, windows.LOCKFILE_EXCLUSIVE_LOCK) }

func lock(f *os.File, how uint32) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), how|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{OffsetHigh: farOff})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrHeld
	}
	return os.NewSyscallError("LockFileEx", err)
}

// LockToRead has nobody to keep out: programs here agree on no lock of an mbox.
func LockToRead(*os.File) error { return nil }

// folderLock is what stands for a folder, which has no locks here.
const folderLock = ".postrider-folder.lock"

// LockFolder takes the lock of a folder, by way of a file in it. ErrHeld if somebody has it.
func LockFolder(name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(name, folderLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := Lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// OpenPlain opens what has a name itself, and no link.
func OpenPlain(name string, flag int) (*os.File, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is a link")}
	}
	return os.OpenFile(name, flag, 0)
}

// OpenFolder opens a folder so that it can be synced: what makes its names durable is to flush a handle
// that may write. NTFS does that; a file system that cannot says so.
func OpenFolder(name string) (*os.File, error) {
	h, err := handle(name, windows.GENERIC_READ|windows.GENERIC_WRITE)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), name), nil
}

// As cannot be here.
func As(int, int, func() error) error { return errors.ErrUnsupported }

// Ends are the signals that end a process and can be noticed.
func Ends() []os.Signal { return []os.Signal{os.Interrupt} }

// Die ends this process, as the signal would have done.
func Die(os.Signal) {
	if h, err := windows.GetCurrentProcess(); err == nil {
		windows.TerminateProcess(h, uint32(windows.STATUS_CONTROL_C_EXIT))
	}
}
