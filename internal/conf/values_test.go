package conf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestQuotas: an account's limit goes before its domain's, and that before the store's.
func TestQuotas(t *testing.T) {
	s := mustLoad(t, folder(t, "a.conf", `{"server_name": "mail.example.com", "Store": {"quota": "1MB"}, "Domains": {
		"Example.com": {"quota": "2MB", "total_quota": "9MB", "Accounts": {"own": {"quota": "3MB"}, "free": {"quota": "none"}, "plain": {}}}, "bücher.example": {"Accounts": {"eve": {}}}}}`))
	book := s.Book()
	for address, want := range map[domains.Address]Quota{
		"own@example.com": 3e6, "free@example.com": Unlimited, "plain@example.com": 2e6, "eve@xn--bcher-kva.example": 1e6, "gone@example.com": 2e6, "gone@far.example": 1e6,
	} {
		if got := s.QuotaOf(address.Domain(), book.Accounts[address]); got != want {
			t.Errorf("%s may hold %v, want %v", address, got, want)
		}
	}
	if s.TotalQuotaOf("example.com") != 9e6 || s.TotalQuotaOf("xn--bcher-kva.example") != Unlimited || s.TotalQuotaOf("far.example") != Unlimited {
		t.Error("the limits of whole domains")
	}
	s.Store.Quota = 0
	if got := s.QuotaOf("far.example", nil); got != Unlimited {
		t.Errorf("without any limit: %v", got)
	}
}

// TestDiff: two configurations differ in what is written in them, secrets too, and in
// none is a secret shown.
func TestDiff(t *testing.T) {
	load := func(more string) map[string]string {
		return mustLoad(t, folder(t, "a.conf", `{"server_name": "mail.example.com", "Accounts": {"a@b.example": {`+more+`}}}`)).Values()
	}
	one := load(`"password": "$2y$04$secretsecretsecretsec", "quota": "1MB"`)
	if got := Diff(one, load(`"password": "$2y$04$secretsecretsecretsec", "quota": "1000KB"`)); len(got) != 0 {
		t.Errorf("the same in other words differs: %v", got)
	}
	got := Diff(one, load(`"password": "$2y$04$othersothersothersot", "disabled": true`))
	var paths []string
	for _, d := range got {
		paths = append(paths, d.Path[strings.LastIndexByte(d.Path, '.')+1:])
		if strings.Contains(d.Running+d.Files, "$2y$") || d.Running == d.Files {
			t.Errorf("%+v", d)
		}
	}
	if !slices.Equal(paths, []string{"disabled", "password", "quota"}) {
		t.Errorf("they differ in %q", paths)
	}
	if got := Diff(one, nil); len(got) != len(one) || got[0].Files != "" {
		t.Errorf("beside nothing %d of %d settings differ", len(got), len(one))
	}
}

// TestShowChanged: what somebody has set is shown, and no more.
func TestShowChanged(t *testing.T) {
	s := mustLoad(t, folder(t, "a.conf", `{"server_name": "mail.example.com", "SMTP": {"max_recipients": 7}, "Accounts": {"a@b.example": {"password": "$2y$04$secretsecretsecretsec"}}}`))
	var b strings.Builder
	if err := s.ShowChanged(&b); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`"max_recipients": 7, // `: true, `"server_name": "mail.example.com", // `: true, "a@b.example": true, "max_errors": false, "POP3": false, "// default": false, "$2y$": false,
	} {
		if strings.Contains(b.String(), text) != want {
			t.Errorf("%s is shown: %v in\n%s", text, !want, &b)
		}
	}
}

