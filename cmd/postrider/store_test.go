package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

func TestStoreCommands(t *testing.T) {
	dir := confDir(t, `{ "server_name": "mail.test", "data_dir": "data", "mail_dir": "mail" }`)
	mail := filepath.Join(dir, "mail")
	s, err := maildir.Open(mail) // as the daemon, running all the time
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 3 {
		d, err := s.Create(context.Background(), mailstore.Meta{}, "alice@mail.test")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(d, "Subject: %d\r\n\r\nFrom me\r\n", i)
		if err := d.Commit(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	expect := func(want string, args ...string) {
		t.Helper()
		out, errs := must(t, "", args...)
		if !strings.Contains(out+errs, want) {
			t.Errorf("postrider %s said %q and %q, want %q", strings.Join(args, " "), out, errs, want)
		}
	}
	expect("1 mailbox, 3 messages", "store", "verify", "-c", dir)
	expect("alice@mail.test", "store", "stat", "-c", dir)
	expect("3 copied", "backup", "--mail", mail, in("one"))
	expect("3 linked", "backup", "--mail", mail, "--previous", in("one"), in("two"))
	expect("0 brought back", "restore", "--mail", mail, in("two"))
	for _, format := range []string{"maildir", "mboxo", "mboxrd", "mboxcl", "mboxcl2", "eml"} {
		expect("3 messages exported", "export", "-c", dir, "--format", format, "alice@mail.test", in(format))
		to := format + "@mail.test"
		expect("3 messages imported", "import", "-c", dir, "--format", format, to, in(format))
		expect("3 there already", "store", "import", "-c", dir, "--format", format, to, in(format))
		same(t, s, "alice@mail.test", to)
	}
	name, _ := filepath.Glob(in("mail/mail.test/alice/new/*"))
	if err := os.Truncate(name[0], 1); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := command(t, "", "store", "verify", "-c", dir); code != exitError || !strings.Contains(out, "1 problem,") {
		t.Errorf("verify: exit %d, %s", code, out)
	}
	expect("1 repaired", "store", "verify", "-c", dir, "--fix")
	expect("0 problems", "store", "verify", "-c", dir)
	if code, _, errs := command(t, "", "export", "-c", dir, "--format", "mbx", "alice@mail.test", in("x")); code != exitUsage {
		t.Errorf("unknown format: exit %d, %s", code, errs)
	}
}

// same compares two mailboxes message by message.
func same(t *testing.T, s *maildir.Store, a, b string) {
	t.Helper()
	if x, y := all(t, s, a), all(t, s, b); x != y {
		t.Errorf("%s: %q\n%s: %q", a, x, b, y)
	}
}

func all(t *testing.T, s *maildir.Store, user string) string {
	t.Helper()
	m, err := s.Open(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	return strings.Join(mailtest.Texts(t, m), "")
}
