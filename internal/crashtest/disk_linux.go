package crashtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// Cut pulls the plug of a file system that has no call for it: what has been
// handed to the disk by now is kept, and what is in memory only is lost. All who
// write to it must have been stopped (Worker.Stop); kill ends them.
func (d *Disk) Cut(t testing.TB, kill func()) {
	t.Helper()
	copied := d.image + ".cut"
	for try := 0; ; try++ {
		before := d.written(t)
		if out, err := exec.Command("cp", "--sparse=always", d.image, copied).CombinedOutput(); err != nil {
			t.Fatalf("copy: %v %s", err, out)
		}
		if d.written(t) == before {
			break // of one moment
		}
		if try == 50 {
			t.Skip("the disk does not come to rest")
		}
		time.Sleep(20 * time.Millisecond)
	}
	kill()
	for try := 0; unix.Unmount(d.Dir, 0) != nil; try++ {
		if try == 500 {
			t.Fatal("cannot unmount")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := os.Rename(copied, d.image); err != nil {
		t.Fatal(err)
	}
	d.mount(t)
}

// written counts what has been written to the disk, in the kernel's words
// (Documentation/admin-guide/iostats.rst): writes done, sectors, and in flight.
func (d *Disk) written(t testing.TB) string {
	t.Helper()
	device, err := exec.Command("findmnt", "-n", "-o", "SOURCE", "--target", d.Dir).Output()
	if err != nil {
		t.Skipf("findmnt: %v", err)
	}
	stat, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(strings.TrimSpace(string(device))), "stat"))
	if err != nil {
		t.Skip(err)
	}
	f := strings.Fields(string(stat))
	if len(f) < 9 {
		t.Skipf("%s", stat)
	}
	return f[4] + " " + f[6] + " " + f[8]
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
