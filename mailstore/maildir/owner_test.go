package maildir_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

func TestOneOwner(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := maildir.Open(dir)
	if !errors.Is(err, maildir.ErrHeld) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("second owner: %v", err)
	}
	if h, err := maildir.Holder(dir); err != nil || !strings.Contains(h, fmt.Sprint(os.Getpid())) {
		t.Errorf("Holder = %q, %v", h, err)
	}
	if err := deliver(t, s, mailstore.Meta{}, "x\r\n", who); err != nil {
		t.Fatal(err)
	}
	ro := open(t, dir, maildir.WithMode(maildir.ReadOnly))
	held := drop(t, s, who)
	if m := drop(t, ro, who); m.Len() != 1 || read(t, m, 0) != "x\r\n" {
		t.Error("reading beside the owner")
	} else if err := m.Remove(context.Background(), []int{0}); !errors.Is(err, mailstore.ErrReadOnly) {
		t.Errorf("removing in a store opened for reading: %v", err)
	}
	if err := deliver(t, ro, mailstore.Meta{}, "x", who); !errors.Is(err, mailstore.ErrReadOnly) {
		t.Errorf("delivering into a store opened for reading: %v", err)
	}
	held.Close()
	tool := open(t, dir, maildir.WithMode(maildir.Share))
	if err := deliver(t, tool, mailstore.Meta{}, "y\r\n", who); err != nil {
		t.Errorf("tool beside the owner: %v", err)
	}
	s.Close()
	if h, err := maildir.Holder(dir); err != nil || h != "" {
		t.Errorf("Holder = %q, %v", h, err)
	}
	open(t, dir)
}

// TestLockOfAnotherProcess starts this test binary again; it takes the locks
// and is killed, and the kernel gives them back.
func TestLockOfAnotherProcess(t *testing.T) {
	dir := os.Getenv("MAILDIR_TEST_HOLD")
	if dir != "" {
		s, err := maildir.Open(dir)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		box, err := s.Open(context.Background(), who)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("holding")
		for { // what nobody refers to any more is closed by the collector, and the lock is gone
			time.Sleep(time.Hour)
			runtime.KeepAlive(box)
		}
	}
	dir = t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockOfAnotherProcess$")
	cmd.Env = append(os.Environ(), "MAILDIR_TEST_HOLD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	line := make([]byte, 100)
	if n, _ := out.Read(line); !strings.HasPrefix(string(line[:n]), "holding") {
		t.Fatalf("the other process says %q", line[:n])
	}
	_, err = maildir.Open(dir)
	if !errors.Is(err, maildir.ErrHeld) || !strings.Contains(err.Error(), fmt.Sprint("process ", cmd.Process.Pid)) {
		t.Errorf("beside another process: %v", err)
	}
	tool := open(t, dir, maildir.WithMode(maildir.Share))
	if _, err := tool.Open(context.Background(), who); !errors.Is(err, mailstore.ErrLocked) {
		t.Errorf("maildrop held by another process: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	s := open(t, dir)
	drop(t, s, who)
}

func TestTmpCleaned(t *testing.T) {
	s := open(t, t.TempDir())
	d, err := s.Create(context.Background(), mailstore.Meta{}, who)
	if err != nil {
		t.Fatal(err)
	}
	d.Write(make([]byte, 1<<20)) // spilled, never finished
	old := plant(t, s, "tmp", "1.old", "x")
	young := plant(t, s, "tmp", "2.young", "x")
	tool := plant(t, s, "tmp", "postrider-tool-1", "x")
	past := time.Now().Add(-37 * time.Hour)
	for _, name := range []string{old, tool} { // the tool imports old mail just now
		if err := os.Chtimes(name, past, past); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	open(t, s.Root())
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(old), "*"))
	if len(left) != 2 || left[0] != young || left[1] != tool {
		t.Errorf("left in tmp: %q", left)
	}
}

func TestModes(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "mail"))
	if err := deliver(t, s, mailstore.Meta{Flags: "SF"}, "x\r\n", who, "bob@x"); err != nil {
		t.Fatal(err)
	}
	drop(t, s, who)
	filepath.Walk(s.Root(), func(path string, info os.FileInfo, err error) error {
		want := os.FileMode(0o600)
		if info.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	})
	if got, _ := filepath.Glob(filepath.Join(s.Root(), "*", "alice", "cur", "*:2,FS")); len(got) != 1 {
		t.Error("flags are not in the name")
	}
}
