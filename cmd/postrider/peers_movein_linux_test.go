package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// dovecotIDs asks Dovecot's POP3 server for the unique ids of a mailbox in dir.
func dovecotIDs(t *testing.T, dir, location, format string) (uids []string) {
	t.Helper()
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = aliceUID, aliceUID // it does not touch mail as root
	}
	conf := put(t, fmt.Sprintf("base_dir = %[1]s/run\nlog_path = /dev/stderr\nmail_location = %[2]s\npop3_uidl_format = %[3]s\n"+
		"mail_uid = %[4]d\nmail_gid = %[5]d\n"+
		"first_valid_uid = 1\nfirst_valid_gid = 1\nssl = no\nprotocols = pop3\nmail_privileged_group =\n", dir, location, format, uid, gid), dir, "dovecot.conf")
	cmd := exec.Command(peer(t, "doveadm"), "-c", conf, "exec", "pop3")
	cmd.Env = append(os.Environ(), "USER=nobody", "HOME="+dir)
	if os.Geteuid() == 0 {
		give(t, dir, uid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: aliceUID, Gid: aliceUID}}
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.Write([]byte("UIDL\r\nQUIT\r\n")); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, &log)
	}
	for _, line := range strings.Split(string(out), "\r\n") {
		if f := strings.Fields(line); len(f) == 2 && f[0] != "+OK" {
			uids = append(uids, f[1])
		}
	}
	if len(uids) != 2 {
		t.Fatalf("Dovecot says %s%s", out, &log)
	}
	return uids
}

// TestMoveFromDovecot: the ids that Dovecot's own POP3 server gave out are those that
// clients find after the move, whatever its settings.
func TestMoveFromDovecot(t *testing.T) {
	peer(t, "doveadm")
	if _, err := os.Stat("/usr/lib/dovecot/pop3"); err != nil {
		missing(t, "Dovecot's POP3 server")
	}
	const user = "alice@mail.test"
	for _, c := range []struct{ format, uidl string }{
		{"%08Xu%08Xv", "auto"}, {"%08Xu%08Xv", "dovecot"}, {"%08Xv%08Xu", "uw"}, {"%v.%u", "cyrus"}, {"UID%u-%v", "courier"}, {"%f", "%f"}, {"%Mf", "%Mf"}, {"%5u.%UXv", "%5u.%UXv"}, {"%g", "%g"},
	} {
		for _, kind := range []string{"maildir", "mbox"} {
			if kind == "mbox" && strings.ContainsAny(c.format, "fg") {
				continue // a message in an mbox has neither
			}
			dir := t.TempDir()
			for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
				if err := os.Chmod(at, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			from, format, location := filepath.Join(dir, "Maildir"), "maildir", "maildir:"+filepath.Join(dir, "Maildir")
			if kind == "mbox" {
				from, format = put(t, "From a@b Mon Jan  1 00:00:00 2024\nSubject: in a\n\nx\n\nFrom c@d Mon Jan  1 00:00:01 2024\nSubject: in b\n\nx\n\n", dir, "mbox"), "mboxo"
				location = "mbox:" + filepath.Join(dir, "mail") + ":INBOX=" + from
			} else {
				for _, sub := range []string{"tmp", "new", "cur"} {
					if err := os.MkdirAll(filepath.Join(from, sub), 0o700); err != nil {
						t.Fatal(err)
					}
				}
				put(t, "Subject: in a\n\nx\n", from, "cur", "1700000000.M1P1.host,S=17:2,S")
				put(t, "Subject: in b\n\nx\n", from, "new", "1700000001.M2P1.host")
			}
			want := dovecotIDs(t, dir, location, c.format)
			mail := emptyStore(t)
			must(t, "", "import", "--mail", mail, "--format", format, "--uidl", c.uidl, user, from)
			if got := uidsIn(t, mail, user); got != strings.Join(want, " ") {
				t.Errorf("%s, %s, --uidl %s: ids %s, in Dovecot %s", kind, c.format, c.uidl, got, want)
			}
		}
	}
}
