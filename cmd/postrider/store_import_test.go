package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// put writes a file and returns its name.
func put(t *testing.T, text string, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// uidsIn lists the unique ids of a mailbox.
func uidsIn(t *testing.T, mail, user string) string {
	t.Helper()
	s, err := maildir.Open(mail, maildir.WithMode(maildir.ReadOnly))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err := s.Open(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var uids []string
	for i := range m.Len() {
		uids = append(uids, m.UID(i))
	}
	return strings.Join(uids, " ")
}

// TestImportMbox: whatever the file, nothing of it is lost without a word.
func TestImportMbox(t *testing.T) {
	const user = "alice@mail.test"
	for _, c := range []struct {
		name, file string
		code       int
		out, err   string
		in         string // the subjects that are in the mailbox then
		holds      string
	}{
		{"a line From in a body", "From a@b Mon Jan  1 00:00:00 2024\nSubject: in a\n\nfirst\n\nFrom my side there is nothing to add.\nlast line\n\n", exitOK,
			"1 messages imported", "", "a", "From my side there is nothing to add.\r\nlast line\r\n"},
		{"no empty line between", "From - Tue Jul 05 18:44:15 2022\nSubject: in a\n\nbody\nFrom - Tue Jul 05 18:44:16 2022\nSubject: in b\n\nbody\n", exitOK, "2 messages imported", "", "a b", ""},
		{"a beginning without a date", "From a@b Mon Jan  1 00:00:00 2024\nSubject: in a\n\nbody\n\nFrom bob\nSubject: in b\n\nbody\n", exitError,
			"1 messages imported", "message 1, line 6: a line that looks like the beginning of a message has no date", "a b", "body\r\n\r\nFrom bob\r\n"},
		{"CR alone", "From a@b Mon Jan  1 00:00:00 2024\rSubject: in a\r\rbody\r", exitError, "0 messages", "CR alone", "", ""},
	} {
		mail, file := emptyStore(t), put(t, c.file, t.TempDir(), "mbox")
		code, out, errs := command(t, "", "import", "--mail", mail, "--format", "mboxo", user, file)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.err) || (errs == "") != (c.err == "") {
			t.Errorf("%s: exit %d, %q, %q", c.name, code, out, errs)
		}
		if got := subjects(t, mail, user); got != c.in {
			t.Errorf("%s: in the mailbox: %q", c.name, got)
		}
		s, err := maildir.Open(mail, maildir.WithMode(maildir.ReadOnly))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(all(t, s, user), c.holds) {
			t.Errorf("%s: %q", c.name, all(t, s, user))
		}
		s.Close()
	}
}

// TestImportFlags: mail that was read before is read, for every program that looks into
// the Maildir.
func TestImportFlags(t *testing.T) {
	mail := emptyStore(t)
	must(t, "", "import", "--mail", mail, "--format", "mboxo", "alice@mail.test",
		put(t, "From a@b Mon Jan  1 00:00:00 2024\nStatus: RO\nX-UIDL: abc123\nSubject: in a\n\nbody\n", t.TempDir(), "mbox"))
	names, _ := filepath.Glob(filepath.Join(mail, "mail.test", "alice", "cur", "*:2,S"))
	if len(names) != 1 || uidsIn(t, mail, "alice@mail.test") != "abc123" {
		t.Errorf("in cur: %q, ids %s", names, uidsIn(t, mail, "alice@mail.test"))
	}
}

// TestImportUIDs: clients know their messages again after a move.
func TestImportUIDs(t *testing.T) {
	const user = "alice@mail.test"
	for _, c := range []struct {
		list, text string
		flags      []string
		want       string
		code       int
	}{
		{"dovecot-uidlist", "3 V1690000000 N4\n1 :1600000000.M1P1.host\n", nil, "0000000164bb5a80", exitOK},
		{"dovecot-uidlist", "3 V1690000000 N4\n1 Pold-id :1600000000.M1P1.host\n", nil, "old-id", exitOK},
		{"dovecot-uidlist", "3 V1690000000 N4\n1 :1600000000.M1P1.host\n", []string{"--uidl", "uw"}, "64bb5a8000000001", exitOK},
		{"dovecot-uidlist", "3 V1690000000 N4\n1 :1600000000.M1P1.host\n", []string{"--uidl", "%v-%u"}, "1690000000-1", exitOK},
		{"dovecot-uidlist", "3 V1690000000 N4\n1 :1600000000.M1P1.host\n", []string{"--uidl", "none"}, "1600000000.M1P1.host", exitOK},
		{"dovecot-uidlist", "3 V1690000000 N4\nx\n", nil, "1600000000.M1P1.host", exitError},
		{"courierpop3dsizelist", "/3 2 1690000000\n1600000000.M1P1.host:2,S 70 1:1690000000:0\n", nil, "UID1-1690000000", exitOK},
	} {
		mail, from := emptyStore(t), mailDir(t, ".Sent")
		put(t, c.text, from, c.list)
		// A folder has numbers of its own, which may be the same.
		put(t, strings.Replace(c.text, "1600000000", "1600000001", 1), from, ".Sent", c.list)
		args := append(append([]string{"import", "--mail", mail, "--format", "maildir", "--folder", "*"}, c.flags...), user, from)
		for round := range 2 {
			code, out, errs := command(t, "", args...)
			if code != c.code || (errs == "") != (code == exitOK) {
				t.Errorf("%s %v: exit %d, %s, %s", c.text, c.flags, code, out, errs)
			}
			if !strings.Contains(out, fmt.Sprintf("%s: %d messages imported from %s (", user, 1-round, from)) ||
				!strings.Contains(out, fmt.Sprintf("imported from %s (", filepath.Join(from, ".Sent"))) {
				t.Errorf("it says %s", out)
			}
			if got := uidsIn(t, mail, user); got != c.want+" 1600000001.M1P1.host" {
				t.Errorf("%s %v: ids %s", c.text, c.flags, got)
			}
		}
	}
}

// TestImportOwnNames: ids that this program gave out stay, also where an IMAP server has
// counted the messages.
func TestImportOwnNames(t *testing.T) {
	const user = "alice@mail.test"
	here, there := emptyStore(t), emptyStore(t)
	must(t, "", "import", "--mail", here, "--format", "eml", user, put(t, "Subject: in a\n\nx\n", t.TempDir(), "a.eml"))
	box := filepath.Join(here, "mail.test", "alice")
	names, _ := filepath.Glob(filepath.Join(box, "new", "*"))
	own, _, _ := strings.Cut(filepath.Base(names[0]), ",")
	if err := os.Rename(names[0], filepath.Join(box, "new", own)); err != nil { // without the id it was given
		t.Fatal(err)
	}
	put(t, "3 V1690000000 N4\n1 :"+own+"\n", box, "dovecot-uidlist")
	must(t, "", "import", "--mail", there, "--format", "maildir", user, box)
	if got := uidsIn(t, there, user); got != own {
		t.Errorf("id %s, want %s", got, own)
	}
	must(t, "", "import", "--mail", there, "--format", "maildir", "--uidl", "dovecot", "bob@mail.test", box)
	if got := uidsIn(t, there, "bob@mail.test"); got != "0000000164bb5a80" {
		t.Errorf("id %s, if asked for", got)
	}
}

// TestImportCommandLine: what is wrong with it is said with the exit code of that.
func TestImportCommandLine(t *testing.T) {
	for _, words := range []string{"import alice@mail.test x", "import --format mbx alice@mail.test x", "import --format mboxo --uidl dovcot alice@mail.test x", "export alice@mail.test x"} {
		code, _, errs := command(t, "", append(strings.Fields(words), "--mail", emptyStore(t))...)
		if code != exitUsage || !strings.Contains(errs, "Usage:") {
			t.Errorf("%s: exit %d, %s", words, code, errs)
		}
	}
	for _, verb := range []string{"import", "export"} {
		out, _ := must(t, "", "__complete", verb, "--format", "")
		if !strings.Contains(out, "mboxcl2\n") || !strings.Contains(out, "maildir\n") {
			t.Errorf("%s --format completes to %s", verb, out)
		}
	}
}

// TestImportFirst: mail can be moved in before the server has run for the first time.
func TestImportFirst(t *testing.T) {
	dir := confDir(t, `{ "server_name": "mail.test", "data_dir": "data" }`)
	from := mailDir(t)
	must(t, "", "import", "-c", dir, "--format", "maildir", "alice@mail.test", from)
	if got := uidsIn(t, filepath.Join(dir, "data", "mail"), "alice@mail.test"); got != "1600000000.M1P1.host" {
		t.Errorf("in the mailbox: %q", got)
	}
	info, err := os.Stat(filepath.Join(dir, "data", "mail"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the store: %v, %v", info, err)
	}
	missing := filepath.Join(t.TempDir(), "misspelt")
	if code, _, errs := command(t, "", "import", "--mail", missing, "--format", "maildir", "alice@mail.test", from); code != exitError || !strings.Contains(errs, missing) {
		t.Errorf("a store that was named and is not there: exit %d, %s", code, errs)
	}
}

// TestExportPart: a file that another user, or nobody knows who, has put where the export
// grows is not written to.
func TestExportPart(t *testing.T) {
	const user = "alice@mail.test"
	mail := emptyStore(t)
	must(t, "", "import", "--mail", mail, "--format", "maildir", user, mailDir(t))
	cases := map[string]func(part string) error{
		"a link":      func(part string) error { return os.Symlink(put(t, "old", t.TempDir(), "target"), part) },
		"a directory": func(part string) error { return os.Mkdir(part, 0o700) },
	}
	if os.Geteuid() == 0 { // only root can make files of others
		cases["another's file"] = func(part string) error {
			put(t, "old", part)
			return os.Chown(part, 65534, 65534)
		}
	}
	for name, lay := range cases {
		out := filepath.Join(t.TempDir(), "out.mbox")
		if err := lay(out + ".partial"); err != nil {
			t.Fatal(err)
		}
		code, _, errs := command(t, "", "export", "--mail", mail, "--format", "mboxo", user, out)
		if _, err := os.Lstat(out); code != exitError || !strings.Contains(errs, ".partial") || err == nil {
			t.Errorf("%s: exit %d, %s", name, code, errs)
		}
	}
	// A file held open by who made it sees nothing of the mail.
	dir := t.TempDir()
	held, err := os.Create(filepath.Join(dir, "1600000000.M1P1.host.eml.partial"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	must(t, "", "export", "--mail", mail, "--format", "eml", user, dir)
	if info, err := held.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("written to a file that was there: %v, %v", info, err)
	}
}

// TestImportSize: what is larger than the settings let messages be is named, and --max-size lets it in.
func TestImportSize(t *testing.T) {
	dir := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "SMTP": {"max_message_size": "64KiB"},
		"Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}], "Accounts": {"alice@mail.test": {}}}`)
	file := filepath.Join(t.TempDir(), "big.eml")
	if err := os.WriteFile(file, []byte("Subject: big\r\n\r\n"+strings.Repeat("x\r\n", 40_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := fails(t, "", "import", "-c", dir, "--format", "eml", "alice@mail.test", file); !strings.Contains(said, "larger than messages may be here") {
		t.Error(said)
	}
	if said, _ := must(t, "", "import", "-c", dir, "--format", "eml", "--max-size", "1MiB", "alice@mail.test", file); !strings.Contains(said, "1 messages imported") {
		t.Error(said)
	}
}

// TestImportKeepsFree: an import leaves as much free as the settings say the server leaves.
func TestImportKeepsFree(t *testing.T) {
	dir := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "Store": {"keep_free": "1000TiB"},
		"Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}], "Accounts": {"alice@mail.test": {}}}`)
	file := filepath.Join(t.TempDir(), "a.eml")
	if err := os.WriteFile(file, []byte("Subject: a\r\n\r\nx\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := fails(t, "", "import", "-c", dir, "--format", "eml", "alice@mail.test", file); strings.Contains(said, "1 messages imported") {
		t.Error(said)
	}
}
