package maildir_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/mailstore"
)

// TestKill kills the worker at random moments: 50 times in CI, as often as
// POSTRIDER_CRASH_ROUNDS says, else a few times.
func TestKill(t *testing.T) {
	rounds := 5
	if os.Getenv("CI") == "true" {
		rounds = 50
	}
	if n, err := strconv.Atoi(os.Getenv("POSTRIDER_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	if testing.Short() {
		rounds = 1
	}
	dir, acked := "", 0
	for i := range rounds {
		if i%10 == 0 { // some rounds on what the crash before has left
			dir = t.TempDir()
		}
		w := startWorker(t, dir)
		w.listen(1 + rand.IntN(200))
		w.Kill()
		if len(w.delivered) == 0 {
			t.Fatalf("round %d: the worker did nothing: %q", i, w.others)
		}
		acked += len(w.delivered)
		w.check(t, dir)
		if t.Failed() {
			t.Fatalf("in round %d", i)
		}
	}
	t.Logf("%d rounds, %d copies acknowledged", rounds, acked)
}

// mounted mounts a fresh tmpfs, or skips.
func mounted(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting is not allowed here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// TestShutdown pulls the plug of a real file system under load: its own shutdown
// call drops everything not yet on the disk, the journal in memory included.
func TestShutdown(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			rounds := 3
			if testing.Short() {
				rounds = 1
			}
			for range rounds {
				shutdownRound(t, kind)
			}
		})
	}
}

func shutdownRound(t *testing.T, kind string) {
	disk := crashtest.NewDisk(t, kind, 320<<20)
	dir := filepath.Join(disk.Dir, "mail")
	w := startWorker(t, dir)
	w.listen(100 + rand.IntN(300))
	if len(w.delivered) == 0 {
		t.Fatalf("the worker did nothing: %q", w.others)
	}
	disk.Shutdown(t)
	w.listen(-1) // until it notices
	w.Kill()
	if !w.poisoned && w.failed == 0 {
		t.Errorf("the worker went on without a disk")
	}
	disk.Remount(t)
	w.check(t, dir)
	t.Logf("%d copies acknowledged before the shutdown", len(w.delivered))
}

// TestInject lets the kernel's answers be false: the n-th call of a kind fails
// or is the last thing the process does.
func TestInject(t *testing.T) {
	for i, c := range []struct {
		calls, fault string
		poisons      bool
	}{
		{"fsync", "error=EIO:when=3", true},
		{"fsync", "error=ENOSPC:when=2", true},
		{"syncfs", "error=EIO:when=4", true},
		{"syncfs", "error=ENOSPC:when=2", true},
		{"syncfs", "signal=SIGKILL:when=5", false},
		{"fsync", "signal=SIGKILL:when=2", false},
		{"renameat,rename,renameat2", "error=ENOSPC:when=1+2", false},
		{"renameat,rename,renameat2", "error=EIO:when=2+3", false},
		{"renameat,rename,renameat2", "signal=SIGKILL:when=2", false},
		{"linkat,link", "error=ENOSPC:when=2+3", false},
		{"linkat,link", "error=EIO:when=3+4", false},
		{"linkat,link", "signal=SIGKILL:when=11", false},
		{"linkat,link", "signal=SIGKILL:when=4", false},
		{"pwrite64,write", "error=ENOSPC:when=40+20", false},
		{"pwrite64,write", "signal=SIGKILL:when=60", false},
		{"unlinkat,unlink", "error=EIO:when=3+4", false},
		{"unlinkat,unlink", "signal=SIGKILL:when=3", false},
	} {
		if testing.Short() && i%4 != 0 {
			continue
		}
		t.Run(strings.Split(c.calls, ",")[0]+" "+c.fault, func(t *testing.T) {
			dir := t.TempDir()
			w := startWorker(t, dir, crashtest.Inject(t, c.calls, c.fault)...)
			w.listen(60)
			if c.poisons { // to the end: it must come
				w.listen(-1)
			}
			w.Kill()
			if c.poisons != w.poisoned {
				t.Errorf("poisoned: %v, want %v; said %q", w.poisoned, c.poisons, w.others)
			}
			w.check(t, dir)
			t.Logf("%d copies acknowledged, %d failed", len(w.delivered), w.failed)
		})
	}
}

// TestDiskFull fills a small file system, makes room, and goes on.
func TestDiskFull(t *testing.T) {
	disk := mounted(t, "size=2m")
	s := open(t, filepath.Join(disk, "mail"))
	defer s.Close()
	sent := 0
	var err error
	for ; sent < 1000; sent++ {
		if err = deliver(t, s, mailstore.Meta{}, fmt.Sprintf("%d %s\r\n", sent, strings.Repeat("x", 20000)), who, "bob@x"); err != nil {
			break
		}
	}
	if !errors.Is(err, mailstore.ErrNoSpace) || sent == 0 {
		t.Fatalf("after %d messages: %v", sent, err)
	}
	if s.Err() != nil {
		t.Errorf("a full disk poisoned the store: %v", s.Err())
	}
	for _, u := range []string{who, "bob@x"} {
		m := drop(t, s, u)
		if m.Len() != sent {
			t.Errorf("%s has %d messages, %d were acknowledged", u, m.Len(), sent)
		}
		for i := range m.Len() {
			read(t, m, i)
		}
		if err := m.Remove(context.Background(), []int{0, 1, 2}); err != nil {
			t.Errorf("removing from a full disk: %v", err)
		}
		m.Close()
	}
	if left, _ := filepath.Glob(filepath.Join(s.Root(), "*", "*", "tmp", "*")); len(left) > 0 {
		t.Errorf("left in tmp: %q", left)
	}
	if err := deliver(t, s, mailstore.Meta{}, "small\r\n", who); err != nil {
		t.Errorf("after room was made: %v", err)
	}
}

func TestReadOnlyRemount(t *testing.T) {
	disk := mounted(t, "size=4m")
	s := open(t, filepath.Join(disk, "mail"))
	defer s.Close()
	if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who); err != nil {
		t.Fatal(err)
	}
	m := drop(t, s, who)
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("remounting is not allowed here: %v", err)
	}
	if err := deliver(t, s, mailstore.Meta{}, "y\r\n", who); !errors.Is(err, mailstore.ErrReadOnly) {
		t.Errorf("delivery: %v", err)
	}
	if err := m.Remove(context.Background(), []int{0}); !errors.Is(err, mailstore.ErrReadOnly) {
		t.Errorf("removal: %v", err)
	}
	if read(t, m, 0) != "x\r\n" {
		t.Error("cannot read")
	}
	m.Close()
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, s, mailstore.Meta{}, "z\r\n", who); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
