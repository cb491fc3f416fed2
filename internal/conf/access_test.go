package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckedByRoot: where root checks, the rights of the one count whom the data
// belong to.
func TestCheckedByRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to somebody else")
	}
	const nobody = 65534
	dir := folder(t, "a.conf", `{"server_name": "mail.example.com", "data_dir": "data",
		"Accounts": {"a@b.example": {"password_file": "hash"}},
		"Log": {"file": "logs/log"}}`,
		"hash", "$2b$12$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu\n", "root.conf", `{}`)
	for _, name := range []string{"data", "logs"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	give := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if err := os.Chown(filepath.Join(dir, name), nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(want ...string) {
		t.Helper()
		_, problems := Verify(dir, Probes{})
		all := ""
		for _, p := range problems {
			all += strings.ReplaceAll(p.Error(), dir+string(filepath.Separator), "") + "\n"
		}
		for _, w := range want {
			if !strings.Contains(all, w) {
				t.Errorf("%q is not in\n%s", w, all)
			}
		}
		if len(problems) != len(want) {
			t.Errorf("%d problems, want %d:\n%s", len(problems), len(want), all)
		}
	}
	check() // everything is root's
	give("data")
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	check("a.conf: a.conf cannot be read by user nobody", "root.conf: root.conf cannot be read by user nobody, whom the data belong to; run: chown --reference=",
		`Accounts."a@b.example".password_file: hash cannot be read by user nobody`, "Log.file: "+"logs cannot be written to by user nobody")
	give("a.conf", "hash", "logs")
	check("root.conf: root.conf cannot be read")
	give("root.conf")
	check()
	// A folder on the way that only root may enter.
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, problems := Verify(dir, Probes{})
	if len(problems) < 4 {
		t.Errorf("behind a closed folder: %v", problems)
	}
}

// TestUnreadableFile: a file that cannot be read is named with what opens it, and
// hides nothing.
func TestUnreadableFile(t *testing.T) {
	dir := folder(t, "a.conf", `{"server_nam": "mail.example.com"}`)
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "b.conf")); err != nil {
		t.Fatal(err)
	}
	_, problems := Verify(dir, Probes{})
	if len(problems) != 2 || !strings.Contains(problems[0].Error(), "b.conf: no such file") || !strings.Contains(problems[1].Error(), "unknown key") {
		t.Errorf("got %v", problems)
	}
}
