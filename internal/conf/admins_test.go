package conf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAdminEdits: administrators come, change and go in the file, and what else stands there stays.
func TestAdminEdits(t *testing.T) {
	const before = `{
	"server_name": "mail.test", // ours
	"Web": {"listen": "127.0.0.1:8080", "admins": {"joe": "$argon2id$joe"}}, // the pages
}
`
	file := filepath.Join(t.TempDir(), "t.conf")
	write := func(text []byte) *Settings {
		t.Helper()
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := write([]byte(before))
	step := func(e *Edit, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(e.Text), "// ours") || !strings.Contains(string(e.Text), "// the pages") {
			t.Fatalf("comments are lost:\n%s", e.Text)
		}
		s = write(e.Text)
	}
	step(s.AddAdmin(file, "ann", "$argon2id$ann"))
	step(s.SetAdminTOTP("ann", "sealed:ann"))
	step(s.SetAdminTOTP("joe", "sealed:joe")) // who was his password alone
	step(s.SetAdminPassword("ann", "$argon2id$new"))
	if a, j := s.Web.Admins["ann"], s.Web.Admins["joe"]; *a != (WebAdmin{"$argon2id$new", "sealed:ann"}) || *j != (WebAdmin{"$argon2id$joe", "sealed:joe"}) {
		t.Errorf("%#v %#v", string(a.Password), string(j.TOTP))
	}
	step(s.SetAdminTOTP("joe", ""))
	edits, err := s.RemoveAdmin("ann")
	if err != nil || len(edits) != 1 {
		t.Fatal(edits, err)
	}
	step(edits[0], nil)
	if len(s.Web.Admins) != 1 || s.Web.Admins["joe"].TOTP != "" {
		t.Error(s.Web.Admins)
	}
	for _, err := range []error{
		second(s.AddAdmin(file, "joe", "x")), second(s.AddAdmin(file, "joe@mail.test", "x")), second(s.AddAdmin(file, "", "x")),
		second(s.SetAdminPassword("nobody", "x")), second(s.SetAdminTOTP("nobody", "")),
	} {
		if err == nil {
			t.Error("what cannot be was done")
		}
	}
	if _, err := s.RemoveAdmin("nobody"); !errors.Is(err, ErrNoAdmin) {
		t.Error(err)
	}
}

func second(_ *Edit, err error) error { return err }

// TestAdminNewFile: in a folder without "Web", they get a file of their own.
func TestAdminNewFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.conf"), []byte(`{"server_name": "mail.test"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.AddAdmin(dir, "ann", "$argon2id$ann")
	if err != nil || !e.New || e.File != filepath.Join(dir, "web.conf") {
		t.Error(e, err)
	}
}

// TestAdminsChecked: names that look like accounts, hashes that are none, and secrets in clear are refused.
func TestAdminsChecked(t *testing.T) {
	for text, want := range map[string]string{
		`"ann@mail.test": ""`:                         "is not a name for an administrator",
		`"Ann": ""`:                                   "is not a name for an administrator",
		`"ann": "secret"`:                             "postrider admin password ann",
		`"ann": {"totp": "JBSWY3DPEHPK3PXP"}`:         "postrider admin totp ann",
		`"ann": {"password": "", "totp": "sealed:x"}`: "wrong key",
	} {
		s := New()
		s.ServerName, s.Web.Listen = "mail.test", "127.0.0.1:8080"
		file := filepath.Join(t.TempDir(), "t.conf")
		if err := os.WriteFile(file, []byte(`{"server_name": "mail.test", "data_dir": "d", "Web": {"listen": "127.0.0.1:8080", "admins": {`+text+`}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		problems := errors.Join(s.CheckWith(Probes{Sealed: func(_, sealed, subject string) error {
			if subject != "totp:ann" {
				t.Error(subject)
			}
			return errors.New("wrong key")
		}})...)
		if problems == nil || !strings.Contains(problems.Error(), want) || strings.Contains(problems.Error(), "JBSWY") {
			t.Errorf("%s: %v, want %q", text, problems, want)
		}
	}
}
