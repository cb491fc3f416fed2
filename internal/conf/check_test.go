package conf

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/config"
)

var update = flag.Bool("update", false, "write what is said about testdata/conf/bad into the .want files")

const testdata = "../../testdata/conf"

// copyPrivate copies the files of a folder as an administrator would keep
// them: a checkout does not.
func copyPrivate(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestBad: every .conf in testdata/conf/bad is answered by the text in the
// .want beside it: each problem with its place and what to write instead.
func TestBad(t *testing.T) {
	eachWanted(t, "bad", 30, func(t *testing.T, name string) []error {
		_, problems := Verify(name, Probes{})
		return problems
	})
}

// eachWanted holds what is said of each file of a folder in testdata/conf, at least so
// many, against the .want beside it.
func eachWanted(t *testing.T, folder string, least int, say func(t *testing.T, name string) []error) {
	dir := copyPrivate(t, filepath.Join(testdata, folder))
	names, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	if err != nil || len(names) < least {
		t.Fatalf("%d files: %v", len(names), err)
	}
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".conf")
		t.Run(base, func(t *testing.T) {
			var b strings.Builder
			for _, p := range say(t, name) {
				b.WriteString(strings.ReplaceAll(p.Error(), dir+string(filepath.Separator), "") + "\n")
			}
			wantFile := filepath.Join(testdata, folder, base+".want")
			if *update {
				if err := os.WriteFile(wantFile, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wantFile)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) || b.Len() == 0 {
				t.Errorf("got\n%s\nwant\n%s", b.String(), want)
			}
			for _, secret := range []string{"correct horse", "hunter2", "471147", "aGFzaGhhc2"} {
				if strings.Contains(b.String(), secret) {
					t.Errorf("%q is shown", secret)
				}
			}
		})
	}
}

// TestGood: nothing is wrong with the files and folders in testdata/conf/good.
func TestGood(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(testdata, "good"))
	if err != nil || len(entries) < 5 {
		t.Fatalf("%d entries: %v", len(entries), err)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			from := filepath.Join(testdata, "good")
			path := e.Name()
			if e.IsDir() {
				from, path = filepath.Join(from, e.Name()), ""
			}
			s, problems := Verify(filepath.Join(copyPrivate(t, from), path), Probes{})
			for _, p := range problems {
				t.Error(p)
			}
			if s == nil || len(s.Listeners) == 0 {
				t.Error("no listeners")
			}
		})
	}
}

func TestOpenFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		// What is there may be of a mode that only root writes to.
		os.Remove(name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const base = `"server_name": "mail.example.com", "data_dir": "data", `
	const hash = "$2b$12$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"
	write("a.hash", hash+"\n", 0o600)
	write("b.hash", hash+"\n", 0o644)
	write("empty.hash", "\n", 0o600)
	write("long.hash", strings.Repeat("x", 70<<10), 0o600)
	t.Setenv("A_HASH", hash)
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"no secret", `{` + base + `"Accounts": {"a@b.example": {}}}`, 0o644, ""},
		{"secret, private", `{` + base + `"Accounts": {"a@b.example": "` + hash + `"}}`, 0o600, ""},
		{"secret, private to read", `{` + base + `"Accounts": {"a@b.example": "` + hash + `"}}`, 0o400, ""},
		{"secret, group", `{` + base + `"Accounts": {"a@b.example": "` + hash + `"}}`, 0o640, "holds secrets and is open to others (mode 0640); run: chmod 600"},
		{"secret in an object, others", `{` + base + `"Accounts": {"a@b.example": {"cram_md5": "` + strings.Repeat("ab", 32) + `"}}}`, 0o604, "holds secrets"},
		{"secret in a domain", `{` + base + `"Domains": {"b.example": {"Accounts": {"a": "` + hash + `"}}}}`, 0o644, "holds secrets"},
		{"secret of a route", `{` + base + `"Queue": {"Routes": [{"domain": "*", "host": "h", "user": "u", "password": "p"}]}}`, 0o644, "holds secrets"},
		{"secret in a file", `{` + base + `"Accounts": {"a@b.example": {"password_file": "a.hash"}}}`, 0o644, ""},
		{"secret in an open file", `{` + base + `"Accounts": {"a@b.example": {"password_file": "b.hash"}}}`, 0o644, "b.hash holds secrets and is open to others (mode 0644)"},
		{"secret in an empty file", `{` + base + `"Accounts": {"a@b.example": {"password_file": "empty.hash"}}}`, 0o644, "empty.hash is empty"},
		{"secret in a long file", `{` + base + `"Accounts": {"a@b.example": {"password_file": "long.hash"}}}`, 0o644, "longer than any password"},
		{"secret in a folder", `{` + base + `"Accounts": {"a@b.example": {"password_file": "."}}}`, 0o644, "is a directory"},
		{"secret in the environment", `{` + base + `"Accounts": {"a@b.example": "env:A_HASH"}}`, 0o644, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, problems := Verify(write("x.conf", c.text, c.mode), Probes{})
			switch {
			case c.want == "" && len(problems) > 0:
				t.Errorf("%v", problems)
			case c.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Error(), c.want)):
				t.Errorf("got %v, want %s", problems, c.want)
			}
			if a := s.Book().Accounts["a@b.example"]; c.want == "" && a != nil && strings.Contains(c.text, "a.hash") && string(a.Password) != hash {
				t.Errorf("password %q", string(a.Password))
			}
		})
	}
}

