package main

import (
	"fmt"
	"strings"
	"testing"
)

const stalwartPrincipals = `{"data": {"items": [
	{"id": 1, "type": "individual", "name": "alice", "secrets": ["$app$phone$$6$x", "` + dumpedHash + `"], "emails": ["alice@old.test", "a.smith@old.test", "@old.test"], "quota": 1073741824, "roles": ["user"]},
	{"id": 2, "type": "individual", "name": "bob", "secrets": "` + dumpedHash + `", "emails": "bob@old.test"},
	{"id": 3, "type": "individual", "name": "clear", "secrets": ["a word"], "emails": ["clear@old.test"]},
	{"id": 4, "type": "individual", "name": "none"},
	{"id": 5, "type": "list", "name": "sales", "emails": ["sales@old.test"], "members": ["alice", "bob", "far@elsewhere.test"]},
	{"id": 6, "type": "group", "name": "empty", "emails": ["empty@old.test"], "members": ["nobody"]},
	{"id": 7, "type": "domain", "name": "old.test"}, {"id": 8, "type": "apiKey", "name": "key", "secrets": ["x"]}
], "total": 8}}`

func TestStalwartImport(t *testing.T) {
	items := stalwartPrincipals[strings.Index(stalwartPrincipals, "[") : strings.LastIndex(stalwartPrincipals, "]")+1]
	for _, text := range []string{stalwartPrincipals, `{"items": ` + items + `}`, items} {
		users, bad := readAccounts(strings.NewReader(text), &takeoverFlags{format: "stalwart"}, "old.test")
		got := ""
		for _, u := range users {
			got += fmt.Sprint(u.Address, " ", u.Quota, " ", u.Password == dumpedHash, "\n")
		}
		if got != "alice@old.test 1GiB true\nbob@old.test  true\n" {
			t.Errorf("accounts:\n%s", got)
		}
		named(t, "accounts", bad, []string{"alice@old.test: taken over without its second factor, app passwords", "clear@old.test: its password is in clear", "none has no address"})
		aliases, bad := readAliases(strings.NewReader(text), &takeoverFlags{format: "stalwart"}, "old.test")
		got = ""
		for _, a := range aliases {
			got += fmt.Sprintln(a.Address, a.Targets)
		}
		if got != "a.smith@old.test [alice@old.test]\n*@old.test [alice@old.test]\nsales@old.test [alice@old.test bob@old.test far@elsewhere.test]\n" {
			t.Errorf("aliases:\n%s", got)
		}
		named(t, "aliases", bad, []string{"empty: its member nobody has no address", "empty leads nowhere"})
	}
	for _, text := range []string{"", "x", items + "x", items + `{"error": "notFound"}`, "5", `{"data": 5}`, `{"error": "notFound"}`, `{"data": {"data": {}}}`} {
		if users, bad := readAccounts(strings.NewReader(text), &takeoverFlags{format: "stalwart"}, "old.test"); len(users) > 0 || len(bad) != 1 {
			t.Errorf("%q: %v, %v", text, users, bad)
		}
	}
}

// TestStalwartPages: all pages of an answer are read where they stand in one file, and of several secrets the first that is a hash.
func TestStalwartPages(t *testing.T) {
	text := `{"data": {"items": [{"type": "individual", "name": "a", "secrets": ["a word", "` + dumpedHash + `"], "emails": ["a@old.test"]}], "total": 2}}
{"data": {"items": [], "total": 2}}
[{"type": "individual", "name": "b", "secrets": ["` + dumpedHash + `"], "emails": ["b@old.test"]}]`
	users, bad := readAccounts(strings.NewReader(text), &takeoverFlags{format: "stalwart"}, "old.test")
	if len(users) != 2 || users[0].Password != dumpedHash || users[1].Address != "b@old.test" {
		t.Errorf("%+v", users)
	}
	named(t, "accounts", bad, []string{"a@old.test: taken over without its second factor, app passwords, or further passwords"})
	if users, bad := readAccounts(strings.NewReader("[]"), &takeoverFlags{format: "stalwart"}, "old.test"); len(users)+len(bad) > 0 {
		t.Errorf("of nobody: %v, %v", users, bad)
	}
}
