//go:build unix

package sealedmail

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// lockedMemory gives n octets. That they cannot be locked, as the limit for it (RLIMIT_MEMLOCK) is small, is no error: the secret is needed all the same.
func lockedMemory(n int) (octets []byte, free func()) {
	if n == 0 {
		return nil, func() {}
	}
	all, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, n), func() {}
	}
	_ = unix.Mlock(all)
	if runtime.GOOS == "linux" {
		_ = unix.Madvise(all, dontDump)
	}
	return all[:n:n], func() {
		clear(all)
		_ = unix.Munmap(all) // which unlocks it
	}
}

// dontDump is Linux's MADV_DONTDUMP.
const dontDump = 16
