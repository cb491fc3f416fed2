package maildir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// TestVerifyDamage does one kind of damage after the other: each is named so that
// somebody can act on it, what can be repaired is, nothing is lost, and a second
// run finds no more than what only a person can put right.
func TestVerifyDamage(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(box, file string) error // file is a message of 40 octets, 42 on the wire
		says  string
		fixed bool
	}{
		"truncated": {func(_, file string) error { return os.Truncate(file, 10) }, "is damaged: 30 of 40 octets are missing", true},
		"emptied":   {func(_, file string) error { return os.Truncate(file, 0) }, "40 of 40 octets are missing", true},
		"longer":    {func(_, file string) error { return os.Truncate(file, 50) }, "name says 40 octets, file has 50", true},
		"lying W=": {func(_, file string) error { return os.Rename(file, strings.Replace(file, ",W=42", ",W=40", 1)) },
			"name says 40 octets on the wire, there are 42", true},
		"flags in new": {func(_, file string) error { return os.Rename(file, file+":2,S") }, "has flags but is in new", true},
		"in the box": {func(box, file string) error { return os.Rename(file, filepath.Join(box, filepath.Base(file))) },
			"outside of new and cur", true},
		"in the box, by another program": {func(box, _ string) error {
			return os.WriteFile(filepath.Join(box, "1700000000.M1P2.host:2,S"), []byte("x"), 0o600)
		}, "outside of new and cur", true},
		"long in tmp": {func(box, file string) error {
			to := filepath.Join(box, "tmp", filepath.Base(file))
			past := time.Now().Add(-72 * time.Hour)
			return firstError(os.Rename(file, to), os.Chtimes(to, past, past))
		}, "outside of new and cur", true},
		"twice": {func(box, file string) error {
			b, err := os.ReadFile(file)
			return firstError(err, os.WriteFile(filepath.Join(box, "cur", filepath.Base(file)+":2,F"), b, 0o600))
		}, "unique id is also that of", true},
		"twice by U=, flagged in new, and shorter": {func(box, _ string) error {
			return firstError(os.WriteFile(filepath.Join(box, "cur", "1.a.h,S=2,W=3,U=one"), []byte("x\n"), 0o600),
				os.WriteFile(filepath.Join(box, "new", "2.b.h,S=5,W=6,U=one:2,S"), []byte("y\n"), 0o600))
		}, "missing (restore brings it back from a backup), and unique id is also that of 1.a.h,S=2,W=3,U=one, and has flags", true},
		"empty":                      {func(box, _ string) error { return os.WriteFile(filepath.Join(box, "new", "1.a.h"), nil, 0o600) }, "is empty", false},
		"a folder":                   {func(box, _ string) error { return os.Mkdir(filepath.Join(box, "new", "x"), 0o700) }, "is no regular file", false},
		"a link":                     {func(box, file string) error { return os.Symlink(file, filepath.Join(box, "cur", "x")) }, "is no regular file", false},
		"no cur":                     {func(box, _ string) error { return os.Remove(filepath.Join(box, "cur")) }, "directory is missing", true},
		"misspelled":                 {func(box, _ string) error { return os.Rename(box, filepath.Join(filepath.Dir(box), "Alice")) }, "is not how this store spells a mailbox, so nobody sees its mail; that of Alice@example.org is example.org/alice", false},
		"a file among the mailboxes": {func(box, _ string) error { return os.WriteFile(box+"x", nil, 0o600) }, "is no Maildir", false},
		"a file among the domains": {func(box, _ string) error {
			return os.WriteFile(filepath.Join(box, "..", "..", "stray"), nil, 0o600)
		}, "is no readable directory", false},
		"odd name": {func(box, file string) error {
			return os.Rename(file, filepath.Join(box, "cur", "1.a\n\x1b[2J\xff,S=9,W=9:2,S"))
		}, `"example.org/alice/cur/1.a\n\x1b[2J\xff,S=9,W=9:2,S": name says 9`, true},
		"in a folder": {func(box, file string) error {
			to := filepath.Join(box, ".Trash", "cur")
			return firstError(os.MkdirAll(to, 0o700), os.Rename(file, filepath.Join(to, filepath.Base(file))),
				os.Truncate(filepath.Join(to, filepath.Base(file)), 3))
		}, "37 of 40 octets are missing", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			if err := deliver(t, s, mailstore.Meta{}, strings.Repeat("x", 18)+"\r\n"+strings.Repeat("y", 20)+"\r\n", who); err != nil {
				t.Fatal(err)
			}
			box, _ := s.Path(who)
			files, _ := filepath.Glob(filepath.Join(box, "new", "*"))
			if err := c.do(box, files[0]); err != nil {
				t.Fatal(err)
			}
			before := contents(t, s.Root())
			v, said := verify(t, s, false)
			if v.Problems != 1 || len(said) != 1 || !strings.Contains(said[0], c.says) || strings.Contains(said[0], "--fix") != c.fixed {
				t.Errorf("%+v: %q, want %q", v, said, c.says)
			}
			if v, said = verify(t, s, true); v.Problems != 1 || v.Fixed == 1 != c.fixed {
				t.Errorf("repair: %+v %q", v, said)
			}
			if after := contents(t, s.Root()); !slices.Equal(before, after) {
				t.Errorf("repair changed or lost a message:\n%q\n%q", before, after)
			}
			if v, said = verify(t, s, false); v.Problems == 0 != c.fixed {
				t.Errorf("after the repair: %+v %q", v, said)
			}
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestVerifyOwner: to root everything is readable; the server is not root.
func TestVerifyOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can give files away")
		return
	}
	s := open(t, t.TempDir())
	plant(t, s, "new", "1.mine.h", "x")
	theirs := plant(t, s, "new", "2.theirs.h", "x")
	box, _ := s.Path(who)
	for _, path := range []string{theirs, filepath.Join(box, "cur")} {
		if err := os.Chown(path, 12345, -1); err != nil {
			t.Fatal(err)
		}
	}
	v, said := verify(t, s, true)
	if v.Problems != 2 || v.Fixed != 0 || strings.Count(fmt.Sprint(said), "belongs to user 12345") != 2 {
		t.Errorf("%+v %q", v, said)
	}
}

