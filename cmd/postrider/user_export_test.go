package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
)

// TestUserExport: each account with the place of its mailbox, in a file that is its owner's alone and is replaced in
// one step; who cannot log in there is named or counted.
func TestUserExport(t *testing.T) {
	hash, err := passwd.Hash([]byte("pass word"))
	if err != nil {
		t.Fatal(err)
	}
	dir := confDir(t, `{ "server_name": "mail.test", "data_dir": "data", "mail_dir": "ma%il",
		"Accounts": {
			"alice@mail.test": "`+hash+`", "o'brien@mail.test": "{SSHA256}abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX01",
			"bob@mail.test": {"password": "`+hash+`", "disabled": true},
			"carol@blocked.test": "`+hash+`", "dave@mail.test": "$pbkdf2-sha256$29000$c2FsdHNhbHQ$4nIBMWqwkVk3fLAOSBhH/uz0lPS3mVgYPKkFeJBgVUY",
			"eve@mail.test": {},
		},
		"Domains": {"blocked.test": {"disabled": true}},
	}`)
	file := filepath.Join(dir, "users")
	export := []string{"user", "export", "-c", dir, "--format", "dovecot", file}
	if said := fails(t, "", export...); !strings.Contains(said, "mail store") {
		t.Errorf("without a store: %s", said)
	}
	mail := filepath.Join(dir, "ma%il")
	if err := os.Mkdir(mail, 0o700); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, "", export...)
	if code != exitError || !strings.Contains(out, "2 accounts written, 2 blocked, 2 left out") ||
		!strings.Contains(errs, "left out: dave@mail.test: its password is kept in a form that Dovecot cannot check (pbkdf2-sha256)") || !strings.Contains(errs, "left out: eve@mail.test: it has no password") {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "alice@mail.test:{ARGON2ID}"+hash+":") || !strings.HasSuffix(lines[0], "::"+mail+"/mail.test/alice::userdb_mail=maildir:"+dir+"/ma%%il/mail.test/alice") {
		t.Errorf("%s", text)
	}
	if !strings.HasPrefix(lines[1], `o\'brien@mail.test:`) || !strings.HasSuffix(lines[1], "/mail.test/o%%27brien") {
		t.Errorf("%s", lines[1])
	}
	before, err := os.Stat(file)
	if err != nil || before.Mode() != 0o600 {
		t.Fatal(before.Mode(), err)
	}
	command(t, "", export...)
	if again, err := os.Stat(file); err != nil || !os.SameFile(before, again) {
		t.Error("a file that has not changed was written again")
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("users", link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "a new one", "user", "passwd", "-c", dir, "--stdin", "alice@mail.test")
	command(t, "", "user", "export", "-c", dir, "--format", "dovecot", link)
	if again, err := os.Stat(file); err != nil || again.Mode() != 0o600 || os.SameFile(before, again) {
		t.Errorf("%v, %v", again.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().IsRegular() {
		t.Errorf("the link is one no more: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".users*")); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
	if _, out, _ := command(t, "", "user", "export", "-c", dir, "--format", "dovecot", "-"); strings.Count(out, "\n") != 2 || strings.Contains(out, "written") {
		t.Errorf("to standard output: %s", out)
	}
	if code, _, errs := command(t, "", "user", "export", "-c", dir, "--format", "cyrus", file); code != exitUsage {
		t.Errorf("exit %d, %s", code, errs)
	}
}

// TestExportLeavesSealedOut: Dovecot cannot read a sealed mailbox, so it gets none; it is named, and the exit code says so, unless that is asked for.
func TestExportLeavesSealedOut(t *testing.T) {
	w := newWorld(t)
	w.deliver(marked, user)
	w.seal(t)
	file := filepath.Join(t.TempDir(), "users")
	export := []string{"user", "export", "-c", w.dir, "--format", "dovecot", file}
	for _, c := range []struct {
		flag, said string
		code       int
	}{{"", "left out: " + user + ": its mailbox is sealed", exitError}, {"--skip-sealed", "", exitOK}} {
		args := export
		if c.flag != "" {
			args = append(args[:len(args):len(args)], c.flag)
		}
		code, out, said := command(t, "", args...)
		if code != c.code || !strings.Contains(said, c.said) || c.said == "" && strings.Contains(said, user) {
			t.Errorf("%s: exit %d, %s%s", c.flag, code, out, said)
		}
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), user) || !strings.Contains(string(text), "bob@mail.test:") {
			t.Errorf("%s: %v\n%s", c.flag, err, text)
		}
	}
}