// That a file is open is said along with what is wrong in it.
func TestOpenFileWithProblems(t *testing.T) {
	dir := folder(t, "a.conf", `{"server_nam": "mail.example.com", "Accounts": {"a@b.example": {"cram_md5": "x"}}}`)
	name := filepath.Join(dir, "a.conf")
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	_, problems := Verify(dir, Probes{})
	if len(problems) != 3 || !strings.Contains(problems[0].Error(), "chmod 600 "+name) || !strings.Contains(problems[1].Error(), "unknown key") ||
		!strings.Contains(problems[2].Error(), "not a derived key") {
		t.Errorf("problems: %v", problems)
	}
}

// A key that others can read opens what it seals for them, too.
func TestOpenKey(t *testing.T) {
	dir := folder(t, "a.conf", `{"server_name": "mail.example.com", "data_dir": "data", "secret_key_file": "s.key"}`, "s.key", "x")
	if _, problems := Verify(dir, Probes{}); len(problems) != 0 {
		t.Errorf("got %v", problems)
	}
	if err := os.Chmod(filepath.Join(dir, "s.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, problems := Verify(dir, Probes{}); len(problems) != 1 || !strings.Contains(problems[0].Error(), "chmod 600 "+filepath.Join(dir, "s.key")) {
		t.Errorf("got %v", problems)
	}
}

func TestProbes(t *testing.T) {
	s := New()
	s.ServerName, s.DataDir = "mail.example.com", t.TempDir()
	s.complete()
	probes := Probes{Listen: func(l Listener, _ string) error {
		if l.Address == ":110" {
			return errors.New("the port is taken")
		}
		return nil
	}}
	problems := s.CheckWith(probes)
	if len(problems) != 1 || problems[0].Error() != "configuration: Listeners[3].address: the port is taken" {
		t.Errorf("got %v", problems)
	}
	if problems := s.Check(); len(problems) != 0 {
		t.Errorf("without probes: %v", problems)
	}
}

// Settings made in code are checked as those from files are.
func TestCheckZero(t *testing.T) {
	var all config.Errors
	for _, p := range (&Settings{}).Check() {
		var e *config.Error
		if !errors.As(p, &e) {
			t.Fatalf("%T %v", p, p)
		}
		all = append(all, e)
	}
	if len(all) < 10 || !strings.Contains(all.Error(), "server_name: missing") {
		t.Errorf("got %v", all)
	}
}

// TestContainerID: a host's name that its container was given by chance is none, as it is another one after the next start.
func TestContainerID(t *testing.T) {
	for name, bad := range map[string]bool{"d2a5c9e31b7f": true, "mail": false, "deadbeefcafe": false, "d2a5c9e31b7f.example.com": false, "d2a5c9e31b7": false} {
		_, problems := Verify(folder(t, "a.conf", `{"server_name": "`+name+`", "data_dir": "data", "postmaster": "a@mail.example.com", "Accounts": {"a@mail.example.com": {}}}`), Probes{})
		found := false
		for _, p := range problems {
			found = found || strings.Contains(p.Error(), "the id of a container")
		}
		if found != bad {
			t.Errorf("%s: %v", name, problems)
		}
	}
}
