package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/daemon"
)

const userConf = `{
    # us
    "server_name": "mail.test",
    "data_dir": "data",
    "Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}],
    "Accounts": {
        // the boss
    },
}
`

// command runs one command line.
func command(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(args, strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

// must is command that has to succeed.
func must(t *testing.T, stdin string, args ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := command(t, stdin, args...)
	if code != exitOK {
		t.Fatalf("postrider %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout, stderr
}

func confDir(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mail.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUser(t *testing.T) {
	dir := confDir(t, userConf)
	file := filepath.Join(dir, "mail.conf")
	_, said := must(t, "pass word\n", "user", "add", "-c", dir, "--stdin", "boss")
	if !strings.Contains(said, "boss@mail.test is in "+file) {
		t.Errorf("add said %s", said)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "# us\n") || !strings.Contains(string(text), "        // the boss\n        \"boss@mail.test\": {\n") {
		t.Errorf("%v: the file is\n%s", err, text)
	}
	if strings.Contains(string(text), "pass word") {
		t.Error("the password is in the file")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	must(t, "", "check", "-c", dir)
	must(t, "pass word", "user", "test", "-c", dir, "--stdin", "boss")
	generated, _ := must(t, "", "user", "add", "-c", dir, "--generate", "Alice@Mail.test")
	if len(strings.TrimSpace(generated)) < 20 {
		t.Errorf("generated %q", generated)
	}
	must(t, generated, "user", "test", "-c", dir, "--stdin", "alice@mail.test")
	must(t, "another one\r\n", "user", "passwd", "-c", dir, "--stdin", "boss@mail.test")
	must(t, "another one\n", "user", "test", "-c", dir, "--stdin", "boss@mail.test")

	list, _ := must(t, "", "user", "list", "-c", dir)
	want := "ACCOUNT          PASSWORD  KEYS                    QUOTA  USED      MESSAGES  ALIASES                               SOURCE\n" +
		"alice@mail.test  argon2id  SCRAM-SHA-256 CRAM-MD5  none   0 octets  0         abuse@mail.test postmaster@mail.test  settings\n" +
		"boss@mail.test   argon2id  SCRAM-SHA-256 CRAM-MD5  none   0 octets  0         -                                     settings\n"
	if list != want {
		t.Errorf("list is\n%swant\n%s", list, want)
	}
	for word, want := range map[string]string{"passwd": "alice@mail.test\nboss@mail.test\n:4", "add": ":4"} {
		if out, _ := must(t, "", "__complete", "user", word, "-c", dir, ""); !strings.HasPrefix(out, want) {
			t.Errorf("user %s is completed by\n%s", word, out)
		}
	}
	must(t, "", "user", "remove", "-c", dir, "boss")
	if code, _, said := command(t, "", "user", "remove", "-c", dir, "boss"); code != exitError || !strings.Contains(said, "boss@mail.test: no such account") {
		t.Errorf("removing twice: %d %s", code, said)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("files are left over: %v", left)
	}
}

func TestUserRefuses(t *testing.T) {
	hash, err := passwd.Hash([]byte("right"))
	if err != nil {
		t.Fatal(err)
	}
	dir := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "Aliases": {"sales@mail.test": "alice@mail.test"}, "Accounts": {
		"alice@mail.test": "`+hash+`",
		"off@mail.test": {"password": "`+hash+`", "disabled": true, "quota": "1GB"},
		"none@mail.test": {},
		"mixed@mail.test": {"password": "`+hash+`", "cram_md5": "{CRAM-MD5}`+strings.Repeat("00", 32)+`"},
		"file@mail.test": {"password_file": "nowhere"},
		"damaged@mail.test": "$argon2id$x"}}`)
	before, err := os.ReadFile(filepath.Join(dir, "mail.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		want        string
	}{
		{"no such command", "", []string{"usr"}, exitUsage, ""},
		{"no address", "", []string{"user", "add"}, exitUsage, "Usage:"},
		{"two addresses", "", []string{"user", "add", "a", "b"}, exitUsage, "Usage:"},
		{"no such flag", "", []string{"user", "add", "--password", "x", "a"}, exitUsage, "unknown flag: --password"},
		{"no terminal", "x", []string{"user", "add", "new"}, exitUsage, "standard input is no terminal; give the password with --stdin"},
		{"stdin and generate", "x", []string{"user", "add", "--stdin", "--generate", "new"}, exitUsage, "either --stdin or --generate"},
		{"add twice", "x", []string{"user", "add", "--stdin", "alice"}, exitError, "alice@mail.test: the account is there already"},
		{"bad address", "x", []string{"user", "add", "--stdin", "../x@mail.test"}, exitError, "cannot stand before the @"},
		{"everybody of a domain", "x", []string{"user", "add", "--stdin", "*@mail.test"}, exitError, `or an alias "*@mail.test"`},
		{"empty password", "\n", []string{"user", "add", "--stdin", "new"}, exitError, "an empty password is no password"},
		{"long password", strings.Repeat("x", 1025), []string{"user", "add", "--stdin", "new"}, exitError, "longer than 1024 octets"},
		{"NUL in the password", "a\x00b", []string{"user", "add", "--stdin", "new"}, exitError, "a NUL"},
		{"passwd of nobody", "x", []string{"user", "passwd", "--stdin", "alcie"}, exitError, "alcie@mail.test: no such account"},
		{"passwd in a file", "x", []string{"user", "passwd", "--stdin", "file"}, exitError, "change it there"},
		{"a short password", "1234567", []string{"user", "add", "--stdin", "new"}, exitError, "fewer than 8 characters; --weak"},
		{"the address as password", "Someone@mail.test", []string{"user", "add", "--stdin", "someone"}, exitError, "the password is the user name"},
		{"the name as password", "alice@mail.test", []string{"user", "passwd", "--stdin", "alice"}, exitError, "the password is the user name"},
		{"a domain by mistake", "x", []string{"user", "add", "--stdin", "al@mial.test"}, exitError, "mail for mial.test is not kept here; --new-domain has it kept here from now on; did you mean al@mail.test?"},
		{"nobody near", "", []string{"user", "remove", "zzzzzz"}, exitError, "zzzzzz@mail.test: no such account\n"},
		{"remove nobody", "", []string{"user", "remove", "alcie"}, exitError, "did you mean alice@mail.test?"},
		{"test a wrong password", "wrong", []string{"user", "test", "--stdin", "alice"}, exitError, "this is not the password of alice@mail.test"},
		{"test nobody", "x", []string{"user", "test", "--stdin", "nobody"}, exitError, "no such account"},
		{"test a disabled account", "right", []string{"user", "test", "--stdin", "off"}, exitError, "but off@mail.test is disabled"},
		{"test without a password", "right", []string{"user", "test", "--stdin", "none"}, exitError, "nobody can log in"},
		{"test with keys of another", "right", []string{"user", "test", "--stdin", "mixed"}, exitError, "the keys for CRAM-MD5 are of another one"},
		{"test a damaged hash", "right", []string{"user", "test", "--stdin", "damaged"}, exitError, "damaged@mail.test: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args
			if len(args) > 1 {
				args = append(args[:2:2], append([]string{"-c", dir}, args[2:]...)...)
			}
			code, out, said := command(t, c.stdin, args...)
			if code != c.code || !strings.Contains(said, c.want) {
				t.Errorf("exit %d, want %d with %q:\n%s%s", code, c.code, c.want, out, said)
			}
		})
	}
	after, err := os.ReadFile(filepath.Join(dir, "mail.conf"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("%v: a refused command changed the file", err)
	}
	for _, verb := range []string{"add", "passwd", "remove", "list", "test"} {
		args := []string{"user", verb, "-c", filepath.Join(dir, "none"), "a"}
		if verb == "list" {
			args = args[:4]
		}
		if code, _, said := command(t, "", args...); code != exitError || !strings.Contains(said, "no such file") {
			t.Errorf("user %s without a configuration: %d %s", verb, code, said)
		}
	}
	if code, _, said := command(t, "", "user", "remove", "-c", dir, "alice"); code != exitError || !strings.Contains(said, "there is no account and no alias alice@mail.test") {
		t.Errorf("removing the target of an alias said %s", said)
	}
}

// An account in clear is replaced by its hash, as check says.
func TestPasswdOfClearText(t *testing.T) {
	dir := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}],
		"Accounts": {"alice@mail.test": "secret"}}`)
	code, _, said := command(t, "", "check", "-c", dir)
	if code != exitError || !strings.Contains(said, "run: postrider user passwd alice@mail.test") || strings.Contains(said, `"secret"`) {
		t.Errorf("check: %d %s", code, said)
	}
	must(t, "secret", "user", "passwd", "-c", dir, "--weak", "--stdin", "alice@mail.test")
	must(t, "", "check", "-c", dir)
	must(t, "secret", "user", "test", "-c", dir, "--stdin", "alice@mail.test")
}

// An APOP secret is sealed with the server's key and bound to its account.
func TestUserAPOP(t *testing.T) {
	dir := confDir(t, userConf)
	must(t, "old secret", "user", "add", "-c", dir, "--stdin", "--apop", "boss")
	must(t, "secret", "user", "passwd", "-c", dir, "--weak", "--stdin", "boss") // keeps APOP
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.LoadKey(s.SecretKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	sealed := string(s.Book().Accounts["boss@mail.test"].APOP)
	if plain, err := key.OpenText(sealed, []byte("apop:boss@mail.test")); err != nil || string(plain) != "secret" {
		t.Errorf("opened %q, %v", plain, err)
	}
	must(t, "", "check", "-c", dir)
}

// A link to the file stays one.
func TestUserSymlink(t *testing.T) {
	dir, real := t.TempDir(), confDir(t, userConf)
	link := filepath.Join(dir, "mail.conf")
	if err := os.Symlink(filepath.Join(real, "mail.conf"), link); err != nil {
		t.Fatal(err)
	}
	must(t, "x-x-x-x-x", "user", "add", "-c", dir, "--stdin", "boss")
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	must(t, "x-x-x-x-x", "user", "test", "-c", dir, "--stdin", "boss")
}

func TestCheck(t *testing.T) {
	dir := confDir(t, userConf)
	out, _ := must(t, "", "check", "-c", dir)
	if !strings.Contains(out, "is right: 0 accounts in 1 domain on 1 listener") {
		t.Errorf("check said %s", out)
	}
	bad := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "SMTP": {"tarpit": 5,
"max_hops": 0}}`)
	code, _, said := command(t, "", "check", "-c", bad)
	if code != exitError || !strings.Contains(said, "mail.conf:1:69: SMTP.tarpit: found the number 5") || !strings.Contains(said, "mail.conf:2:13: SMTP.max_hops") || !strings.Contains(said, "2 problems\n") {
		t.Errorf("check of a bad one: %d\n%s", code, said)
	}
	if code, _, _ := command(t, "", "check", "extra"); code != exitUsage {
		t.Errorf("check with an argument: %d", code)
	}
}

// A port that another program holds is a problem, one that our own daemon
// holds is not.
func TestCheckPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	dir := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "Listeners": [
{"address": "127.0.0.1:`+port+`", "protocol": "smtp"},
{"address": "192.0.2.1:`+port+`", "protocol": "smtp"},
{"address": "unix:lmtp.sock", "protocol": "lmtp"}]}`)
	_, _, said := command(t, "", "check", "-c", dir)
	if !strings.Contains(said, "mail.conf:2:13: Listeners[0].address: another program listens on 127.0.0.1:"+port) ||
		!strings.Contains(said, "mail.conf:3:13: Listeners[1].address: 192.0.2.1 is not an address of this host\n") ||
		!strings.Contains(said, "2 problems") {
		t.Errorf("check said\n%s", said)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /status", func(w http.ResponseWriter, _ *http.Request) {
		control.Answer(w, daemon.Status{Listeners: map[string]string{":x": "127.0.0.1:" + port, "127.0.0.1:" + port: "127.0.0.1:" + port}}, nil)
	})
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	socket, err := control.Listen(filepath.Join(dir, "data", "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := control.NewServer(mux)
	go server.Serve(socket)
	defer server.Close()
	if _, _, said = command(t, "", "check", "-c", dir); strings.Contains(said, "another program") || !strings.Contains(said, "1 problem\n") {
		t.Errorf("with our daemon there, check said\n%s", said)
	}
}

// TestCheckAddresses: an address that cannot be listened at has one problem, in
// plain words, also beside a mistake in the text.
func TestCheckAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := confDir(t, `{"server_name": "mail.test", "data_dir": "data", "unknown": 1, "Listeners": [
{"address": "127.0.0.1:99999", "protocol": "smtp"},
{"address": "*:25252", "protocol": "smtp"},
{"address": "no.such.host.test:25253", "protocol": "smtp"},
{"address": "25254", "protocol": "smtp"},
{"address": "unix:mail.conf", "protocol": "lmtp"},
{"address": "`+l.Addr().String()+`", "protocol": "smtp"}]}`)
	_, _, said := command(t, "", "check", "-c", dir)
	for i, want := range []string{`"99999" is not a port`, `"*" is not an IP address`, `"no.such.host.test" is not an IP address`, `"25254" is not an address`, "mail.conf is there and not a socket", "another program listens on " + l.Addr().String()} {
		place := fmt.Sprintf("Listeners[%d].address: ", i)
		if strings.Count(said, place) != 1 || !strings.Contains(said, want) {
			t.Errorf("%s is not said once with %q:\n%s", place, want, said)
		}
	}
	if !strings.Contains(said, ": 7 problems\n") {
		t.Errorf("check said\n%s", said)
	}
}

func TestConf(t *testing.T) {
	doc, _ := must(t, "", "conf", "doc")
	if !strings.Contains(doc, `"max_message_size": "50MiB",`) || !strings.Contains(doc, "// The largest message.") {
		t.Errorf("doc is\n%s", doc)
	}
	if some, _ := must(t, "", "conf", "doc", "POP3.apop"); !strings.Contains(some, "login_delay") || strings.Contains(some, "max_hops") {
		t.Errorf("doc POP3.apop is\n%s", some)
	}
	if some, _ := must(t, "", "conf", "doc", "POP3"); !strings.Contains(some, "login_delay") || strings.Contains(some, "max_hops") {
		t.Errorf("doc POP3 is\n%s", some)
	}
	if keys, _ := must(t, "", "__complete", "conf", "doc", ""); !strings.Contains(keys, "SMTP\nRates\nPOP3\n") {
		t.Errorf("conf doc is completed by %s", keys)
	}
	dir := confDir(t, doc)
	show, _ := must(t, "", "conf", "show", "-c", dir)
	if !strings.Contains(show, `"data_dir": "/var/lib/postrider", // `+filepath.Join(dir, "mail.conf")+":") {
		t.Errorf("show is\n%s", show)
	}
	if code, _, said := command(t, "", "conf", "show", "-c", filepath.Join(dir, "none")); code != exitError || !strings.Contains(said, "no such file") {
		t.Errorf("show of nothing: %d %s", code, said)
	}
	if help, _ := must(t, "", "conf"); !strings.Contains(help, "show") {
		t.Errorf("help is\n%s", help)
	}
}

// The way of a newcomer with a domain: init, user add, check.
func TestConfInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc", "postrider")
	out, _ := must(t, "", "conf", "init", "-c", dir, "mail.example.org")
	if want := filepath.Join(dir, "10-server.conf") + "\n" + filepath.Join(dir, "20-domains.conf") + "\nwhat the DNS has to say of it: postrider dns show -c " + dir + "\n"; out != want {
		t.Errorf("init said %s, want %s", out, want)
	}
	must(t, "x-x-x-x-x", "user", "add", "-c", dir, "--stdin", "alice@example.org")
	if text, err := os.ReadFile(filepath.Join(dir, "20-domains.conf")); err != nil || !strings.Contains(string(text), `            "Accounts": {
                "alice": {
`) {
		t.Errorf("%v: the file is\n%s", err, text)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"conf", "init", "-c", dir, "mail.example.org"}, exitError, "there is a configuration in " + dir + " already"},
		{[]string{"user", "add", "-c", dir, "--generate", "carol"}, exitError, "carol at which domain? Give the whole address, such as carol@example.org"},
		{[]string{"conf", "init", "mail.example.org"}, exitUsage, "-c DIR is missing"},
		{[]string{"conf", "init", "-c", dir}, exitUsage, "Usage"},
		{[]string{"conf", "init", "-c", dir, "no name"}, exitError, "is not a domain name"},
		{[]string{"conf", "init", "-c", filepath.Join(dir, "10-server.conf"), "mail.example.org"}, exitError, "not a directory"},
	} {
		if code, _, said := command(t, "", c.args...); code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%v: %d %s", c.args, code, said)
		}
	}
}

