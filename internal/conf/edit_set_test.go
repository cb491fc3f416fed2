package conf

import (
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestSetAccount: one thing of an account changes, wherever it stands and however it is written.
func TestSetAccount(t *testing.T) {
	t.Setenv("POSTRIDER_TEST_HASH", hashB)
	for _, c := range []struct {
		name string
		do   func(*Settings, string) (*Edit, error)
		ok   func(*Settings) bool
		text string // that is then there
	}{
		{"a quota", func(s *Settings, _ string) (*Edit, error) { return s.SetQuota("alice@example.com", 5e6) },
			func(s *Settings) bool { return s.Book().Accounts["alice@example.com"].Quota == 5e6 }, `"quota": "5MB"`},
		{"no quota", func(s *Settings, _ string) (*Edit, error) { return s.SetQuota("bob@example.org", Unlimited) },
			func(s *Settings) bool { return s.Book().Accounts["bob@example.org"].Quota == Unlimited }, `"quota": "none"`},
		{"as by default", func(s *Settings, _ string) (*Edit, error) { return s.SetQuota("alice@example.com", 0) },
			func(s *Settings) bool { return s.Book().Accounts["alice@example.com"].Quota == 0 }, ""},
		{"blocked", func(s *Settings, _ string) (*Edit, error) { return s.SetDisabled("carol@example.com", true) },
			func(s *Settings) bool {
				a := s.Book().Accounts["carol@example.com"]
				return a.Disabled && a.APOP == "sealed:old"
			}, ""},
		{"nobody", func(s *Settings, _ string) (*Edit, error) { return s.SetDisabled("zoe@example.com", true) }, nil, "no such account"},
		{"a domain", func(s *Settings, dir string) (*Edit, error) { return s.SetDomainDisabled(dir, "example.com", true) },
			func(s *Settings) bool {
				b := s.Book().Accounts
				return b["alice@example.com"].Disabled && b["carol@example.com"].Disabled && !b["bob@example.org"].Disabled && b["alice@example.com"].Quota == 1e9
			}, `"disabled": true`},
		{"a domain by its accounts alone", func(s *Settings, dir string) (*Edit, error) { return s.SetDomainDisabled(dir, "example.org", true) },
			func(s *Settings) bool { return s.Book().Accounts["bob@example.org"].Disabled }, ""},
		{"what each mailbox of a domain may hold", func(s *Settings, dir string) (*Edit, error) { return s.SetDomainQuota(dir, "example.com", 5e6) },
			func(s *Settings) bool { return s.QuotaOf("example.com", nil) == 5e6 }, `"quota": "5MB"`},
		{"what all may hold", func(s *Settings, dir string) (*Edit, error) { return s.SetDomainTotal(dir, "example.org", 7e9) },
			func(s *Settings) bool { return s.TotalQuotaOf("example.org") == 7e9 }, `"total_quota": "7GB"`},
		{"any amount", func(s *Settings, dir string) (*Edit, error) { return s.SetDomainTotal(dir, "example.com", 0) },
			func(s *Settings) bool { return s.TotalQuotaOf("example.com") == Unlimited }, ""},
		{"a domain of others", func(s *Settings, dir string) (*Edit, error) { return s.SetDomainDisabled(dir, "far.example", true) }, nil, "no such domain"},
		{"an alias", func(s *Settings, dir string) (*Edit, error) {
			return s.SetAlias(dir, "sales@example.com", []string{"bob@example.org"})
		}, func(s *Settings) bool {
			return slices.Equal(s.AliasesAsWritten("sales@example.com"), []string{"bob@example.org"})
		}, `/* to be */`},
		{"an alias by default", func(s *Settings, dir string) (*Edit, error) {
			return s.SetAlias(dir, "abuse@example.com", []string{"bob@example.org"})
		}, nil, "no such alias"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, town...)
			edits, err := one(c.do(mustLoad(t, dir), dir))
			if c.ok == nil {
				if err == nil || !strings.Contains(err.Error(), c.text) {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := apply(t, dir, edits); !c.ok(s) || !strings.Contains(string(edits[0].Text), c.text) {
				t.Errorf("%s", edits[0].Text)
			}
		})
	}
	// An account that is only its password stays so, also where the environment has it.
	dir := folder(t, "a.conf", editBase+`"Accounts": {"a@example.com": "`+hashB+`", "b@example.com": "env:POSTRIDER_TEST_HASH"}}`)
	for address, want := range map[string]string{"a@example.com": `"password": "` + hashB, "b@example.com": `"password": "env:POSTRIDER_TEST_HASH"`} {
		e, err := mustLoad(t, dir).SetDisabled(domains.Address(address), true)
		if err != nil || !strings.Contains(string(e.Text), want) || !strings.Contains(string(e.Text), `"disabled": true`) {
			t.Errorf("%v: %s", err, e.Text)
		}
	}
}

// TestList: what is in force and where it came from, without a secret, and without those of whom there are very many.
func TestList(t *testing.T) {
	dir := folder(t, town...)
	s := mustLoad(t, dir)
	all := make(map[string]Setting)
	for _, v := range s.List() {
		all[v.Path] = v
	}
	if v := all["server_name"]; v.Value != `"mail.example.com"` || !strings.Contains(v.From, "a.conf:2:") || v.Default {
		t.Errorf("%+v", v)
	}
	if v := all["SMTP.max_hops"]; v.From != "default" || !v.Default || v.Value == "" {
		t.Errorf("%+v", v)
	}
	if v := all[`Domains."Example.com".catch_all`]; v.Value != `"alice"` {
		t.Errorf("%+v", v)
	}
	for path := range all {
		if strings.Contains(path, "Accounts") || strings.Contains(path, "Aliases") {
			t.Errorf("%s is in the list", path)
		}
	}
	if len(s.Accounts) != 1 || len(s.Domains["Example.com"].Accounts) != 2 {
		t.Error("the settings have lost accounts")
	}
	secret := folder(t, "a.conf", editBase+`"Queue": {"Routes": [{"domain": "*", "host": "relay.example.net", "user": "u", "password": "very secret"}]}}`)
	for _, v := range mustLoad(t, secret).List() {
		if strings.Contains(v.Value, "very secret") {
			t.Errorf("%+v", v)
		}
	}
}
