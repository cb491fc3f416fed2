package maildir_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// TestQuotaFolders: what an IMAP server moves into folders, and removes from them, counts from the next message on, where that
// is set, for the mailbox and for its domain.
func TestQuotaFolders(t *testing.T) {
	for _, counted := range []bool{true, false} {
		for _, byDomain := range []bool{true, false} {
			ctx := context.Background()
			quota := maildir.WithQuota(func(string) maildir.Quota { return maildir.Quota{Octets: 100, Messages: 4} })
			if byDomain {
				quota = maildir.WithDomainQuota(func(string) maildir.Quota { return maildir.Quota{Octets: 100, Messages: 4} })
			}
			s := open(t, t.TempDir(), quota, maildir.WithFolders(counted))
			ten := strings.Repeat("x", 8) + "\r\n"
			full := func(what string, want bool) {
				t.Helper()
				err := s.Room(ctx, who, 10)
				if counted && errors.Is(err, mailstore.ErrOverQuota) != want || !counted && err != nil {
					t.Errorf("counted %v, domain %v, %s: %v", counted, byDomain, what, err)
				}
			}
			for range 2 {
				if err := deliver(t, s, mailstore.Meta{}, ten, who); err != nil {
					t.Fatal(err)
				}
			}
			dir, _ := s.Path(who)
			cur := filepath.Join(dir, ".Sent", "cur")
			if err := os.MkdirAll(cur, 0o700); err != nil {
				t.Fatal(err)
			}
			full("an empty folder", false)
			put := func(name, text string) string {
				t.Helper()
				name = filepath.Join(cur, name)
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return name
			}
			first := put("1700000000.M1P1.host,S=71,W=72:2,S", strings.Repeat("x", 71))
			full("one that is too large", true)
			if err := os.Remove(first); err != nil {
				t.Fatal(err)
			}
			full("which is gone", false)
			put("1700000001.M1P1.host:2,", strings.Repeat("x", 71)) // its name says no size
			full("one without a size", true)
			if err := os.Rename(filepath.Join(cur, "1700000001.M1P1.host:2,"), filepath.Join(dir, "cur", "1700000001.M1P1.host:2,")); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Dir(cur)); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(dir, "cur", "1700000001.M1P1.host:2,")); err != nil {
				t.Fatal(err)
			}
			full("no folder any more", false)
			for i := range 2 {
				if err := os.MkdirAll(filepath.Join(dir, "Work", fmt.Sprint(i), "cur"), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "Work", fmt.Sprint(i), "cur", "1700000000.M1P1.host,S=1,W=2:2,S"), []byte("\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			full("too many, in folders within folders", true)
		}
	}
}