func TestVersion(t *testing.T) {
	out, _ := must(t, "", "version")
	if !strings.HasPrefix(out, "postrider ") {
		t.Errorf("version is %s", out)
	}
	got := versionOf(&buildinfo.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"}}})
	if !strings.HasPrefix(got, "postrider v1.2.3 0123456789ab of 2026-01-02T03:04:05Z with changes (go") {
		t.Errorf("version is %s", got)
	}
	if !strings.HasPrefix(versionOf(nil), "postrider devel (go") {
		t.Errorf("version without build info is %s", versionOf(nil))
	}
	var told map[string]any
	if err := json.Unmarshal([]byte(first(must(t, "", "version", "--json"))), &told); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"version", "changed", "go", "os", "arch", "settings"} {
		if told[key] == nil {
			t.Errorf("version --json does not tell %s: %v", key, told)
		}
	}
}

func first(out, _ string) string { return out }

// Every command explains itself, and those with options by an example.
func TestHelp(t *testing.T) {
	for _, c := range []string{"check", "conf show", "conf doc", "user add", "user passwd", "user remove", "user list", "user test"} {
		help, _ := must(t, "", append(strings.Fields(c), "--help")...)
		if !strings.Contains(help, "Examples:\n  postrider "+c) && c != "check" {
			t.Errorf("%s has no example:\n%s", c, help)
		}
	}
}
