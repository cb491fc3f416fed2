package maildir_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// TestBackupBeside: what an IMAP server keeps in a mailbox and its folders is in the
// backup, and comes back where it is missing; its caches, locks and what are no files
// are not.
func TestBackupBeside(t *testing.T) {
	kept := map[string]string{
		"dovecot-uidlist":              "3 V1795981405 N1175 Gabc\n1174 :1.a.h\n",
		"dovecot-keywords":             "0 Important\n",
		"dovecot-uidvalidity":          "6b0c829d",
		"dovecot-uidvalidity.6b0c829d": "",
		"subscriptions":                "Sent\n",
		".Sent/dovecot-uidlist":        "3 V1795981406 N2 Gabc\n1 :2.a.h\n",
		".Sent/maildirfolder":          "",
		"courierimapuiddb":             "1 5 6\n",
		"courierimapkeywords/:list":    "Important\n\n1.a.h:0\n",
		".Sent/courierimapkeywords/x":  "Important\n",
	}
	left := []string{"dovecot.index", "dovecot.index.cache", "dovecot.index.log", "dovecot-uidlist.lock", "postrider.lock"}
	s := open(t, t.TempDir())
	plant(t, s, "new", "1.a.h", "one")
	dir, _ := s.Path(who)
	for _, sub := range []string{"new", "cur", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, ".Sent", sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range kept {
		write(name, text)
	}
	for _, name := range left {
		write(name, "x")
	}
	if err := os.Symlink("dovecot-keywords", filepath.Join(dir, ".Sent", "dovecot-keywords")); err != nil {
		t.Fatal(err)
	}
	check := func(what, dir string) {
		t.Helper()
		for name, want := range kept {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
				t.Errorf("%s: %s is %q, %v; want %q", what, name, got, err, want)
			}
		}
		for _, name := range left[:4] {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%s: %s is there", what, name)
			}
		}
		if _, err := os.Lstat(filepath.Join(dir, ".Sent", "dovecot-keywords")); err == nil {
			t.Errorf("%s: a link is there", what)
		}
	}
	dst, c, _ := backedUp(t, s, "", nil)
	rel, err := filepath.Rel(s.Root(), dir)
	if err != nil {
		t.Fatal(err)
	}
	check("backup", filepath.Join(dst, rel))
	if c.Messages != 1 || c.Copied != 1 || c.Octets != 3 || c.Failed != 0 {
		t.Errorf("counted %+v", c)
	}
	empty := open(t, t.TempDir())
	back, _ := empty.Path(who)
	for range 2 {
		if _, err := empty.Restore(context.Background(), dst, nil, nil); err != nil {
			t.Fatal(err)
		}
		check("restored", back)
		// What is there knows more, and stays.
		kept["dovecot-uidlist"] += "1175 :3.a.h\n"
		if err := os.WriteFile(filepath.Join(back, "dovecot-uidlist"), []byte(kept["dovecot-uidlist"]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check("restored again", back)
}

// TestBackupBesideUnreadable: a file of an IMAP server that cannot be read costs no message.
func TestBackupBesideUnreadable(t *testing.T) {
	if asNobody(t) {
		return
	}
	s := open(t, t.TempDir())
	plant(t, s, "new", "1.a.h", "one")
	dir, _ := s.Path(who)
	if err := os.WriteFile(filepath.Join(dir, "dovecot-uidlist"), nil, 0); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(t.TempDir(), "backup")
	if sum, err := s.Backup(context.Background(), dst, "", nil); !errors.Is(err, maildir.ErrIncomplete) || sum.Messages != 1 || sum.Failed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	if got := contents(t, dst); len(got) != 1 {
		t.Errorf("the backup holds %q", got)
	}
}
