package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"log/slog"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
)

// TestAdmin: administrators are added, get a second factor that programs can make codes of, lose it, and go.
func TestAdmin(t *testing.T) {
	dir := confDir(t, userConf)
	must(t, "swordfish-12\n", "admin", "add", "-c", dir, "--stdin", "ann")
	if out, _ := must(t, "", "admin", "list", "-c", dir); !strings.Contains(out, "ann") || !strings.Contains(out, "password") {
		t.Error(out)
	}
	verify := func(password, code string) error {
		t.Helper()
		s, err := conf.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		c, err := accounts.New(s, accounts.NewDirectory(s), nil, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return c.VerifyAdmin(t.Context(), netip.MustParseAddr("127.0.0.1"), "ann", password, code)
	}
	if err := verify("swordfish-12", ""); err != nil {
		t.Error(err)
	}
	out, _ := must(t, "", "admin", "totp", "-c", dir, "ann")
	if !strings.Contains(out, "otpauth://totp/mail.test:ann?issuer=mail.test&secret="+strings.Fields(out)[0]) {
		t.Error(out)
	}
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if problems := s.CheckWith(probes()); len(problems) > 0 {
		t.Error(problems)
	}
	key, err := seal.LoadKey(s.SecretKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.OpenText(string(s.Web.Admins["ann"].TOTP), []byte(conf.TOTPSubject("ann")))
	if err != nil || accounts.SecondFactorText(secret) != strings.Fields(out)[0] {
		t.Fatal(err, out)
	}
	if err := verify("swordfish-12", ""); err == nil {
		t.Error("no code was asked for")
	}
	if err := verify("swordfish-12", accounts.Code(secret, time.Now())); err != nil {
		t.Error(err)
	}
	generated, _ := must(t, "", "admin", "password", "-c", dir, "--generate", "ann")
	if err := verify(strings.TrimSpace(generated), accounts.Code(secret, time.Now())); err != nil {
		t.Error("the new password, or the second factor is gone:", err)
	}
	must(t, "", "admin", "totp", "-c", dir, "--off", "ann")
	if err := verify(strings.TrimSpace(generated), ""); err != nil {
		t.Error(err)
	}
	// For a program, which reads nothing but JSON.
	var made struct{ Secret, URI string }
	out, _ = must(t, "", "admin", "totp", "-c", dir, "--json", "ann")
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Secret == "" || !strings.HasPrefix(made.URI, "otpauth://") || !strings.HasSuffix(made.URI, made.Secret) {
		t.Error(err, out)
	}
	if out, _ := must(t, "", "admin", "totp", "-c", dir, "--json", "--off", "ann"); strings.Contains(out, "secret") {
		t.Error(out)
	}
	must(t, "", "admin", "remove", "-c", dir, "ann")
	if out, _ := must(t, "", "admin", "list", "--json", "-c", dir); strings.TrimSpace(out) != "[]" {
		t.Error(out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "mail.conf"))
	if err != nil || !strings.Contains(string(text), "// the boss") {
		t.Errorf("%v %s", err, text)
	}
}

// TestAdminRefused: nothing is asked for or written for what cannot be.
func TestAdminRefused(t *testing.T) {
	dir := confDir(t, userConf)
	must(t, "swordfish-12\n", "admin", "add", "-c", dir, "--stdin", "ann")
	for _, args := range [][]string{
		{"admin", "add", "--stdin", "ann"}, {"admin", "add", "--stdin", "ann@mail.test"}, {"admin", "password", "--stdin", "joe"},
		{"admin", "totp", "joe"}, {"admin", "totp", "--off", "joe"}, {"admin", "remove", "joe"},
	} {
		if code, _, errors := command(t, "swordfish-13\n", append(args, "-c", dir)...); code == exitOK || errors == "" {
			t.Errorf("%v: exit %d %s", args, code, errors)
		}
	}
	if code, _, errors := command(t, "short\n", "admin", "password", "-c", dir, "--stdin", "ann"); code == exitOK || !strings.Contains(errors, "fewer than") || strings.Contains(errors, "--weak") {
		t.Errorf("a short password: %d %s", code, errors)
	}
}
