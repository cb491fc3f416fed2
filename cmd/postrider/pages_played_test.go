//go:build unix

package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shims stand for what a page's commands need of a host that a test has no right to: another user, systemd, and a person who types a password.
var shims = map[string]string{
	"runuser":    `shift 3; exec "$@"`,
	"systemctl":  `exit 0`,
	"journalctl": `cat "$POSTRIDER_TEST_LOG"`,
	"install":    `for a; do case $skip$a in -o|-g) skip=1;; 1*) skip=;; *) set -- "$@" "$a";; esac; shift; done; exec /usr/bin/install "$@"`,
	"postrider": `case "$1 $2" in
"user passwd"|"admin add") printf 'a new pass word\n' | "$POSTRIDER_TEST_PROGRAM" "$@" --stdin; exit;;
esac
exec "$POSTRIDER_TEST_PROGRAM" "$@"`,
}

// TestPagesPlayed types the commands of pages as they stand there, block by block, at a server that runs as the pages say. What other tests play
// (imap.md, logins.md, moving.md, sealed.md, testing.md, the README), and what .ci/packages does (the package, the container), is not here.
func TestPagesPlayed(t *testing.T) {
	dir, base := confDir(t, `{"server_name": "mail.example.com", "data_dir": "data", "postmaster": "alice@example.com", "Reports": {"address": "dmarc@example.com"},
		"Domains": {"example.com": {"Accounts": {"alice": {}}}}, "Listeners": [{"address": "127.0.0.4:0", "protocol": "pop3"}]}`), t.TempDir()
	w := &world{t: t, dir: dir, addrs: make(map[string]string)}
	w.start()
	bin := filepath.Join(base, "bin")
	for _, sub := range []string{"bin", "backup", "saved", "mail", "Maildir/cur", "Maildir/new", "Maildir/tmp", "vmail/cur", "vmail/new", "vmail/tmp", "vmail/.Sent/cur", "vmail/.Sent/new", "vmail/.Sent/tmp"} {
		if err := os.MkdirAll(filepath.Join(base, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range shims {
		put(t, "#!/bin/sh\nskip=\n"+text+"\n", bin, name)
		if err := os.Chmod(filepath.Join(bin, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	put(t, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})), base, "mail.private")
	put(t, "sales2: alice@example.com\n", base, "aliases")
	put(t, "info@example.com alice@example.com\n", base, "virtual")
	put(t, "dora:"+dumpedHash+"\n", base, "users")
	put(t, "root:*:19000:0:99999:7:::\nkai:"+dumpedHash+":19000:0:99999:7:::\n", base, "shadow")
	const message = "From: ann@spam.test\nSubject: x\n\nx\n"
	for _, name := range []string{"Maildir/cur/1700000000.M1P1.h:2,S", "vmail/cur/1700000000.M1P1.h:2,S", "vmail/.Sent/cur/1700000001.M1P1.h:2,S", "saved/1.eml", "message.eml"} {
		put(t, message, base, name)
	}
	put(t, "From ann@spam.test Mon Jan  1 00:00:00 2024\n"+message, base, "carol")
	places := strings.NewReplacer("/etc/postrider/", dir+"/", "-c /etc/postrider", "-c "+dir, "cp -a /etc/postrider", "cp -a "+dir,
		"/var/lib/postrider/", filepath.Join(dir, "data")+"/", "/backup", filepath.Join(base, "backup"), "~alice/Maildir", filepath.Join(base, "Maildir"),
		"/var/vmail/example.com/bob", filepath.Join(base, "vmail"), "/var/mail/carol", filepath.Join(base, "carol"), " saved/", " "+filepath.Join(base, "saved"),
		"/etc/opendkim/keys/example.com/mail.private", filepath.Join(base, "mail.private"), "message.eml", filepath.Join(base, "message.eml"),
		"/etc/aliases", filepath.Join(base, "aliases"), "/etc/postfix/virtual", filepath.Join(base, "virtual"), "/etc/dovecot/users", filepath.Join(base, "users"), "/etc/shadow", filepath.Join(base, "shadow"))
	for _, c := range []struct {
		page  string
		first string         // how the block begins
		not   *regexp.Regexp // lines that are about something that is not here
		said  string         // a word of what is said
	}{
		{"install.md", "postrider user add --generate bob", nil, "robert@example.com"},
		{"install.md", "postrider alias add root@mail", nil, ""},
		{"install.md", "postrider check\n", nil, ""},
		{"install.md", "postrider alias import /etc/aliases", nil, "1 account"},
		{"install.md", "postrider import -c /etc/postrider --format maildir alice", nil, "messages imported"},
		{"install.md", "postrider store stat", nil, "alice@example.com"},
		{"install.md", "install -d -o postrider -g postrider -m 700 /backup", nil, ""},
		{"install.md", "runuser -u postrider -- postrider restore", nil, ""},
		{"dns.md", "postrider dns show example.com", regexp.MustCompile("dns (check|push)"), "v=spf1"}, // internal/zone does these with Knot and BIND
		{"dns.md", "postrider dns show --delegate", nil, "mail-dns.example.net"},
		{"trust.md", "postrider reports refused", regexp.MustCompile("where Log.file is set"), ""},
		{"trust.md", "postrider dkim list", regexp.MustCompile("revoke|rotate"), "mail"}, // which go by the DNS; internal/sign does both
		{"reports.md", "postrider reports ", nil, ""},
		{"rules.md", "postrider rules test", nil, "no rule decides"},
		{"web.md", "postrider admin add ann", nil, "ann"},
	} {
		text, err := os.ReadFile("../../docs/" + c.page)
		if err != nil {
			t.Fatal(err)
		}
		block := regexp.MustCompile("(?s)```sh\n(" + regexp.QuoteMeta(c.first) + ".*?)```").FindStringSubmatch(string(text))
		if block == nil {
			t.Errorf("%s has no block that begins with %q", c.page, c.first)
			continue
		}
		lines := "set -e\n"
		for line := range strings.Lines(block[1]) {
			if c.not == nil || !c.not.MatchString(line) {
				lines += line
			}
		}
		cmd := exec.Command("sh", "-c", places.Replace(lines))
		cmd.Dir = base
		if strings.Contains(c.first, "restore") {
			cmd.Dir = filepath.Join(base, "backup", "postrider") // where the block before has gone
		}
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "POSTRIDER_CONF="+dir, "POSTRIDER_TEST_PROGRAM="+binary(t), "POSTRIDER_TEST_LOG="+put(t, "", base, "log"))
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), c.said) {
			t.Errorf("%s: %v\n%s\n%s", c.page, err, lines, out)
		}
	}
}
