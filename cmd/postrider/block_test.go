package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

// Whoever is blocked keeps all that he has, and is let in again.
func TestBlockCommands(t *testing.T) {
	dir := confDir(t, townConf)
	blocked := func() string {
		t.Helper()
		must(t, "", "check", "-c", dir)
		s, err := conf.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, v := range in[[]userView](t, "user", "list", "-c", dir, "--json") {
			if v.Disabled != s.Book().Accounts[v.Address].Disabled {
				t.Errorf("%s: %v", v.Address, v.Disabled)
			}
			if v.Disabled {
				all = append(all, v.Address.String())
			}
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct{ what, do, at, want string }{
		{"user", "block", "bob@town.test", "bob@town.test"},
		{"domain", "block", "Town.test", "alice@town.test bob@town.test"},
		{"user", "unblock", "alice@town.test", "alice@town.test bob@town.test"},
		{"domain", "unblock", "town.test", "bob@town.test"},
		{"domain", "block", "village.test", "bob@town.test carol@village.test"},
		{"domain", "unblock", "village.test", "bob@town.test"},
		{"user", "unblock", "bob@town.test", ""},
	} {
		if _, said := must(t, "", c.what, c.do, "-c", dir, c.at); !strings.Contains(said, " is "+c.do+"ed in ") {
			t.Errorf("%q: %s", c, said)
		}
		if got := blocked(); got != c.want {
			t.Errorf("%q: %q", c, got)
		}
	}
	if domain := in[[]domainView](t, "domain", "list", "-c", dir, "--json"); domain[0].Disabled {
		t.Errorf("%+v", domain)
	}
	for _, c := range [][]string{{"user", "zoe@town.test", "no such account"}, {"domain", "else.test", "no such domain"}} {
		if said := fails(t, "", c[0], "block", "-c", dir, c[1]); !strings.Contains(said, c[2]) {
			t.Errorf("%q: %s", c, said)
		}
	}
}

// TestBlockElsewhere: an account of a passwd-file is blocked in the settings.
func TestBlockElsewhere(t *testing.T) {
	dir := confDir(t, townConf)
	users := filepath.Join(dir, "users")
	if err := os.WriteFile(users, []byte("eve:{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "40-logins.conf"), fmt.Appendf(nil, `{"Elsewhere": {"PasswdFiles": [{"file": %q, "domains": ["far.test"]}]}}`, users), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, do := range []string{"block", "unblock"} {
		if _, said := must(t, "", "user", do, "-c", dir, "eve@far.test"); !strings.Contains(said, "40-logins.conf") {
			t.Error(said)
		}
		s, err := conf.Load(dir)
		if err != nil || s.Elsewhere.Blocked()["eve@far.test"] != (do == "block") {
			t.Error(do, err)
		}
		for _, v := range in[[]userView](t, "user", "list", "-c", dir, "--json") {
			if v.Address == "eve@far.test" && v.Disabled != (do == "block") {
				t.Errorf("%s: %+v", do, v)
			}
		}
	}
}
