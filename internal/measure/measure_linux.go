package measure

import (
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// DataSync makes the contents of a file durable, and what it takes to find them.
func DataSync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// CPUTime is what this process has used. The kernel's own threads, which write
// the journal, are not in it.
func CPUTime() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// rest waits until the disk has nothing left to write of what was done before.
func rest(dir string) {
	if f, err := os.Open(dir); err == nil {
		_ = unix.Syncfs(int(f.Fd()))
		f.Close()
	}
}

// Forget drops what the system holds in memory of the files in dir.
func Forget(dir string) {
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, name := range names {
		if f, err := os.Open(name); err == nil {
			_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
			f.Close()
		}
	}
}
