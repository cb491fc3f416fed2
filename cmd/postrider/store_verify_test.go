package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVerifyJSON: what a script reads, and the exit codes.
func TestVerifyJSON(t *testing.T) {
	const user = "alice@mail.test"
	mail := emptyStore(t)
	must(t, "", "import", "--mail", mail, "--format", "maildir", "--folder", "*", user, mailDir(t, ".a", ".b"))
	names, _ := filepath.Glob(filepath.Join(mail, "mail.test", "alice", "cur", "*"))
	if err := os.Truncate(names[0], 1); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mail, "mail.test", "alice", "new", "1.a.h"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		sum  string
		code int
	}{
		{"", `{"mailboxes":1,"messages":4,"octets":37,"problems":2,"fixed":0}`, exitError},
		{"--fix", `{"mailboxes":1,"messages":4,"octets":37,"problems":2,"fixed":1}`, exitError},
		{"--fix", `{"mailboxes":1,"messages":4,"octets":37,"problems":1,"fixed":0}`, exitError},
	} {
		code, out, errs := command(t, "", append([]string{"store", "verify", "--json", "--mail", mail}, strings.Fields(c.args)...)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if code != c.code || lines[len(lines)-1] != c.sum || errs != "" {
			t.Errorf("verify %s: exit %d, %s, %s", c.args, code, lines[len(lines)-1], errs)
		}
		for _, line := range lines[:len(lines)-1] {
			var p struct{ Mailbox, Path, Problem, Repair string }
			if err := json.Unmarshal([]byte(line), &p); err != nil || p.Mailbox != user || p.Problem == "" {
				t.Errorf("%s: %v", line, err)
			}
			if _, err := os.Stat(filepath.Join(mail, p.Path)); err != nil && c.args == "" {
				t.Errorf("the path leads nowhere: %v", err)
			}
		}
	}
	if err := os.Remove(filepath.Join(mail, "mail.test", "alice", "new", "1.a.h")); err != nil {
		t.Fatal(err)
	}
	must(t, "", "store", "verify", "--json", "--mail", mail) // exit code 0
}
