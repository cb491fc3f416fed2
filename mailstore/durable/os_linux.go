package durable

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// device is the number of the file system a path is on.
func device(name string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return uint64(st.Dev), nil
}

// syncfsReports is whether this kernel's syncfs tells of write errors (5.8 and
// later). One that hides them must not be trusted with a 250.
var syncfsReports = sync.OnceValue(func() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var major, minor int
	part := &major
	for _, b := range u.Release {
		if b == '.' && part == &major {
			part = &minor
			continue
		}
		if b < '0' || b > '9' {
			break
		}
		*part = *part*10 + int(b-'0')
	}
	return major > 5 || major == 5 && minor >= 8
})

func syncfs(f *os.File) error {
	if !syncfsReports() {
		return errors.ErrUnsupported
	}
	// Control keeps the descriptor alive and blocking is what is wanted here.
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		for {
			if serr = unix.Syncfs(int(fd)); serr != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if serr == unix.ENOSYS {
		return errors.ErrUnsupported
	}
	return os.NewSyscallError("syncfs", serr)
}

// beginWriting starts the writing of a part of a file and does not wait for it. It
// promises nothing; what goes wrong is heard of by the sync.
func beginWriting(f *os.File, off, n int64) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), off, n, unix.SYNC_FILE_RANGE_WRITE)
	})
}
