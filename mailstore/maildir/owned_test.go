//go:build unix

package maildir_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// TestOwnedBy: whoever reads everything for somebody gives out only what is theirs, and
// asks the file itself: a name may lead elsewhere since it was listed.
func TestOwnedBy(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(t.TempDir(), "secret")
	for _, name := range []string{secret, filepath.Join(dir, "new", "1.a.h"), filepath.Join(dir, "new", "2.b.h")} {
		if err := os.WriteFile(name, []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for owner, want := range map[int][2]bool{os.Geteuid(): {true, false}, os.Geteuid() + 1: {false, false}} {
		s, err := maildir.Open(dir, maildir.Single(), maildir.WithMode(maildir.ReadOnly), maildir.OwnedBy(owner))
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.Open(context.Background(), who)
		if err != nil || m.Len() != 2 {
			t.Fatalf("%v, %v", m, err)
		}
		// Now that the list is made.
		second := filepath.Join(dir, "new", "2.b.h")
		if err := os.Remove(second); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(secret, second); err != nil {
			t.Fatal(err)
		}
		for i, ok := range want {
			r, err := m.Open(context.Background(), i)
			if (err == nil) != ok {
				t.Errorf("for user %d, message %d: %v", owner, i, err)
			}
			if err == nil {
				if b, err := io.ReadAll(r); err != nil || string(b) != "x\r\n" {
					t.Errorf("%q, %v", b, err)
				}
				r.Close()
			}
		}
		m.Close()
		s.Close()
		if err := os.Remove(second); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(second, []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !maildir.OwnName("1795981404.M763617P98ae7f6ee85cQ0000001.vm") || maildir.OwnName("1700000000.M1P1.host") || maildir.OwnName("x") {
		t.Error("a name of ours is not known, or one of others is taken for one")
	}
}
