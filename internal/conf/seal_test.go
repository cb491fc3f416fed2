package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindRoute(t *testing.T) {
	s := New()
	s.Queue.Routes = []Route{{Domain: "Example.COM"}, {Name: "backup", Domain: ".example.com"}, {Domain: "*"}}
	for which, want := range map[string]int{"example.com": 0, "1:Example.COM": 0, "backup": 1, "*": 2, "3:*": 2} {
		if r, i, err := s.FindRoute(which); err != nil || i != want || r != &s.Queue.Routes[want] {
			t.Errorf("%s: %d, %v", which, i, err)
		}
	}
	for _, which := range []string{".example.com", "none", ""} {
		if _, _, err := s.FindRoute(which); err == nil || !strings.Contains(err.Error(), `"backup"`) {
			t.Errorf("%s: %v", which, err)
		}
	}
	subjects := map[string]bool{}
	for i := range s.Queue.Routes {
		subjects[s.Queue.Routes[i].Subject()] = true
	}
	if len(subjects) != 3 || !subjects["route:domain:example.com"] || !subjects["route:name:backup"] {
		t.Errorf("%v", subjects)
	}
}

func TestShellWord(t *testing.T) {
	for s, want := range map[string]string{"a.b-c_1:@": "a.b-c_1:@", "*": "'*'", "it's": `'it'\''s'`, "$(x)": "'$(x)'"} {
		if got := shellWord(s); got != want {
			t.Errorf("%s: %s", s, got)
		}
	}
}

// TestCredential: what systemd passes to this process alone may look as if it
// were the group's.
func TestCredential(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "secret")
	if err := os.WriteFile(name, []byte("hunter2\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := firstLine(name); err == nil {
		t.Error("a file that the group can read is taken")
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if line, err := firstLine(name); err != nil || line != "hunter2" {
		t.Errorf("%q, %v", line, err)
	}
	if err := os.Chmod(name, 0o444); err != nil {
		t.Fatal(err)
	}
	if _, err := firstLine(name); err == nil {
		t.Error("a credential that all can read is taken")
	}
}
