package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

const etcAliases = `# See man 5 aliases
mailer-daemon: postmaster
postmaster: root
root: alice,
	bob@mail.test
"quoted": alice
nobody: /dev/null
robot: "|/usr/bin/robot --all, now"
list: :include:/etc/list
far: someone@elsewhere.test
lost: nosuch
after: lost
around: circle
circle: around
alice: bob
no colon here
empty:
`

const virtualMap = `# virtual(5)
town.test		anything
info@mail.test	alice
@mail.test		alice, bob@mail.test
bare			alice@mail.test
info@else.test	alice
`

func TestAliasImport(t *testing.T) {
	const base = `{"server_name": "mail.test", "data_dir": "data", "Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}],
		"Accounts": {"alice@mail.test": {}, "bob@mail.test": {}}}`
	for _, c := range []struct {
		name, text string
		want       map[string]string
		refused    []string
	}{
		{"aliases", etcAliases, map[string]string{
			"mailer-daemon": "postmaster@mail.test", "postmaster": "root@mail.test", "root": "alice@mail.test bob@mail.test", "quoted": "alice@mail.test",
		}, []string{"/dev/null is a file", "|/usr/bin/robot --all, now is a program", ":include:/etc/list is a list", "someone@elsewhere.test is not an address of this server",
			"lost@mail.test: there is no account", "after@mail.test: there is no account", "around@mail.test: it leads in a circle", "circle@mail.test: ",
			"alice@mail.test is an account", "line 16: no colon", "empty leads nowhere"}},
		{"virtual", virtualMap, map[string]string{"info": "alice@mail.test", "*": "alice@mail.test bob@mail.test", "bare": "alice@mail.test"},
			[]string{"town.test is a domain of its own", "else.test: no such domain"}},
	} {
		dir := confDir(t, base)
		file := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		dry := fails(t, "", "alias", "import", "--dry-run", "-c", dir, file)
		if s, err := conf.Load(dir); err != nil || len(s.Aliases)+len(s.Domains) > 0 {
			t.Errorf("%s: a dry run leaves %v and %v, %v", c.name, s.Aliases, s.Domains, err)
		}
		if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
			t.Errorf("%s: a dry run leaves %d files, %v", c.name, len(after), err)
		}
		said := fails(t, "", "alias", "import", "-c", dir, file)
		if !strings.HasPrefix(dry, said[:strings.LastIndex(strings.TrimSpace(said), "\n")+1]) || !strings.Contains(dry, "nothing is changed; it would be: ") {
			t.Errorf("%s: a dry run says\n%s\nand then\n%s", c.name, dry, said)
		}
		must(t, "", "check", "-c", dir)
		s, err := conf.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		all := aliasesOf(s)
		for name, want := range c.want {
			if got := strings.Join(all[name+"@mail.test"], " "); got != want {
				t.Errorf("%s: %s leads to %q, want %q", c.name, name, got, want)
			}
		}
		if len(all) != len(c.want)+1 && c.name == "aliases" { // and abuse
			t.Errorf("%s: %v", c.name, all)
		}
		for _, want := range c.refused {
			if !strings.Contains(said, want) {
				t.Errorf("%s: %q is not named in\n%s", c.name, want, said)
			}
		}
		if strings.Count(said, "not taken over: ") != len(c.refused) {
			t.Errorf("%s: said\n%s", c.name, said)
		}
	}
	dir := confDir(t, base)
	file := filepath.Join(t.TempDir(), "good")
	if err := os.WriteFile(file, []byte("root: alice\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "alias", "import", "-c", dir, file)
}

func TestUserImport(t *testing.T) {
	hash, err := passwd.Hash([]byte("pass word"))
	if err != nil {
		t.Fatal(err)
	}
	const sixth = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
	dovecot := "alice@mail.test:" + hash + ":1000:1000::/home/alice::userdb_quota_rule=*:storage=1G allow_nets=10.0.0.0/8\n" +
		"bob:{CRYPT}" + sixth + "::::::nologin\n" +
		"# carol\nclear:{PLAIN}secret::::::allow_nets=::1\nyes:$y$j9T$abc$def\nnone\nboss:" + hash + "\n"
	shadow := "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nkai:" + sixth + ":19000:0:99999:7:::\nlocked:!" + sixth + ":1:0:9:7:::\nnew:!:1:0:9:7:::\n"
	for _, c := range []struct {
		name, text string
		want       map[string]string // addresses and quotas
		refused    []string
	}{
		{"passwd-file", dovecot, map[string]string{"alice@mail.test": "1GiB", "bob@mail.test": "0"},
			[]string{"alice@mail.test: taken over without allow_nets", "its password is in clear", "line 5: yes@mail.test: ", "line 6: no name and password", "boss@mail.test: the account is there"}},
		{"shadow", shadow, map[string]string{"kai@mail.test": "0"}, []string{"locked@mail.test has no password"}},
	} {
		dir := confDir(t, strings.Replace(userConf, "// the boss", `"boss@mail.test": {},`, 1))
		file := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		said := fails(t, "", "user", "import", "-c", dir, file)
		must(t, "", "check", "-c", dir)
		s, err := conf.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		all := s.Book().Accounts
		if len(all) != len(c.want)+1 {
			t.Errorf("%s: %v", c.name, all)
		}
		for name, quota := range c.want {
			a := all[domains.Address(name)]
			if a == nil {
				t.Errorf("%s: no %s", c.name, name)
				continue
			}
			if text, _ := json.Marshal(a.Quota); strings.Trim(string(text), `"`) != quota {
				t.Errorf("%s: %s may hold %s, want %s", c.name, name, text, quota)
			}
			if a.Disabled != (name == "bob@mail.test") {
				t.Errorf("%s: %s is disabled: %v", c.name, name, a.Disabled)
			}
		}
		for _, want := range c.refused {
			if !strings.Contains(said, want) {
				t.Errorf("%s: %q is not named in\n%s", c.name, want, said)
			}
		}
		part := strings.Count(said, ": taken over without ")
		not := strings.Count(said, "not taken over: ")
		if part+not != len(c.refused) || !strings.Contains(said, fmt.Sprintf("taken over, %d not", not)) || strings.Contains(said, "secret") {
			t.Errorf("%s: said\n%s", c.name, said)
		}
	}
}