// TestRoutePasswords: one in clear is told of until it is sealed, in the file that the
// route stands in; where there is none to seal, that is said.
func TestRoutePasswords(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := folder(t, "a.conf", `{"server_name": "mail.example.com"}`, "b.conf", fmt.Sprintf(`{"Queue": {"Routes": [
	{"domain": "*", "host": "relay.example", "user": "me", "password": "correct horse"}, // by the provider
	{"name": "it's", "host": "relay.example"},
	{"name": "file", "host": "relay.example", "user": "me", "password_file": %q},
]}}`, secret))
	s := mustLoad(t, dir)
	if got := fmt.Sprint(s.InClear()); len(s.InClear()) != 1 || !strings.Contains(got, "postrider conf seal '*'") || strings.Contains(got, "horse") || strings.Contains(got, "hunter2") {
		t.Errorf("in clear: %v", got)
	}
	for which, want := range map[string]string{"it's": "has no user", "file": "comes from the", "none": `there are "*"`} {
		if _, err := s.SetRoutePassword(which, "sealed:x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", which, err, want)
		}
	}
	if _, err := s.SetRoutePassword("none", "sealed:x"); !errors.Is(err, ErrNoRoute) {
		t.Errorf("no such route: %v", err)
	}
	e, err := s.SetRoutePassword("*", "sealed:x")
	if err != nil || e.New || filepath.Base(e.File) != "b.conf" || !strings.Contains(string(e.Text), "// by the provider") {
		t.Fatalf("%v, %v", e, err)
	}
	if err := os.WriteFile(e.File, e.Text, 0o600); err != nil {
		t.Fatal(err)
	}
	if s = mustLoad(t, dir); s.Queue.Routes[0].Password != "sealed:x" || len(s.InClear()) != 0 {
		t.Errorf("then %v, in clear %v", s.Queue.Routes[0].Password, s.InClear())
	}
}

// TestQueueNames: a key of Queue.Domains names several domains, each in one form.
func TestQueueNames(t *testing.T) {
	for key, want := range map[string]string{
		"example.com": "example.com", "*": "*", "*.Example.com": ".example.com", ".bücher.example, Far.Example.": ".xn--bcher-kva.example far.example", "": "",
	} {
		if got := strings.Join(QueueNames(key), " "); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

// TestKeyless: an account without keys keeps a mechanism from all, and is named; one that
// nobody logs in to does not.
func TestKeyless(t *testing.T) {
	const hash = `"password": "$2y$04$6qXnS0TCzTnHRHpTKb6uS.DOcsUNJQDkXkSwPqxZ0Nf0gGGmXmxmC"`
	for accounts, want := range map[string]string{
		`"a@b.example": {` + hash + `, "scram_sha_256": "SCRAM-SHA-256$x"}, "c@b.example": {` + hash + `}`:                                      "SCRAM-SHA-256",
		`"a@b.example": {` + hash + `, "scram_sha_256": "SCRAM-SHA-256$x"}, "c@b.example": {` + hash + `, "disabled": true}, "d@b.example": {}`: "",
		`"a@b.example": {` + hash + `}`: "",
		`"a@b.example": {` + hash + `, "cram_md5": "{CRAM-MD5}` + strings.Repeat("ab", 32) + `"}, "c@b.example": {` + hash + `}`: "CRAM-MD5",
		`"a@b.example": "{CRAM-MD5}` + strings.Repeat("ab", 32) + `", "c@b.example": {` + hash + `}`:                             "CRAM-MD5",
	} {
		s := mustLoad(t, folder(t, "a.conf", `{"server_name": "mail.example.com", "Accounts": {`+accounts+`}}`))
		notes := s.Keyless()
		if len(notes) > 1 || len(notes) == 1 != (want != "") || want != "" && (!strings.Contains(notes[0].Error(), want) || !strings.Contains(notes[0].Error(), "postrider user passwd c@b.example")) {
			t.Errorf("%s: %v", accounts, notes)
		}
	}
}

// TestValues: each setting is as it is written, and a secret is stars with what tells it from another, unless there is none.
func TestValues(t *testing.T) {
	of := func(password string) map[string]string {
		return mustLoad(t, folder(t, "a.conf", `{"server_name": "mail.example.com", "SMTP": {"tarpit": "3s"}, "Queue": {"Routes": [{"domain": "*", "host": "smtp.example.net", "user": "u"`+password+`}]}}`)).Values()
	}
	one, two, none := of(`, "password": "hunter2"`), of(`, "password": "hunter3"`), of("")
	const path = "Queue.Routes[0].password"
	if one["server_name"] != `"mail.example.com"` || one["SMTP.tarpit"] != `"3s"` || one[path] == two[path] || one[path] != of(`, "password": "hunter2"`)[path] || none[path] != `""` {
		t.Errorf("%s, %s, %s, %s, without one %s", one["server_name"], one["SMTP.tarpit"], one[path], two[path], none[path])
	}
	if strings.Contains(one[path], "hunter") {
		t.Errorf("shown: %s", one[path])
	}
}
