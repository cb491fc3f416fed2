package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Users of the tests, as numbers: nobody needs to know them.
const (
	aliceUID = 61001
	storeUID = 61002
)

// asRoot skips a test that only root can make, in a folder that others may pass.
func asRoot(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root has files of others")
	}
	dir := t.TempDir()
	for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// give makes everything below a folder a user's own.
func give(t *testing.T, dir string, uid int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, uid, uid)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// program runs the program itself.
func program(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// allOf checks that everything below a folder is one user's.
func allOf(t *testing.T, dir string, uid uint32) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		n++
		info, err := d.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != uid {
			t.Errorf("%s belongs to %d", path, info.Sys().(*syscall.Stat_t).Uid)
		}
		return err
	})
	if err != nil || n < 5 {
		t.Errorf("%d files below %s, %v", n, dir, err)
	}
}

// rootStore is a configuration and store of storeUID, and where the store is.
func rootStore(t *testing.T, dir string) (conf, mail string) {
	t.Helper()
	conf = filepath.Join(dir, "conf")
	if err := os.MkdirAll(filepath.Join(conf, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, `{ "server_name": "mail.test", "data_dir": "data" }`, conf, "mail.conf")
	give(t, conf, storeUID)
	return conf, filepath.Join(conf, "data", "mail")
}

// TestRootImports: root reads the mail of a user whose folders are closed to everybody
// else, and the store's owner gets it; before the first start, too. What is brought
// back from root's backup, or repaired, is the owner's as well.
func TestRootImports(t *testing.T) {
	const user = "alice@mail.test"
	dir := asRoot(t)
	conf, mail := rootStore(t, dir)
	from := mailDir(t, ".Sent")
	give(t, from, aliceUID)
	mbox := put(t, "From a@b Mon Jan  1 00:00:00 2024\nSubject: in mbox\n\nbody\n", dir, "mbox")
	give(t, mbox, aliceUID)
	if code, said := program(t, "import", "-c", conf, "--format", "maildir", "--folder", "*", user, from); code != exitOK || !strings.Contains(said, "1 messages imported") {
		t.Fatalf("exit %d, %s", code, said)
	}
	if code, said := program(t, "import", "-c", conf, "--format", "mboxo", user, mbox); code != exitOK {
		t.Fatalf("exit %d, %s", code, said)
	}
	if got := subjects(t, mail, user); got != " .Sent mbox" {
		t.Errorf("in the mailbox: %q", got)
	}
	allOf(t, conf, storeUID)
	backup := filepath.Join(dir, "backup")
	if code, said := program(t, "backup", "-c", conf, backup); code != exitOK {
		t.Fatalf("exit %d, %s", code, said)
	}
	for _, name := range []string{"new", "cur"} {
		if err := os.RemoveAll(filepath.Join(mail, "mail.test", "alice", name)); err != nil {
			t.Fatal(err)
		}
	}
	if code, said := program(t, "restore", "-c", conf, backup); code != exitOK || !strings.Contains(said, "3 brought back") {
		t.Errorf("exit %d, %s", code, said)
	}
	names, _ := filepath.Glob(filepath.Join(mail, "mail.test", "alice", "cur", "1600000000*"))
	if err := os.Truncate(names[0], 1); err != nil {
		t.Fatal(err)
	}
	if code, said := program(t, "store", "verify", "-c", conf, "--fix"); code != exitOK || !strings.Contains(said, "1 repaired") {
		t.Errorf("exit %d, %s", code, said)
	}
	allOf(t, conf, storeUID)
	// A failure of the one who writes is the command's.
	if code, said := program(t, "import", "-c", conf, "--format", "maildir", user, filepath.Join(dir, "nowhere")); code != exitError || !strings.Contains(said, "nowhere") {
		t.Errorf("exit %d, %s", code, said)
	}
}

// TestNotTheOwner: who is neither root nor the owner hears who that is, and what to type.
func TestNotTheOwner(t *testing.T) {
	dir := asRoot(t)
	_, mail := rootStore(t, dir)
	if err := os.Mkdir(mail, 0o700); err != nil {
		t.Fatal(err)
	}
	give(t, mail, storeUID)
	for at := mail; at != dir; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.Open(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	if got := becoming(0); got != "runuser -u root --" {
		t.Errorf("to become root: %s", got)
	}
	cmd := exec.Command("/proc/self/fd/3", "import", "--mail", mail, "--format", "eml", "it's@mail.test", dir)
	cmd.ExtraFiles = []*os.File{exe}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: aliceUID, Gid: aliceUID}}
	out, err := cmd.CombinedOutput()
	want := `belongs to 61002: setpriv --reuid 61002 --regid 61002 --clear-groups -- 3 import --mail ` + mail + ` --format eml 'it'\''s@mail.test' ` + dir
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != exitError || !strings.Contains(string(out), want) {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
}

// TestStoreNotThere: root makes no store that the server's user could not use.
func TestStoreNotThere(t *testing.T) {
	dir := asRoot(t)
	conf, _ := rootStore(t, dir)
	data := filepath.Join(dir, "elsewhere")
	put(t, `{ "server_name": "mail.test", "data_dir": "`+data+`" }`, conf, "mail.conf")
	give(t, conf, storeUID)
	code, said := program(t, "import", "-c", conf, "--format", "maildir", "alice@mail.test", mailDir(t))
	if _, err := os.Stat(data); code != exitError || !strings.Contains(said, "install -d -o 61002 -m 700 "+data) || err == nil {
		t.Errorf("exit %d, %s", code, said)
	}
}

// TestRootFollowsNobody: what a user puts into their Maildir gives them no mail, and no
// file, that they could not read themselves.
func TestRootFollowsNobody(t *testing.T) {
	const user = "alice@mail.test"
	dir := asRoot(t)
	secret := filepath.Join(dir, "secret")
	if err := os.MkdirAll(filepath.Join(secret, "cur"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, "From x Mon Jan  1 00:00:00 2024\nSubject: in secret\n\nx\n", secret, "1600000009.M1P1.host")
	put(t, "Subject: in secret\n\nx\n", secret, "cur", "1600000009.M1P1.host")
	link := func(to string, path ...string) {
		name := filepath.Join(path...)
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, format string
		lay          func(from string) (name string)
	}{
		{"new", "maildir", func(from string) string { link(secret, from, "new"); return from }},
		{"cur", "maildir", func(from string) string { link(filepath.Join(secret, "cur"), from, "cur"); return from }},
		{"a folder", "maildir", func(from string) string { link(secret, from, ".Sent"); return from }},
		{"the Maildir", "maildir", func(from string) string {
			link(secret, filepath.Dir(from), "box")
			return filepath.Join(filepath.Dir(from), "box")
		}},
		{"on the way", "mboxo", func(from string) string {
			link(secret, filepath.Dir(from), "way")
			return filepath.Join(filepath.Dir(from), "way", "1600000009.M1P1.host")
		}},
		{"an mbox", "mboxo", func(from string) string {
			link(filepath.Join(secret, "1600000009.M1P1.host"), from, "mbox")
			return filepath.Join(from, "mbox")
		}},
		{"a message", "eml", func(from string) string {
			link(filepath.Join(secret, "1600000009.M1P1.host"), from, "x.eml")
			return filepath.Join(from, "x.eml")
		}},
		{"a file of root", "maildir", func(from string) string {
			if err := os.Link(filepath.Join(secret, "1600000009.M1P1.host"), filepath.Join(from, "cur", "1600000009.M1P1.host:2,S")); err != nil {
				t.Fatal(err)
			}
			return from
		}},
	} {
		for _, owner := range []int{0, storeUID} {
			mail := emptyStore(t)
			give(t, mail, owner)
			from := mailDir(t)
			name := c.lay(from)
			home := filepath.Dir(from)
			give(t, home, aliceUID)
			give(t, secret, 0)
			args := []string{"import", "--mail", mail, "--format", c.format}
			if c.format == "maildir" {
				args = append(args, "--folder", "*")
			}
			code, said := program(t, append(args, user, name)...)
			if code != exitError || !strings.Contains(said, "symbolic link") && !strings.Contains(said, "belongs to another") {
				t.Errorf("%s: exit %d, %s", c.name, code, said)
			}
			if got := subjects(t, mail, user); strings.Contains(got, "secret") {
				t.Errorf("%s: in the mailbox: %q", c.name, got)
			}
		}
	}
	// A link to what is one's own is followed: the Maildir may be kept elsewhere.
	mail, from := emptyStore(t), mailDir(t)
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	link(from, home, "Maildir")
	give(t, home, aliceUID)
	give(t, from, aliceUID)
	if code, said := program(t, "import", "--mail", mail, "--format", "maildir", user, filepath.Join(home, "Maildir")); code != exitOK {
		t.Errorf("a link to the own: exit %d, %s", code, said)
	}
}

// TestReplaceFollowsNoStranger: root replaces what its own link leads to, and not what a user has put a link to in his folder.
func TestReplaceFollowsNoStranger(t *testing.T) {
	dir := asRoot(t)
	others, link := filepath.Join(dir, "others"), filepath.Join(dir, "link")
	if err := os.WriteFile(others, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(others, link); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(link, "root's", 0o600); err != nil {
		t.Error(err)
	}
	if err := os.Lchown(link, 4321, 4321); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(link, "a stranger's", 0o600); err == nil {
		t.Error("a stranger's link is followed")
	}
	if text, err := os.ReadFile(others); err != nil || string(text) != "root's" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Lchown(others, 4321, 4321); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(link, "his own", 0o600); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(others); err != nil || ownerOf(info) != 4321 {
		t.Errorf("%v, %v", info, err)
	}
}
