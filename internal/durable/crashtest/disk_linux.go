package crashtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Disk is a real file system of its own, which can lose its power.
type Disk struct {
	Dir   string // where it is mounted
	image string
}

// NewDisk makes a file system of a kind, "ext4" for instance, of size octets on a
// loop device and mounts it. The test is skipped where that is not allowed.
func NewDisk(t testing.TB, kind string, size int64) *Disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	d := &Disk{Dir: t.TempDir(), image: filepath.Join(t.TempDir(), "image")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, size); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs."+kind, "-q", d.image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.%s: %v %s", kind, err, out)
	}
	d.mount(t)
	t.Cleanup(func() { unix.Unmount(d.Dir, unix.MNT_DETACH) })
	return d
}

func (d *Disk) mount(t testing.TB) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.Dir).CombinedOutput(); err != nil {
		t.Skipf("mounting is not allowed here: %v %s", err, out)
	}
}

// Shutdown pulls the plug: the file system's own call drops everything that is
// not yet on the disk, the journal in memory included, and refuses all work.
func (d *Disk) Shutdown(t testing.TB) {
	t.Helper()
	const (
		ioctlShutdown = 0x8004587d // _IOR('X', 125, __u32)
		noLogFlush    = 2          // do not write the journal out first
	)
	root, err := os.Open(d.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	how := uint32(noLogFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, root.Fd(), ioctlShutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		t.Skipf("shutdown: %v", errno)
	}
}

// Remount mounts the file system anew, so that what is seen is what is on the
// disk. Nobody may use it any more; processes just killed are waited for.
func (d *Disk) Remount(t testing.TB) {
	t.Helper()
	for try := 0; ; try++ {
		err := unix.Unmount(d.Dir, 0)
		if err == nil {
			break
		}
		if try == 500 {
			t.Fatalf("unmount: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.mount(t)
}
