package conf

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// checkedElsewhere loads settings with this section, and returns what is wrong with them.
func checkedElsewhere(t *testing.T, section string) (*Settings, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a.conf": `{"server_name": "mail.test", "data_dir": "data", "postmaster": "ann@example.com", "Elsewhere": ` + section + "}",
		"users": "ann:x\n", "secret": "s3cr3t-of-service\n", "open": "ann:x\n", "of-a-group": "ann:x\n"} {
		mode, ok := map[string]os.FileMode{"open": 0o604, "of-a-group": 0o640}[name]
		if !ok {
			mode = 0o600
		}
		if err := errors.Join(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600), os.Chmod(filepath.Join(dir, name), mode)); err != nil {
			t.Fatal(err)
		}
	}
	s, problems := Verify(dir, Probes{})
	var all []string
	for _, p := range problems {
		all = append(all, p.Error())
	}
	return s, strings.Join(all, "\n")
}

const rightLDAP = `"url": "ldaps://ldap.example.com", "domains": ["example.com"], "service_dn": "cn=mail", "service_password_file": "secret", "base": "dc=x", "filter": "(uid=%n)"`

// TestElsewhere: what would not work, or would be unsafe, is said beforehand.
func TestElsewhere(t *testing.T) {
	for _, test := range []struct{ section, wrong string }{
		{`{}`, ""},
		{`{"LDAP": [{` + rightLDAP + `}]}`, ""},
		{`{"PasswdFiles": [{"file": "users", "domains": ["example.com"]}]}`, ""},
		{`{"PasswdFiles": [{"file": "users", "domains": ["example.com"]}], "Accounts": {"Bob@Example.com": {"disabled": true}, "eve@example.com": null}}`, ""},
		{`{"PasswdFiles": [{"file": "users", "domains": ["example.com"]}], "Accounts": {"bob": {}}}`, "no address for an account"},
		{`{"PasswdFiles": [{"file": "users", "domains": ["example.com"]}], "Accounts": {"bob@example.org": {}}}`, "nobody elsewhere keeps accounts of example.org"},
		{`{"PasswdFiles": [{"file": "users"}]}`, "write the domains"},
		{`{"PasswdFiles": [{"file": "nowhere", "domains": ["example.com"]}]}`, "no such file"},
		{`{"PasswdFiles": [{"file": "users", "domains": ["example .com"]}]}`, "not a domain name"},
		{`{"PasswdFiles": [{"file": "users", "domains": ["example.com"], "scheme": "{CRYPT}"}]}`, "braces"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, "ldaps:", "ldap:", 1) + `}]}`, "in the clear"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, "ldaps://ldap.example.com", "ldap://127.0.0.1", 1) + `}]}`, ""},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, "ldaps:", "ldap:", 1) + `, "start_tls": true}]}`, ""},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, "ldaps:", "ldap:", 1) + `, "cleartext": true}]}`, ""},
		{`{"LDAP": [{` + rightLDAP + `, "start_tls": true}]}`, "TLS from the first octet"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, "ldaps:", "http:", 1) + `}]}`, "none of ldap://"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, "(uid=%n)", "(uid=%n", 1) + `}]}`, "no filter"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, "(uid=%n)", "(uid=bob)", 1) + `}]}`, "the same for all users"},
		{`{"LDAP": [{` + rightLDAP + `, "user_dn": "uid=%n,dc=x"}]}`, "keep one of the two"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, `"service_password_file": "secret", `, "", 1) + `}]}`, "without a password"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, `"cn=mail"`, `"mail"`, 1) + `}]}`, "is no DN"},
		{`{"LDAP": [{` + rightLDAP + `, "ca_file": "users"}]}`, "no certificate in PEM"},
		{`{"LDAP": [{` + rightLDAP + `, "timeout": "10m"}]}`, "30s"},
		{`{"cache_time": "1h"}`, "10m"},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": ["mail"]}}`, ""},
		{`{"OpenID": {"issuer": "http://127.0.0.1:8080", "audiences": ["mail"]}}`, ""},
		{`{"OpenID": {"issuer": "http://login.example.com", "audiences": ["mail"]}}`, "not https://"},
		{`{"OpenID": {"issuer": "https://login.example.com"}}`, "audiences: missing"},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": [""]}}`, "audiences: missing"},
		{`{"OpenID": {"audiences": ["mail"]}}`, "issuer: missing"},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": ["mail"], "algorithms": ["none"]}}`, `"none" is not one of`},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": ["mail"], "algorithms": ["HS256"]}}`, `"HS256" is not one of`},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": ["mail"], "introspect": true}}`, "client_id"},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": ["mail"], "introspect": true, "client_id": "m", "client_secret_file": "secret"}}`, ""},
		{`{"PasswdFiles": [{"domains": ["example.com"]}]}`, "PasswdFiles[0].file: missing"},
		{`{"PasswdFiles": [{"file": ".", "domains": ["example.com"]}]}`, "is no file"},
		{`{"PasswdFiles": [{"file": "open", "domains": ["example.com"]}]}`, "(mode 0604); run: chmod o= "},
		{`{"PasswdFiles": [{"file": "of-a-group", "domains": ["example.com"]}]}`, ""},
		{`{"PasswdFiles": [{"file": "users", "domains": ["example.com"], "scheme": "CRYPT"}]}`, ""},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, `"domains": ["example.com"], `, "", 1) + `}]}`, "LDAP[0].domains: missing"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, `"url": "ldaps://ldap.example.com", `, "", 1) + `}]}`, "LDAP[0].url: missing"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, `"service_dn": "cn=mail", `, "", 1) + `}]}`, "LDAP[0].service_dn: missing"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, `, "filter": "(uid=%n)"`, "", 1) + `}]}`, `"filter": "(mail=%u)", or user_dn`},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, `"base": "dc=x", `, "", 1) + `}]}`, "write where the search begins"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, `"dc=x"`, `"x"`, 1) + `}]}`, "write where the search begins"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, `"base": "dc=x", "filter": "(uid=%n)"`, `"user_dn": "uid=%n,dc=x"`, 1) + `}]}`, ""},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, `"base": "dc=x", "filter": "(uid=%n)"`, `"user_dn": "uid=bob,dc=x"`, 1) + `}]}`, "LDAP[0].user_dn"},
		{`{"LDAP": [{` + strings.Replace(rightLDAP, `"filter": "(uid=%n)"`, `"user_dn": "uid=%n,dc=x"`, 1) + `}]}`, "keep one of the two"},
		{`{"LDAP": [{"url": "ldaps://ldap.example.com", "domains": ["example.com"], "base": "dc=x", "filter": "(uid=%n)"}]}`, ""},
		{`{"OpenID": {"issuer": "login.example.com", "audiences": ["mail"]}}`, "is no URL"},
		{`{"OpenID": {"issuer": "https://", "audiences": ["mail"]}}`, "is no URL"},
		{`{"OpenID": {"issuer": "https://x@login.example.com", "audiences": ["mail"]}}`, "is no URL"},
		{`{"OpenID": {"issuer": "https://login.example.com?x", "audiences": ["mail"]}}`, "is no URL"},
		{`{"OpenID": {"issuer": "https://login.example.com#x", "audiences": ["mail"]}}`, "is no URL"},
		{`{"OpenID": {"issuer": "ftp://localhost", "audiences": ["mail"]}}`, "is not https://"},
		{`{"OpenID": {"introspect": true}}`, "issuer: missing"},
		{`{"OpenID": {"client_id": "m"}}`, "issuer: missing"},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": ["mail"], "audience_claims": []}}`, "audience_claims: there is none"},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": ["mail"], "audience_claims": ["aud", ""]}}`, "audience_claims: there is none"},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": ["mail"], "user_claim": ""}}`, "user_claim: it is empty"},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": ["mail"], "algorithms": []}}`, "algorithms: there is none"},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": ["mail"], "algorithms": [], "introspect": true, "client_id": "m", "client_secret_file": "secret"}}`, ""},
		{`{"OpenID": {"issuer": "https://login.example.com", "audiences": ["mail"], "introspect": true, "client_secret_file": "secret"}}`, "client_id: missing"},
		{`{"Certificates": {"crl_file": "nowhere", "ca_file": "users"}}`, "no such file"},
		{`{"Certificates": {"ca_file": "users"}}`, "no certificate in PEM"},
		{`{"Certificates": {"crl_file": "users"}}`, "write ca_file"},
		{`{"Certificates": {"name": "serial"}}`, `"serial"`},
	} {
		s, problems := checkedElsewhere(t, test.section)
		if !strings.Contains(test.section, "example.com\"]") { // nobody is postmaster then
			problems = strings.Join(slices.DeleteFunc(strings.Split(problems, "\n"), func(l string) bool { return strings.Contains(l, "postmaster") }), "\n")
		}
		if test.wrong == "" && strings.Contains(problems, "Elsewhere") || !strings.Contains(problems, test.wrong) {
			t.Errorf("%s: %q, not %q", test.section, problems, test.wrong)
		}
		if strings.Contains(problems, "s3cr3t") {
			t.Errorf("%s: a secret in %s", test.section, problems)
		}
		if s != nil && s.Elsewhere.HasAccounts() && s.Elsewhere.Knows("example.com") && !s.Book().IsLocal(domains.Name("example.com")) {
			t.Errorf("%s: its domain is not local", test.section)
		}
	}
}

// TestPasswdFileScheme: passwords of a file without a scheme of its own are those that crypt knows, as Dovecot takes them.
func TestPasswdFileScheme(t *testing.T) {
	s, problems := checkedElsewhere(t, `{"PasswdFiles": [{"file": "users", "domains": ["example.com"]}, {"file": "users", "domains": ["example.org"], "scheme": "SSHA"}]}`)
	if s == nil || s.Elsewhere.PasswdFiles[0].Scheme != "CRYPT" || s.Elsewhere.PasswdFiles[1].Scheme != "SSHA" {
		t.Errorf("%+v, %s", s, problems)
	}
}

// TestElsewhereSecrets: what is shown of the settings holds none of them, and a file with one must be closed.
func TestElsewhereSecrets(t *testing.T) {
	s, problems := checkedElsewhere(t, `{"LDAP": [{`+strings.Replace(rightLDAP, `"service_password_file": "secret"`, `"service_password": "in-the-open"`, 1)+`}]}`)
	if problems != "" || string(s.Elsewhere.LDAP[0].ServicePassword) != "in-the-open" {
		t.Fatal(problems)
	}
	if len(s.HoldSecrets()) != 1 {
		t.Errorf("files with secrets: %v", s.HoldSecrets())
	}
	_, problems = checkedElsewhere(t, `{"LDAP": [{"service_password": "in-the-open" "x"}]}`)
	if problems == "" || strings.Contains(problems, "in-the-open") {
		t.Errorf("an error shows it: %s", problems)
	}
}

// TestElsewhereKnows: whose accounts may stand elsewhere is asked of a file as of a directory, by domains in their one form.
func TestElsewhereKnows(t *testing.T) {
	var none Elsewhere
	file, directory := Elsewhere{PasswdFiles: []PasswdFile{{}, {Domains: []string{"a.example", "B.example"}}}}, Elsewhere{LDAP: []LDAP{{Domains: []string{"c.example"}}}}
	for _, tt := range []struct {
		e       *Elsewhere
		domains string
		has     bool
	}{{&none, "", false}, {&file, "a.example b.example", true}, {&directory, "c.example", true}} {
		known := ""
		for _, d := range []string{"a.example", "b.example", "c.example", "x.a.example", "example"} {
			if tt.e.Knows(domains.Name(d)) {
				known += " " + d
			}
		}
		if strings.TrimSpace(known) != tt.domains || tt.e.HasAccounts() != tt.has {
			t.Errorf("%+v: %s, %v", tt.e, known, tt.e.HasAccounts())
		}
	}
}

// TestAccountAddress: what somebody else says is an address, is one in the form in which accounts are compared, or nobody's.
func TestAccountAddress(t *testing.T) {
	for text, want := range map[string]domains.Address{"Ann@Example.COM": "ann@example.com", "a+b@example.com": "a+b@example.com", "ann": "", "": "", "@example.com": "", "ann@": "", "a b@example.com": "", "a@b@example.com": "", "*@example.com": "", "a/../b@example.com": ""} {
		if got, err := AccountAddress(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// TestBlockElsewhere: an account that others keep is blocked and let in again where such accounts stand, however its address is written there; comments stay.
func TestBlockElsewhere(t *testing.T) {
	places := `"PasswdFiles": [{"file": "users", "domains": ["example.net"]}]`
	for _, accounts := range []string{``, `"Accounts": {"eve@example.net": {"disabled": true}, /* left */},`, `"Accounts": {"Bob@Example.net": {"disabled": false}},`} {
		dir := t.TempDir()
		text := `{"server_name": "mail.test", "data_dir": "data", "postmaster": "ann@example.com", "Accounts": {"ann@example.com": ""}, // who
			"Elsewhere": {` + places + ", " + accounts + "\n// that is all\n}}"
		for name, text := range map[string]string{"a.conf": text, "users": "bob:x\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, block := range []bool{true, false, true} {
			s := mustLoad(t, dir)
			e, err := s.SetDisabled("bob@example.net", block)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(e.File, e.Text, 0o600); err != nil {
				t.Fatal(err)
			}
			s = mustLoad(t, dir)
			if blocked := s.Elsewhere.Blocked(); blocked["bob@example.net"] != block || blocked["eve@example.net"] != strings.Contains(accounts, "eve") {
				t.Errorf("%s, %v: %v in\n%s", accounts, block, blocked, e.Text)
			}
			if (s.WhereBlocked("bob@example.net") != "") != block || !strings.Contains(string(e.Text), "// that is all") || strings.Contains(accounts, "left") && !strings.Contains(string(e.Text), "/* left */") {
				t.Errorf("%s, %v: %q in\n%s", accounts, block, s.WhereBlocked("bob@example.net"), e.Text)
			}
		}
		twice := strings.Replace(text, `"ann@example.com": ""`, `"bob@example.net": "", "ann@example.com": ""`, 1)
		if strings.Contains(accounts, "Bob") {
			if err := os.WriteFile(filepath.Join(dir, "a.conf"), []byte(twice), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, problems := Verify(dir, Probes{}); !slices.ContainsFunc(problems, func(p error) bool { return strings.Contains(p.Error(), "is an account of the settings") }) {
				t.Error("an account of the settings:", problems)
			}
			continue
		}
		if _, err := mustLoad(t, dir).SetDisabled("zoe@example.com", true); err == nil {
			t.Error("nobody is blocked")
		}
		if _, err := mustLoad(t, dir).SetDisabled("a b@example.net", true); err == nil {
			t.Error("what is no address is blocked")
		}
	}
}
