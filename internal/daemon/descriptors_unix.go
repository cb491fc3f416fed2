//go:build linux || darwin || freebsd

package daemon

import "golang.org/x/sys/unix"

// openFiles is how many files this process may have open; 0 if it is not known.
func openFiles() uint64 {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return uint64(r.Cur)
}
