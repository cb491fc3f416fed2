package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
)

const sealConf = `{
    "server_name": "mail.test",
    "data_dir": "data",
    "Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}],
    "Queue": {"Routes": [
        {"domain": "open.example", "host": "h0"},
        // the provider
        {"domain": "*", "host": "h1", "user": "me", "password": "hunter2"},
        {"name": "backup", "host": "h2", "user": "you"}, # later
        {"domain": "file.example", "host": "h3", "user": "they", "password_file": "p"},
    ]},
}
`

// TestSeal: from a password in clear to one that only the server's key opens,
// and only for its route; nothing ever prints it.
func TestSeal(t *testing.T) {
	dir := confDir(t, sealConf)
	file := filepath.Join(dir, "mail.conf")
	if err := os.WriteFile(filepath.Join(dir, "p"), []byte("hunter4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for which, want := range map[string]string{"none": "no such route", "open.example": "no user", "file.example": "comes from the file"} {
		if code, _, stderr := command(t, "x\n", "conf", "seal", "-c", dir, "--stdin", which); code == exitOK || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d %s", which, code, stderr)
		}
	}
	must(t, "hunter3\n", "conf", "seal", "-c", dir, "--stdin", "backup")
	_, notes := must(t, "", "check", "-c", dir)
	if !strings.Contains(notes, "Routes[1].password") || !strings.Contains(notes, "run: postrider conf seal '*'") || strings.Count(notes, "note:") != 1 {
		t.Errorf("check says %s", notes)
	}
	must(t, "", "conf", "seal", "-c", dir, "*") // what stands there
	stdout, notes := must(t, "", "check", "-c", dir)
	if strings.Contains(notes, "note:") {
		t.Errorf("check says %s", notes)
	}
	shown, _ := must(t, "", "conf", "show", "-c", dir)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{"check": stdout + notes, "show": shown, "the file": string(text)} {
		if strings.Contains(s, "hunter") || name != "the file" && strings.Contains(s, "sealed:") {
			t.Errorf("%s has the password:\n%s", name, s)
		}
	}
	for _, comment := range []string{"// the provider", "# later"} {
		if !strings.Contains(string(text), comment) {
			t.Errorf("%s is lost:\n%s", comment, text)
		}
	}
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(s.SecretKeyFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info, err)
	}
	key, err := seal.LoadKey(s.SecretKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "hunter2", "hunter3"} {
		if r := &s.Queue.Routes[i]; want != "" {
			if got, err := key.OpenText(string(r.Password), []byte(r.Subject())); string(got) != want {
				t.Errorf("route %d: %q, %v", i, got, err)
			}
		}
	}
	// Moved to another route, it is of no use, and check says what to do.
	moved := strings.Replace(string(text), `"backup"`, `"other"`, 1)
	if err := os.WriteFile(file, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := command(t, "", "check", "-c", dir); code == exitOK || !strings.Contains(stderr, "another route") || !strings.Contains(stderr, "run: postrider conf seal other") || strings.Contains(stderr, "sealed:") {
		t.Errorf("%d %s", code, stderr)
	}
	must(t, "hunter5\n", "conf", "seal", "-c", dir, "--stdin", "other") // again
	os.Remove(s.SecretKeyFile)
	if code, _, stderr := command(t, "", "check", "-c", dir); code == exitOK || !strings.Contains(stderr, "is not there") {
		t.Errorf("%d %s", code, stderr)
	}
}
