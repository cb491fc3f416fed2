package conf

import (
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
		"users": "ann:x\n", "secret": "s3cr3t-of-service\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
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
