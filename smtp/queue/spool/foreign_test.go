//go:build unix

package spool_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spooltest"
)

// TestForeign: what others leave in the spool stops nothing and is not deleted.
func TestForeign(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, spooltest.Entry("a"), spooltest.Body)
	in := func(name string) string { return filepath.Join(dir, "msg", "00", name) }
	for _, err := range []error{
		unix.Mkfifo(in("pipe"), 0o600),
		os.Symlink("round", in("round")),
		os.Symlink("/etc/passwd", in("away")),
		os.WriteFile(in("of.another"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "msg", "note"), nil, 0o600),
		os.MkdirAll(filepath.Join(dir, "tmp", "mine", "x"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir)
	n := 0
	if err := s.Scan(t.Context(), func(string, *queue.State) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
	for _, name := range []string{in("round"), in("away"), in("of.another"), filepath.Join(dir, "corrupt", "pipe"), filepath.Join(dir, "tmp", "mine", "x")} {
		if _, err := os.Lstat(name); err != nil {
			t.Error(err)
		}
	}
}
