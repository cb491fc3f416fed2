package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

func openTest(t *testing.T, dir string) *osFS {
	t.Helper()
	o, err := openOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// elsewhere is a directory on another file system than dir.
func elsewhere(t *testing.T, dir string) string {
	t.Helper()
	other, err := os.MkdirTemp("/dev/shm", "durable-")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { os.RemoveAll(other) })
	here, err1 := device(dir)
	there, err2 := device(other)
	if err := errors.Join(err1, err2); err != nil || here == there {
		t.Skipf("/dev/shm is no file system of its own: %v", err)
	}
	return other
}

// TestCovers: a sync of everything reaches what is on the same file system, and
// so does a file without a name.
func TestCovers(t *testing.T) {
	dir := t.TempDir()
	o := openTest(t, dir)
	if err := o.Mkdir(filepath.Join(dir, "below")); err != nil {
		t.Fatal(err)
	}
	other := elsewhere(t, dir)
	for range 2 { // asked, and remembered
		for name, want := range map[string]bool{dir: true, filepath.Join(dir, "below"): true, other: false, "/proc": false, filepath.Join(dir, "missing"): false} {
			if o.Covers(name) != want {
				t.Errorf("Covers(%s) = %v", name, !want)
			}
		}
	}
	o.unnamed.Store(true)
	if f, err := o.CreateUnnamed(other); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a file without a name on another file system: %v, %v", f, err)
	}
}

// TestCoversForgets: what is remembered is bounded, and right after it was
// forgotten.
func TestCoversForgets(t *testing.T) {
	dir := t.TempDir()
	o := openTest(t, dir)
	for i := range maxNear {
		o.near[string(rune(i))] = false
	}
	if !o.Covers(dir) || len(o.near) > maxNear || !o.Covers(dir) {
		t.Errorf("%d directories are remembered", len(o.near))
	}
}

// TestSyncErrors: what the system says of a sync is passed on. Descriptors that
// can only be looked at (O_PATH) have every sync fail.
func TestSyncErrors(t *testing.T) {
	dir := t.TempDir()
	o := openTest(t, dir)
	if err := o.SyncAll(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyncAll: %v", err)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	path := os.NewFile(uintptr(fd), dir)
	defer path.Close()
	if err := (&osFS{root: path}).SyncAll(); syncfsReports() && !errors.Is(err, unix.EBADF) {
		t.Errorf("SyncAll that fails: %v", err)
	}
	if err := o.SyncDir("/proc"); err == nil || errors.Is(err, ErrNotTried) {
		t.Errorf("SyncDir that fails: %v", err)
	}
	if err := o.SyncDir(filepath.Join(dir, "missing")); !errors.Is(err, ErrNotTried) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SyncDir of nothing: %v", err)
	}
	o.Close()
	if err := o.SyncAll(); syncfsReports() && err == nil {
		t.Error("SyncAll after Close succeeds")
	}
}

// TestRefusedNames: where a policy lets no file be named that had no name, files
// are made with one from then on; any other failure changes nothing.
func TestRefusedNames(t *testing.T) {
	dir := t.TempDir()
	o := openTest(t, dir)
	if !o.unnamed.Load() {
		t.Skip("this file system makes no files without a name")
	}
	f, err := o.CreateUnnamed(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := o.LinkFile(f, filepath.Join(dir, "missing", "x")); !errors.Is(err, fs.ErrNotExist) || !o.unnamed.Load() {
		t.Errorf("in a directory that is not there: %v; goes on: %v", err, o.unnamed.Load())
	}
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	forbid(t, closed)
	if err := o.LinkFile(f, filepath.Join(closed, "x")); !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("in a closed directory: %v", err)
	}
	if _, err := o.CreateUnnamed(dir); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("after a refusal: %v", err)
	}
}

// forbid closes a directory also to root, whom no mode stops.
func forbid(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	set := func(flags int) error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer d.Close()
		return unix.IoctlSetPointerInt(int(d.Fd()), unix.FS_IOC_SETFLAGS, flags)
	}
	const immutable = 0x10 // FS_IMMUTABLE_FL
	if err := set(immutable); err != nil {
		t.Skipf("root cannot close a directory to itself here: %v", err)
	}
	t.Cleanup(func() { set(0) })
}

// TestDescriptors: whatever is synced or refused, no descriptor stays open.
func TestDescriptors(t *testing.T) {
	dir := t.TempDir()
	o := openTest(t, dir)
	mailtest.Descriptors(t, func() {
		o.SyncDir(dir)
		o.SyncDir("/proc")
		o.SyncDir(filepath.Join(dir, "missing"))
		if again, err := openOS(dir); err == nil {
			again.Close()
		}
		if d, err := Open(dir); err == nil {
			d.Close()
		}
	})
}
