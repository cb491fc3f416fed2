package conf

import (
	"os"
	"path/filepath"
	"reflect"
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

// TestWhere: where an account, an alias and a domain stand is told with file and line, however they are written; what holds by default stands nowhere.
func TestWhere(t *testing.T) {
	t.Setenv("POSTRIDER_TEST_HASH", hashB)
	dir := folder(t, append(slices.Clone(town), "c.conf", `{"Accounts": {
		"Dan@Example.org": "env:POSTRIDER_TEST_HASH",
		"fay@example.org": {"password_file": "fay.secret"},
	}}`, "fay.secret", hashB)...)
	s := mustLoad(t, dir)
	in := func(at, want string) bool {
		return want == "" && at == "" || want != "" && strings.HasSuffix(at[:max(0, strings.LastIndexByte(at, ':'))], want)
	}
	for address, want := range map[domains.Address][2]string{ // where, and a part of where its password comes from
		"alice@example.com": {"a.conf:8", ""}, "carol@example.com": {"a.conf:8", ""}, "bob@example.org": {"b.conf:2", ""}, "eve@xn--bcher-kva.example": {"a.conf:12", ""},
		"dan@example.org": {"c.conf:2", "POSTRIDER_TEST_HASH"}, "fay@example.org": {"c.conf:3", "fay.secret"}, "sales@example.com": {}, "zoe@example.com": {},
	} {
		at, password := s.WhereAccount(address)
		if i := strings.Index(at, ", "); i >= 0 { // what it was taken from stands before
			at = at[i+2:]
		}
		if !in(at, want[0]) || !strings.Contains(password, want[1]) || want[1] == "" && password != "" {
			t.Errorf("%s: %q, password %q; want %q", address, at, password, want)
		}
	}
	for address, want := range map[domains.Address]string{"sales@example.com": "a.conf:9", "info@example.com": "a.conf:9", "team@example.org": "b.conf:4", "*@example.org": "b.conf:5", "postmaster@example.com": "", "alice@example.com": ""} {
		if at := s.WhereAlias(address); !in(at, want) {
			t.Errorf("%s: %q, want %q", address, at, want)
		}
	}
	for name, want := range map[domains.Name]string{"example.com": "a.conf:6", "empty.example": "a.conf:11", "xn--bcher-kva.example": "a.conf:12", "example.org": "", "mail.example.com": ""} {
		if at := s.WhereDomain(name); !in(at, want) {
			t.Errorf("%s: %q, want %q", name, at, want)
		}
		if d := s.DomainNamed(name); (d != nil) != (want != "") || d != nil && name == "example.com" && d.CatchAll != "alice" {
			t.Errorf("%s: %+v", name, d)
		}
	}
	written := s.WrittenAliases()
	for _, address := range []domains.Address{"sales@example.com", "info@example.com", "team@example.org", "*@example.org", "*@example.com"} {
		if !written[address] {
			t.Errorf("%s is not written", address)
		}
	}
	if len(written) != 5 {
		t.Errorf("%v", written)
	}
}

// TestSetDomainAnew: a domain that is here by its accounts alone gets a place of its own, in the file for domains of a folder, or in the only file.
func TestSetDomainAnew(t *testing.T) {
	dir := folder(t, "a.conf", editBase+`"Accounts": {"a@example.com": {}}}`)
	for path, want := range map[string]string{dir: "domains.conf", filepath.Join(dir, "a.conf"): "a.conf"} {
		e, err := mustLoad(t, dir).SetDomainQuota(path, "example.com", 5e6)
		if err != nil || e.File != filepath.Join(dir, want) || !strings.Contains(string(e.Text), `"quota": "5MB"`) || e.New != (want == "domains.conf") {
			t.Errorf("%s: %+v, %v", path, e, err)
		}
	}
}

// TestSetAndBack: what was set and is taken back leaves the settings as they were.
func TestSetAndBack(t *testing.T) {
	const key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	for name, do := range map[string][2]func(*Settings, string) (*Edit, error){
		"an account": {func(s *Settings, _ string) (*Edit, error) { return s.SetDisabled("bob@example.org", true) }, func(s *Settings, _ string) (*Edit, error) { return s.SetDisabled("bob@example.org", false) }},
		"a domain":   {func(s *Settings, dir string) (*Edit, error) { return s.SetDomainDisabled(dir, "example.com", true) }, func(s *Settings, dir string) (*Edit, error) { return s.SetDomainDisabled(dir, "example.com", false) }},
		"its quota":  {func(s *Settings, dir string) (*Edit, error) { return s.SetDomainQuota(dir, "example.com", 1e9) }, func(s *Settings, dir string) (*Edit, error) { return s.SetDomainQuota(dir, "example.com", 0) }},
		"its total":  {func(s *Settings, dir string) (*Edit, error) { return s.SetDomainTotal(dir, "example.com", 1e9) }, func(s *Settings, dir string) (*Edit, error) { return s.SetDomainTotal(dir, "example.com", 0) }},
		"a seal":     {func(s *Settings, _ string) (*Edit, error) { return s.SetSealed("bob@example.org", key) }, func(s *Settings, _ string) (*Edit, error) { return s.SetSealed("bob@example.org", "") }},
	} {
		dir := folder(t, town...)
		before := mustLoad(t, dir).List()
		accounts := mustLoad(t, dir).Accounts["bob@example.org"]
		for i, step := range do {
			e, err := step(mustLoad(t, dir), dir)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := os.WriteFile(e.File, e.Text, 0o600); err != nil {
				t.Fatal(err)
			}
			s := mustLoad(t, dir)
			same := slices.EqualFunc(s.List(), before, func(a, b Setting) bool { return a.Path == b.Path && a.Value == b.Value }) && reflect.DeepEqual(s.Accounts["bob@example.org"], accounts)
			if same != (i == 1) {
				t.Errorf("%s, step %d: as before %v", name, i, same)
			}
		}
	}
}

// TestMechanismsOfAccounts: each secret is one more way to log in.
func TestMechanismsOfAccounts(t *testing.T) {
	for want, a := range map[string]Account{
		"": {}, "APOP": {APOP: "sealed:x"}, "SCRAM-SHA-256": {ScramSHA256: "x"}, "CRAM-MD5": {CRAMMD5: "x"}, "SCRAM-SHA-256 CRAM-MD5 APOP": {ScramSHA256: "x", CRAMMD5: "y", APOP: "z"},
	} {
		if got := strings.Join(a.Mechanisms(), " "); got != want || a.Mechanisms() == nil {
			t.Errorf("%+v: %q, want %q", a, got, want)
		}
	}
	// A password that is stored as the keys of a mechanism serves for it as well, unless there are others.
	for password, want := range map[Secret]string{"{SCRAM-SHA-256}x": "SCRAM-SHA-256", "SCRAM-SHA-256$x": "SCRAM-SHA-256", "{CRAM-MD5}x": "CRAM-MD5", "$2b$x": "", "x{CRAM-MD5}": ""} {
		a := Account{Password: password}
		if got := strings.Join(a.Mechanisms(), " "); got != want {
			t.Errorf("%s: %q, want %q", string(password), got, want)
		}
		if a.ScramSHA256, a.CRAMMD5 = "s", "c"; a.ScramKeys() != "s" || a.CRAMKey() != "c" {
			t.Errorf("%s: its own keys are not used", string(password))
		}
	}
}
