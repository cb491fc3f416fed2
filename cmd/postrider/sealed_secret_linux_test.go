package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// told is what the system tells of a process and of those that it has started: their arguments and their environments.
func told(t *testing.T, pid int) (all string) {
	t.Helper()
	dir := fmt.Sprint("/proc/", pid)
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	children, err := filepath.Glob(dir + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range children {
		text, _ := os.ReadFile(name)
		for _, child := range strings.Fields(string(text)) {
			for _, name := range []string{"cmdline", "environ"} {
				text, _ := os.ReadFile(filepath.Join("/proc", child, name)) // it may have ended
				all += string(text)
			}
		}
	}
	return all
}

// TestSealedPasswordNowhere: while a mailbox is sealed and while its owner reads, neither his password nor his recovery key is in the arguments or the environment of a process, in
// the log, or in a file; and the server leaves no core.
func TestSealedPasswordNowhere(t *testing.T) {
	w := newWorld(t)
	os.Remove(filepath.Join(w.dir, "password")) // a test's own
	in, type_ := io.Pipe()
	var out, errs bytes.Buffer
	var seen string
	c := exec.Command(binary(t), "user", "seal", "-c", w.dir, "--stdin", user)
	c.Stdin, c.Stderr = in, &errs
	printed, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(type_, password)
	buf := make([]byte, 4<<10)
	for recoveryKey.FindString(out.String()) == "" {
		n, err := printed.Read(buf)
		if err != nil {
			t.Fatal(err, errs.String())
		}
		out.Write(buf[:n])
	}
	seen += told(t, c.Process.Pid) // it waits for what is asked back
	recovery := recoveryKey.FindString(out.String())
	go func() {
		groups := strings.Split(recovery, "-")
		fmt.Fprintf(type_, "%s\n%s\n", groups[2], groups[6])
		type_.Close()
	}()
	if _, err := io.Copy(&out, printed); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err, errs.String())
	}
	w.deliver(marked, user)
	if answer := w.pop(t, "USER "+user, "PASS "+password, "RETR 1"); !strings.HasPrefix(answer, "+OK") {
		t.Fatal(answer)
	}
	seen += told(t, w.cmd.Process.Pid) + w.log.String() + errs.String()
	for _, secret := range []string{password, recovery, strings.ReplaceAll(recovery, "-", "")} {
		if strings.Contains(seen, secret) {
			t.Errorf("%q is told", secret)
		}
	}
	if !strings.Contains(seen, "serve") || !strings.Contains(seen, "seal") {
		t.Errorf("nothing was looked at: %q", seen)
	}
	unmarked(t, filepath.Join(w.dir, "data", "mail", "mail.test", "alice"))
	err = filepath.WalkDir(w.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range []string{password, recovery} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s has %q", path, secret)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	limits, err := os.ReadFile(fmt.Sprint("/proc/", w.cmd.Process.Pid, "/limits"))
	if err != nil || !coreless(string(limits)) {
		t.Errorf("a core may be left: %v\n%s", err, limits)
	}
}

// coreless reports whether a process makes no core files.
func coreless(limits string) bool {
	for line := range strings.Lines(limits) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			return strings.HasPrefix(strings.TrimSpace(rest), "0")
		}
	}
	return false
}
