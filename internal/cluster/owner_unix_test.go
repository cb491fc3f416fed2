//go:build unix

package cluster_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/internal/cluster"
)

// TestFilesOfTheOwner: what root writes below a directory is its owner's, as the server reads it as that.
func TestFilesOfTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 4711, 4712); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.NewFiles(dir).Put(t.Context(), cluster.Change{Name: "dkim/mail.test/x.key", Text: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dkim", "dkim/mail.test", "dkim/mail.test/x.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if s := info.Sys().(*syscall.Stat_t); s.Uid != 4711 || s.Gid != 4712 {
			t.Errorf("the owner of %s is %d:%d", name, s.Uid, s.Gid)
		}
	}
}
