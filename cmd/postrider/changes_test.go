package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// fails is a command line that has to fail, and returns what it said.
func fails(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	code, out, said := command(t, stdin, args...)
	if code != exitError {
		t.Errorf("postrider %s: exit %d\n%s%s", strings.Join(args, " "), code, out, said)
	}
	return said
}

// in reads JSON that a command prints.
func in[T any](t *testing.T, args ...string) (v T) {
	t.Helper()
	out, _ := must(t, "", args...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("postrider %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return v
}

// deliver puts a message into a mailbox of a configuration.
func deliver(t *testing.T, dir, to, text string) {
	t.Helper()
	s, err := maildir.Open(filepath.Join(dir, "data", "mail"), maildir.WithMode(maildir.Share))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := s.Create(t.Context(), mailstore.Meta{}, to)
	if err == nil {
		_, err = io.WriteString(d, text)
	}
	if err == nil {
		err = d.Commit(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const townConf = `{
    "server_name": "mail.test",
    "data_dir": "data",
    "Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}],
    "postmaster": "alice@town.test",
    "Domains": {
        "town.test": { # ours
            "Accounts": {
                "alice": {}, // the boss
                "bob": {"addresses": ["*@town.test", "alice@town.test"]},
            },
            "Aliases": {"sales": ["alice", "bob"], "all": "sales"},
            "catch_all": "alice",
            "quota": "2MB",
        },
    },
    "Accounts": {"carol@village.test": {"quota": "1GB"}},
    "Aliases": {"alice@village.test": "alice@town.test", "*@village.test": ["carol@village.test", "Alice@Town.test"]},
}
`

// An account stands in several files, as they are merged: it goes from all.
func TestRemoveFromEveryFile(t *testing.T) {
	dir := confDir(t, userConf)
	must(t, "pass word", "user", "add", "-c", dir, "--stdin", "mover")
	for name, text := range map[string]string{
		"zz.conf": `{"Accounts": {"Mover@mail.test": {"deletion": "move"}, "other@mail.test": {}}}`,
		"yy.conf": `{"Domains": {"Mail.test": {"Accounts": {"mover": {"quota": "1GB"}}}}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, said := must(t, "", "user", "remove", "-c", dir, "mover@mail.test")
	for _, name := range []string{"mail.conf", "yy.conf", "zz.conf"} {
		if !strings.Contains(said, filepath.Join(dir, name)) {
			t.Errorf("%s is not named in %s", name, said)
		}
		if text, _ := os.ReadFile(filepath.Join(dir, name)); strings.Contains(strings.ToLower(string(text)), "mover") {
			t.Errorf("%s still has it:\n%s", name, text)
		}
	}
	fails(t, "pass word", "user", "test", "-c", dir, "--stdin", "mover@mail.test")
	must(t, "", "user", "test", "--help")
	if s, err := conf.Load(dir); err != nil || s.Book().Accounts["other@mail.test"] == nil {
		t.Errorf("the other one: %v", err)
	}
}

// A change that would leave what no server would start with says so, fails, and changes nothing.
func TestBrokenChange(t *testing.T) {
	dir := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}],
		"Accounts": {"a@mail.test": {}, "b@mail.test": {}}, "Aliases": {"x@mail.test": "b@mail.test"}}`)
	said := fails(t, "", "user", "remove", "-c", dir, "--json", "b@mail.test")
	if !strings.Contains(said, "the configuration is wrong") || !strings.Contains(said, "no account and no alias b@mail.test") {
		t.Errorf("said %s", said)
	}
	if s, err := conf.Load(dir); err != nil || s.Book().Accounts["b@mail.test"] == nil {
		t.Errorf("the account is gone: %v", err)
	}
	rewrite(t, filepath.Join(dir, "mail.conf"), `"x@mail.test": "b@`, `"x@mail.test": "nobody@`)
	_, out, _ := command(t, "", "user", "remove", "-c", dir, "--json", "a@mail.test")
	var o outcome
	if err := json.Unmarshal([]byte(out), &o); err != nil || o.Address != "a@mail.test" || len(o.Files) != 1 {
		t.Errorf("%v: %s", err, out) // what was wrong before is not its doing
	}
}

// The mail of a removed account is kept, shown, given back or deleted, as one says,
// and never inherited unseen.
func TestMailOfRemovedAccounts(t *testing.T) {
	dir := confDir(t, userConf)
	add := func(more ...string) []string {
		return append([]string{"user", "add", "-c", dir, "--stdin", "dave"}, more...)
	}
	must(t, "pass word", add()...)
	deliver(t, dir, "dave@mail.test", "old\r\n")
	_, said := must(t, "", "user", "remove", "-c", dir, "dave")
	if !strings.Contains(said, "1 message of it stay in the store") {
		t.Errorf("remove said %s", said)
	}
	if out, _ := must(t, "", "store", "stat", "-c", dir); !strings.Contains(out, "dave@mail.test (no account)") {
		t.Errorf("stat shows %s", out)
	}
	if said := fails(t, "pass word", add()...); !strings.Contains(said, "a mailbox of that name with 1 message") {
		t.Errorf("add said %s", said)
	}
	must(t, "pass word", add("--keep")...)
	if v := in[[]userView](t, "user", "list", "-c", dir, "--json"); len(v) != 1 || v[0].Messages != 1 || v[0].Octets != 5 {
		t.Errorf("kept: %+v", v)
	}
	must(t, "", "user", "remove", "-c", dir, "dave")
	must(t, "pass word", add("--fresh")...)
	if v := in[[]userView](t, "user", "list", "-c", dir, "--json"); len(v) != 1 || v[0].Messages != 0 {
		t.Errorf("fresh: %+v", v)
	}
	deliver(t, dir, "dave@mail.test", "new\r\n")
	must(t, "", "user", "remove", "-c", dir, "--mail", "dave")
	must(t, "pass word", add()...)
	deliver(t, dir, "gone@mail.test", "x\r\n")
	if _, said := must(t, "", "user", "remove", "-c", dir, "--mail", "gone"); !strings.Contains(said, "is deleted") {
		t.Errorf("remove --mail of no account said %s", said)
	}
	if has, err := os.ReadDir(filepath.Join(dir, "data", "mail", "mail.test")); err != nil || len(has) != 0 {
		t.Errorf("left are %v, %v", has, err)
	}
}

// Who is called otherwise keeps mail, secrets, aliases and rights.
func TestUserRename(t *testing.T) {
	dir := confDir(t, townConf)
	must(t, "pass word", "user", "passwd", "-c", dir, "--apop", "--stdin", "alice@town.test")
	deliver(t, dir, "alice@town.test", "hello\r\n")
	must(t, "", "user", "rename", "-c", dir, "alice@town.test", "al@town.test")
	check := func(al string) {
		t.Helper()
		must(t, "", "check", "-c", dir)
		must(t, "pass word", "user", "test", "-c", dir, "--stdin", al)
		s, err := conf.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		aliases := aliasesOf(s)
		for _, from := range []string{"sales@town.test", "*@town.test", "alice@village.test", "*@village.test", "postmaster@town.test"} {
			if !slices.Contains(aliases[from], al) {
				t.Errorf("%s leads to %q", from, aliases[from])
			}
		}
		if a := s.Book().Accounts["bob@town.test"].Addresses; !slices.Equal(a, []string{"*@town.test", al}) {
			t.Errorf("bob may send as %q", a)
		}
		key, err := seal.LoadKey(s.SecretKeyFile)
		if err != nil {
			t.Fatal(err)
		}
		at := domains.Address(al)
		if plain, err := key.OpenText(string(s.Book().Accounts[at].APOP), []byte("apop:"+at)); err != nil || string(plain) != "pass word" {
			t.Errorf("APOP: %q, %v", plain, err)
		}
		if mailOf(t.Context(), s, at) != 1 || mailOf(t.Context(), s, "alice@town.test") != 0 {
			t.Error("the mail did not go along")
		}
	}
	check("al@town.test")
	if text, _ := os.ReadFile(filepath.Join(dir, "mail.conf")); !strings.Contains(string(text), "// the boss") || !strings.Contains(string(text), "{ # ours") {
		t.Errorf("comments are gone from\n%s", text)
	}
	must(t, "", "user", "rename", "-c", dir, "al@town.test", "al@village.test") // to a domain that has its accounts elsewhere
	check("al@village.test")
	// What an interruption left is moved later.
	deliver(t, dir, "al@town.test", "late\r\n")
	if _, said := must(t, "", "user", "rename", "-c", dir, "al@town.test", "al@village.test"); !strings.Contains(said, "1 message left") {
		t.Errorf("again: %s", said)
	}
	deliver(t, dir, "old@town.test", "x\r\n")
	for _, c := range [][]string{
		{"al@village.test", "bob@town.test", "there already"},
		{"al@village.test", "sales@town.test", "alias already"},
		{"al@village.test", "al@nowhere.test", "no such domain"},
		{"al@village.test", "old@town.test", "a mailbox of that name with 1 message"},
		{"nobody@town.test", "x@town.test", "no such account"},
	} {
		if said := fails(t, "", "user", "rename", "-c", dir, c[0], c[1]); !strings.Contains(said, c[2]) {
			t.Errorf("%q: %s", c, said)
		}
	}
}

// A domain takes everything in it along.
func TestDomainCommands(t *testing.T) {
	dir := confDir(t, townConf)
	must(t, "pass word", "user", "passwd", "-c", dir, "--apop", "--stdin", "alice@town.test")
	for _, to := range []string{"alice@town.test", "removed@town.test", "carol@village.test"} {
		deliver(t, dir, to, "x\r\n")
	}
	must(t, "", "domain", "rename", "-c", dir, "town.test", "city.test")
	must(t, "", "domain", "rename", "-c", dir, "village.test", "hamlet.test")
	must(t, "", "check", "-c", dir)
	must(t, "pass word", "user", "test", "-c", dir, "--stdin", "alice@city.test")
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []domains.Address{"alice@city.test", "removed@city.test", "carol@hamlet.test"} {
		if mailOf(t.Context(), s, to) != 1 {
			t.Errorf("%s has no mail", to)
		}
	}
	aliases := aliasesOf(s)
	if got := fmt.Sprint(aliases["*@hamlet.test"], aliases["all@city.test"], aliases["*@city.test"], s.Postmaster); got != "[carol@hamlet.test alice@city.test] [sales@city.test] [alice@city.test]alice@city.test" {
		t.Errorf("aliases lead to %s", got)
	}
	if v := in[[]domainView](t, "domain", "list", "-c", dir, "--json"); len(v) != 3 || v[0].Domain != "city.test" || v[0].Accounts != 2 || v[0].Quota != "2MB" && v[0].Quota != "2000000" {
		t.Errorf("list: %+v", v)
	}
	if list, _ := must(t, "", "user", "list", "-c", dir); !strings.Contains(list, "2MB") && !strings.Contains(list, "2000000") {
		t.Errorf("the quota in force is not in\n%s", list)
	}
	must(t, "", "domain", "add", "-c", dir, "new.test")
	if said := fails(t, "", "domain", "add", "-c", dir, "New.test"); !strings.Contains(said, "there already") {
		t.Error(said)
	}
	must(t, "", "domain", "remove", "-c", dir, "new.test")
	for name, want := range map[string]string{"city.test": "there is still", "mail.test": "the name of this server", "none.test": "no such domain"} {
		if said := fails(t, "", "domain", "remove", "-c", dir, name); !strings.Contains(said, want) {
			t.Errorf("%s: %s", name, said)
		}
	}
	must(t, "", "check", "-c", dir)
}

func TestAliasCommands(t *testing.T) {
	dir := confDir(t, townConf)
	leads := func(want string) {
		t.Helper()
		must(t, "", "check", "-c", dir)
		for _, v := range in[[]aliasView](t, "alias", "list", "-c", dir, "--json") {
			if v.Address == "info@town.test" {
				if got := strings.Join(v.Targets, " "); got != want || v.Default {
					t.Errorf("leads to %q, want %q", got, want)
				}
				return
			}
		}
		if want != "" {
			t.Error("no such alias")
		}
	}
	must(t, "", "alias", "add", "-c", dir, "info@town.test", "alice")
	leads("alice@town.test")
	must(t, "", "alias", "add", "-c", dir, "info@town.test", "carol@village.test", "Alice@town.test")
	leads("alice@town.test carol@village.test")
	must(t, "", "alias", "remove", "-c", dir, "info@town.test", "alice@town.test")
	leads("carol@village.test")
	must(t, "", "alias", "remove", "-c", dir, "info@town.test")
	leads("")
	for _, c := range [][]string{
		{"add", "alice@town.test", "bob@town.test", "is an account"},
		{"add", "x@else.test", "bob@town.test", "no such domain"},
		{"remove", "slaes@town.test", "did you mean sales@town.test?"},
		{"remove", "sales@town.test", "carol@village.test", "does not lead to"},
	} {
		words := append([]string{"alias", c[0], "-c", dir}, c[1:len(c)-1]...)
		if said := fails(t, "", words...); !strings.Contains(said, c[len(c)-1]) {
			t.Errorf("%q: %s", c, said)
		}
	}
	if said := fails(t, "", "alias", "add", "-c", dir, "y@mail.test", "nosuch@mail.test"); !strings.Contains(said, "the configuration is wrong") {
		t.Error(said)
	}
}

// A running server is told by itself: a password that was taken away does not work
// a moment longer.
func TestServerIsTold(t *testing.T) {
	w := newWorld(t)
	_, said := must(t, "new password", "user", "add", "-c", w.dir, "--stdin", "new")
	if !strings.Contains(said, "the running server knows it") {
		t.Fatal(said)
	}
	refused := func(account, password string) bool {
		t.Helper()
		return strings.HasPrefix(w.pop(t, "USER "+account, "PASS "+password), "-ERR")
	}
	if refused("new@mail.test", "new password") {
		t.Error("the new account cannot log in")
	}
	must(t, "other password", "user", "passwd", "-c", w.dir, "--stdin", "--no-reload", "new")
	if refused("new@mail.test", "new password") {
		t.Error("the server was told in spite of --no-reload")
	}
	must(t, "", "user", "rename", "-c", w.dir, "new@mail.test", "newer@mail.test")
	if !refused("new@mail.test", "new password") || refused("newer@mail.test", "other password") {
		t.Error("the server does not know the new name")
	}
	must(t, "", "user", "remove", "-c", w.dir, "newer")
	if !refused("newer@mail.test", "other password") {
		t.Error("the password of a removed account works")
	}
	// A change that the server cannot take is an error.
	text, err := os.ReadFile(filepath.Join(w.dir, "mail.conf"))
	if err != nil {
		t.Fatal(err)
	}
	w.write("mail.conf", strings.Replace(string(text), `"data_dir": "data"`, `"data_dir": "data", "mail_dir": "elsewhere"`, 1))
	if said := fails(t, "", "alias", "add", "-c", w.dir, "x@mail.test", "alice"); !strings.Contains(said, "does not know it") {
		t.Error(said)
	}
}

// pop speaks to the port for fetching over TLS and returns the last answer.
func (w *world) pop(t *testing.T, lines ...string) (answer string) {
	t.Helper()
	c, err := tls.Dial("tcp", w.addrs["pop3s"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	for _, line := range append([]string{""}, lines...) {
		if line != "" {
			io.WriteString(c, line+"\r\n")
		}
		if answer, err = answers.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	return answer
}

// conf diff tells what a reload would change, a password too, without showing it.
func TestConfDiff(t *testing.T) {
	w := newWorld(t)
	if out, _ := must(t, "", "conf", "diff", "-c", w.dir); !strings.Contains(out, "goes by what is in the files") {
		t.Errorf("no difference: %s", out)
	}
	must(t, "other password", "user", "passwd", "-c", w.dir, "--stdin", "--no-reload", "bob")
	must(t, "", "alias", "add", "-c", w.dir, "--no-reload", "new@mail.test", "bob")
	code, out, said := command(t, "", "conf", "diff", "-c", w.dir)
	if code != exitError || said != "" || !strings.Contains(out, `Aliases."new@mail.test": running nothing, in the files ["bob@mail.test"]`) ||
		!strings.Contains(out, `Accounts."bob@mail.test".password: running "********"`) || strings.Contains(out, "argon2id") {
		t.Errorf("exit %d, %s%s", code, said, out)
	}
	must(t, "", "reload", "-c", w.dir)
	if differ := in[[]conf.Difference](t, "conf", "diff", "-c", w.dir, "--json"); len(differ) != 0 {
		t.Errorf("after reload: %+v", differ)
	}
}

// conf show --changed is a configuration of its own: nothing is cut in two.
func TestConfShowChanged(t *testing.T) {
	dir := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "SMTP": {"max_hops": 50}, "TLS": {"ACME": {"accept_terms": true}},
		"Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}], "Aliases": {"*@mail.test": "a@mail.test"}, "Accounts": {"a@mail.test": {"quota": "1GB"}}}`)
	out, _ := must(t, "", "conf", "show", "-c", dir, "--changed")
	for _, gone := range []string{"default", "POP3", "tarpit", "min_version"} {
		if strings.Contains(out, gone) {
			t.Errorf("%s is still in\n%s", gone, out)
		}
	}
	again := confDir(t, out)
	for _, want := range []string{`"max_hops": 50`, `"accept_terms": true`, `"127.0.0.1:0"`, `"quota": `, `"*@mail.test": `} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if second, _ := must(t, "", "conf", "show", "-c", again, "--changed"); strings.Count(second, "\n") != strings.Count(out, "\n") {
		t.Errorf("read again, it is\n%s", second)
	}
}

// What users delete into the trash is listed and can be brought back.
func TestTrash(t *testing.T) {
	w := newWorld(t, `"apop": true}`, `"apop": true, "deletion": "trash", "login_delay": "0s"}`)
	for _, text := range []string{"Subject: one\r\n\r\n1\r\n", "Subject: two\r\n\r\n2\r\n"} {
		w.deliver(text, "bob@mail.test")
	}
	if got := w.fetchAll("bob@mail.test"); len(got) != 2 {
		t.Fatalf("bob got %q", got)
	}
	if out, _ := must(t, "", "store", "stat", "-c", w.dir); !strings.Contains(out, "bob@mail.test (2 in the trash)") {
		t.Errorf("stat shows %s", out)
	}
	list := in[[]trashView](t, "store", "trash", "-c", w.dir, "--json", "bob@mail.test")
	if len(list) != 2 || list[0].Since.IsZero() {
		t.Fatalf("the trash holds %+v", list)
	}
	if said := fails(t, "", "store", "undelete", "-c", w.dir, "bob@mail.test", "nosuch"); !strings.Contains(said, "nosuch is not in the trash") {
		t.Error(said)
	}
	must(t, "", "store", "undelete", "-c", w.dir, "bob@mail.test", list[0].UID)
	if got := w.fetchAll("bob@mail.test"); len(got) != 1 {
		t.Errorf("bob got %q", got)
	}
	if out, _ := must(t, "", "store", "undelete", "-c", w.dir, "bob@mail.test"); out != "2 messages brought back\n" {
		t.Errorf("undelete said %s", out)
	}
	if got := w.fetchAll("bob@mail.test"); len(got) != 2 {
		t.Errorf("bob got %q", got)
	}
}

// What root does to the store belongs to the one the store belongs to.
func TestStoreOfAnother(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	const other = 4711
	dir := confDir(t, townConf)
	deliver(t, dir, "alice@town.test", "x\r\n")
	for up := dir; up != filepath.Dir(os.TempDir()) && up != "/"; up = filepath.Dir(up) { // the other can get there
		if info, err := os.Stat(up); err == nil && info.Mode().Perm()&0o001 == 0 {
			if err := os.Chmod(up, 0o711); err != nil {
				t.Fatal(err)
			}
		}
	}
	mail := filepath.Join(dir, "data", "mail")
	err := filepath.WalkDir(filepath.Dir(mail), func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, other, other))
	})
	if err != nil {
		t.Fatal(err)
	}
	must(t, "", "user", "rename", "-c", dir, "alice@town.test", "alice@mail.test")
	for _, path := range []string{"mail.test", "mail.test/alice", "mail.test/alice/new"} {
		info, err := os.Stat(filepath.Join(mail, path))
		if err != nil || ownerOf(info) != other {
			t.Errorf("%s: %v, %+v", path, err, info)
		}
	}
	if os.Geteuid() != 0 {
		t.Error("it did not become root again")
	}
}
