package crashtest

import (
	"os"
	"testing"
)

// Scratch returns a directory for crashed disks, in memory where that can be
// had: thousands are made, looked at and removed, and none needs to last.
func Scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "crashtest-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
