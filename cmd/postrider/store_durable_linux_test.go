package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExportDurable: what an export has made is on the disk when it says so, the names in
// the folder included.
func TestExportDurable(t *testing.T) {
	strace := peer(t, "strace")
	mail := emptyStore(t)
	must(t, "", "import", "--mail", mail, "--format", "maildir", "alice@mail.test", mailDir(t))
	for _, format := range []string{"eml", "mboxrd"} {
		dir := t.TempDir()
		to, file := filepath.Join(dir, "out"), filepath.Join(dir, "out.partial")
		folder := dir
		if format == "eml" {
			folder, file = to, filepath.Join(to, "1600000000.M1P1.host.eml.partial")
		}
		trace := filepath.Join(t.TempDir(), "trace")
		cmd := exec.Command(strace, "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", trace, binary(t), "export", "--mail", mail, "--format", format, "alice@mail.test", to)
		if out, err := cmd.CombinedOutput(); err != nil {
			if strings.Contains(string(out), "ptrace") {
				t.Skipf("%s", out)
			}
			t.Fatalf("%v: %s", err, out)
		}
		calls, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{file, folder} {
			if !strings.Contains(string(calls), "<"+name+">") {
				t.Errorf("%s: %s was not synced:\n%s", format, name, calls)
			}
		}
	}
}