// TestVerifyUnreadable: one directory or message that cannot be read does not keep
// the others from being verified.
func TestVerifyUnreadable(t *testing.T) {
	if asNobody(t) {
		return
	}
	s := open(t, t.TempDir())
	for _, u := range []string{"a@a.test", who, "b@b.test", "c@c.test", "d@d.test"} {
		if err := deliver(t, s, mailstore.Meta{}, "x\r\n", u); err != nil {
			t.Fatal(err)
		}
	}
	bad := plant(t, s, "new", "1.x.h", "hidden")
	shut := []string{bad, s.Root() + "/a.test", s.Root() + "/b.test/b", s.Root() + "/c.test/c/cur"}
	for _, path := range shut {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		for _, path := range shut {
			os.Chmod(path, 0o700)
		}
	}()
	v, said := verify(t, s, false)
	all := strings.Join(said, "\n")
	for _, path := range shut {
		if !strings.Contains(all, strings.TrimPrefix(path, s.Root()+"/")+":") {
			t.Errorf("nothing about %s", path)
		}
	}
	if v.Messages != 4 { // the unreadable one too; not those behind closed doors
		t.Errorf("%+v\n%s", v, all)
	}
	v, said = verify(t, s, true)
	if v.Fixed != 4 || v.Messages != 6 {
		t.Errorf("repair: %+v\n%s", v, strings.Join(said, "\n"))
	}
	ro := open(t, s.Root(), maildir.WithMode(maildir.ReadOnly))
	if m := drop(t, ro, who); read(t, m, 0) == "" || m.Len() != 2 {
		t.Errorf("%d messages", m.Len())
	}
}
