package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/archive"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// mailDir makes a Maildir of other programs, with messages named by where they are.
func mailDir(t *testing.T, folders ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Maildir")
	for i, folder := range append([]string{""}, folders...) {
		for _, sub := range []string{"tmp", "new", "cur"} {
			if err := os.MkdirAll(filepath.Join(dir, folder, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		name := filepath.Join(dir, folder, "cur", fmt.Sprintf("160000000%d.M1P1.host:2,S", i))
		if err := os.WriteFile(name, []byte("Subject: in "+folder+"\n\nx\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func emptyStore(t *testing.T) string {
	t.Helper()
	mail := filepath.Join(t.TempDir(), "mail")
	s, err := maildir.Open(mail)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	return mail
}

// subjects lists what is in a mailbox.
func subjects(t *testing.T, mail, user string) string {
	t.Helper()
	s, err := maildir.Open(mail, maildir.WithMode(maildir.ReadOnly))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out []string
	for _, line := range strings.Split(all(t, s, user), "\r\n") {
		if subject, ok := strings.CutPrefix(line, "Subject: in "); ok {
			out = append(out, subject)
		}
	}
	return strings.Join(out, " ")
}

// TestImportFolders: what is not taken of a Maildir with folders is said.
func TestImportFolders(t *testing.T) {
	const user = "alice@mail.test"
	from := mailDir(t, ".Sent", ".Work.2026", "nested/deep")
	if err := os.MkdirAll(filepath.Join(from, ".Empty", "cur"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags []string
		want  string
		left  []string
	}{
		{nil, "", []string{".Sent (1 message)", ".Work.2026 (1 message)", "nested/deep (1 message)"}},
		{[]string{"--folder", ".Sent"}, " .Sent", []string{".Work.2026 (1 message)", "nested/deep"}},
		{[]string{"--folder", "Sent", "--folder", "nested/deep"}, " .Sent nested/deep", []string{".Work.2026"}},
		{[]string{"--folder", "*"}, " .Sent .Work.2026 nested/deep", nil},
	} {
		mail := emptyStore(t)
		args := append([]string{"import", "--mail", mail, "--format", "maildir"}, c.flags...)
		for range 2 {
			_, errs := must(t, "", append(args, user, from)...)
			for _, l := range c.left {
				if !strings.Contains(errs, l) {
					t.Errorf("%v: left out %s, and it says %q", c.flags, l, errs)
				}
			}
			if len(c.left) == 0 && errs != "" || strings.Contains(errs, ".Empty") {
				t.Errorf("%v says %q", c.flags, errs)
			}
			if got := subjects(t, mail, user); got != c.want {
				t.Errorf("%v: in the mailbox: %q, want %q", c.flags, got, c.want)
			}
		}
	}
	mail := emptyStore(t)
	code, _, errs := command(t, "", "import", "--mail", mail, "--format", "maildir", "--folder", "Snt", user, from)
	if code != exitError || !strings.Contains(errs, "no folder Snt") || subjects(t, mail, user) != "" {
		t.Errorf("a folder that is not there: exit %d, %q", code, errs)
	}
	if code, _, _ := command(t, "", "import", "--mail", mail, "--format", "mboxo", "--folder", "*", user, from); code != exitUsage {
		t.Errorf("folders of an mbox: exit %d", code)
	}
}

// TestExportFolder: messages put away are told of, and can be had.
func TestExportFolder(t *testing.T) {
	const user = "alice@mail.test"
	mail := emptyStore(t)
	must(t, "", "import", "--mail", mail, "--format", "maildir", "--folder", "*", user, mailDir(t, ".Sent"))
	s, err := maildir.Open(mail)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Open(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.(mailstore.Keeper).Move(context.Background(), []int{0}, "Trash"); err != nil {
		t.Fatal(err)
	}
	m.Close()
	s.Close()
	dir := t.TempDir()
	_, errs := must(t, "", "export", "--mail", mail, "--format", "eml", user, filepath.Join(dir, "in"))
	if !strings.Contains(errs, ".Trash (1 message)") || !strings.Contains(errs, "1 messages exported") {
		t.Errorf("export says %q", errs)
	}
	for _, name := range []string{"Trash", ".Trash"} {
		out, _ := must(t, "", "export", "--mail", mail, "--format", "mboxrd", "--folder", name, user, "-")
		if !strings.Contains(out, "Subject: in \n") {
			t.Errorf("folder %s: %q", name, out)
		}
	}
	if code, _, errs := command(t, "", "export", "--mail", mail, "--format", "mboxrd", "--folder", "Tras", user, "-"); code != exitError {
		t.Errorf("a folder that is not there: %q", errs)
	}
	for _, c := range []string{"export --format eml", "store stat"} {
		args := append(strings.Fields(c), "--mail", mail, "alcie@mail.test")
		if c[0] == 'e' {
			args = append(args, filepath.Join(dir, "typo"))
		}
		if code, _, errs := command(t, "", args...); code != exitError || !strings.Contains(errs, "alcie") {
			t.Errorf("%s of a mailbox that is not there: exit %d, %q", c, code, errs)
		}
	}
}

// TestToFile: a file has its name only when it is whole.
func TestToFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out.mbox")
	cmd := &cobra.Command{}
	there := func() string {
		b, err := os.ReadFile(name)
		if err != nil {
			return "nothing"
		}
		return string(b)
	}
	// What a killed one left: longer than what comes.
	if err := os.WriteFile(name+".partial", []byte(strings.Repeat("old ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	err := toFile(cmd, name, func(w io.Writer) error {
		io.WriteString(w, "half")
		if there() != "nothing" {
			t.Errorf("while it is written there is %q", there())
		}
		if err := toFile(cmd, name, func(io.Writer) error { return nil }); err == nil {
			t.Error("two at once")
		}
		_, err := io.WriteString(w, " and half")
		return err
	})
	if err != nil || there() != "half and half" {
		t.Errorf("%q, %v", there(), err)
	}
	if err := toFile(cmd, name, func(io.Writer) error { t.Error("written over"); return nil }); err == nil {
		t.Error("an existing file was taken")
	}
	os.Remove(name)
	if err := toFile(cmd, name, func(io.Writer) error { return errors.New("disk") }); err == nil || there() != "nothing" {
		t.Errorf("after a failure: %q, %v", there(), err)
	}
	if left, _ := filepath.Glob(name + "*"); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// TestExportKilled kills an export that waits for its reader's disk, and looks
// for a file that seems whole.
func TestExportKilled(t *testing.T) {
	mail := emptyStore(t)
	from := mailDir(t)
	var big strings.Builder
	for range 1000 {
		big.WriteString(strings.Repeat("x", 1000) + "\n")
	}
	for i := range 30 {
		name := filepath.Join(from, "new", fmt.Sprintf("17000000%02d.M1P1.host", i))
		if err := os.WriteFile(name, []byte("Subject: in "+fmt.Sprint(i)+"\n\n"+big.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "", "import", "--mail", mail, "--format", "maildir", "alice@mail.test", from)
	out := filepath.Join(t.TempDir(), "out.mbox")
	cmd := exec.Command(binary(t), "export", "--mail", mail, "--format", "mboxcl2", "alice@mail.test", out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		if info, err := os.Stat(out + ".partial"); err == nil && info.Size() > 0 {
			break
		}
		if _, err := os.Stat(out); err == nil {
			t.Log("too fast to be killed") // it is whole then
			break
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	if info, err := os.Stat(out); err == nil && info.Size() < 30<<20 {
		t.Errorf("a half file of %d octets", info.Size())
	}
	os.Remove(out)
	must(t, "", "export", "--mail", mail, "--format", "mboxcl2", "alice@mail.test", out)
	if info, err := os.Stat(out); err != nil || info.Size() < 30_000_000 {
		t.Errorf("exported again: %v, %v", info, err)
	}
}

// TestImportLiveMbox: a file that others deliver to.
func TestImportLiveMbox(t *testing.T) {
	mail := emptyStore(t)
	name := filepath.Join(t.TempDir(), "mbox")
	if err := os.WriteFile(name, []byte("From a Thu Jan  1 00:00:00 1970\nSubject: in x\n\ny\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command(peer(t, "python3"), "-c", `
import fcntl, sys
f = open(sys.argv[1], 'r+')
fcntl.lockf(f, fcntl.LOCK_EX)
print('locked', flush=True)
sys.stdin.read()`, name)
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	args := []string{"import", "--mail", mail, "--format", "mboxo", "alice@mail.test", name}
	if code, _, errs := command(t, "", args...); code != exitError || !strings.Contains(errs, "is locked") {
		t.Errorf("a locked file: exit %d, %s", code, errs)
	}
	in.Close()
	holder.Wait()
	if _, errs := must(t, "", args...); errs != "" {
		t.Errorf("a file at rest: %s", errs)
	}
	var said strings.Builder
	cmd := &cobra.Command{}
	cmd.SetErr(&said)
	src, err := mboxFile(cmd, archive.MboxO, "", name, &progress{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 1); err != nil {
		t.Fatal(err)
	}
	src.Close()
	if !strings.Contains(said.String(), "changed while it was read") {
		t.Errorf("a file that changed: %q", said.String())
	}
}
