package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// moveMessages is how many messages the installation has that moves: a few, or as many as the
// environment says (POSTRIDER_MOVE_MESSAGES=50000).
func moveMessages() int {
	if n, err := strconv.Atoi(os.Getenv("POSTRIDER_MOVE_MESSAGES")); err == nil {
		return n
	}
	return 200
}

// doveadmHash is a password as Dovecot hashes it; "" if it does not know the scheme.
func doveadmHash(scheme, secret string, more ...string) string {
	out, err := exec.Command("doveadm", append([]string{"-c", "/dev/null", "-O", "pw", "-s", scheme, "-p", secret}, more...)...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// TestMoveHashes: every scheme that Dovecot has comes over, and opens the account, or is named.
func TestMoveHashes(t *testing.T) {
	peer(t, "doveadm")
	schemes := strings.Fields("ARGON2ID ARGON2I BLF-CRYPT SHA512-CRYPT SHA256-CRYPT CRYPT PBKDF2 SSHA SSHA256 SSHA512 CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 " +
		"SHA SHA1 SHA256 SHA512 MD5 MD5-CRYPT PLAIN-MD5 LDAP-MD5 SMD5 DIGEST-MD5 DES-CRYPT PLAIN CLEARTEXT CLEAR")
	dir := confDir(t, `{ "server_name": "mail.test", "data_dir": "data", "Domains": {"old.test": {}} }`)
	const secret = "pass word"
	var users strings.Builder
	tried := 0
	for _, scheme := range schemes {
		hash := doveadmHash(scheme, secret)
		if hash == "" {
			continue
		}
		tried++
		fmt.Fprintf(&users, "%s@old.test:%s\n", strings.ToLower(scheme), hash)
		if _, bare, ok := strings.Cut(hash, "}"); ok && strings.HasPrefix(bare, "$") {
			fmt.Fprintf(&users, "bare-%s@old.test:%s\n", strings.ToLower(scheme), bare)
		}
	}
	if tried < 20 {
		t.Fatalf("doveadm made %d hashes", tried)
	}
	file := put(t, users.String(), dir, "users")
	_, _, errs := command(t, "", "user", "import", "-c", dir, file)
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	came := 0
	for line := range strings.Lines(users.String()) {
		name, _, _ := strings.Cut(line, ":")
		account := s.Book().Accounts[domains.CanonicalAddress(name)]
		switch {
		case account == nil && !strings.Contains(errs, name):
			t.Errorf("%s neither came nor is named", name)
		case account != nil && passwd.Verify(string(account.Password), []byte(secret)) != nil:
			t.Errorf("%s came, and its password does not open it", name)
		case account != nil:
			came++
		}
	}
	if came < 10 {
		t.Errorf("%d came: %s", came, errs)
	}
}

// treeSum is what is in the files of a tree that hold mail.
func treeSum(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "dovecot") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		stable, _, _ := strings.Cut(path, ":2,") // Dovecot marks what POP3 has given out as read
		fmt.Fprintln(sum, stable)
		_, err = io.Copy(sum, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// mpopNew fetches with mpop, which leaves all mail on the server and keeps what it has seen in a folder of
// its own, and returns how many messages were new to it.
func mpopNew(t *testing.T, dir, host, port, login, secret string) int {
	t.Helper()
	before, _ := filepath.Glob(filepath.Join(dir, "in", "new", "*"))
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dir, "in", sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	rc := put(t, fmt.Sprintf("account a\nhost %s\nport %s\nuser %s\npassword %s\ntls off\nauth user\nkeep on\nuidls_file %s\nonly_new on\ndelivery maildir %s\nreceived_header off\n",
		host, port, login, secret, filepath.Join(dir, "uidls"), filepath.Join(dir, "in")), dir, "mpoprc")
	if out, err := exec.Command(peer(t, "mpop"), "-q", "-C", rc, "a").CombinedOutput(); err != nil {
		t.Fatalf("mpop: %v\n%s", err, out)
	}
	after, _ := filepath.Glob(filepath.Join(dir, "in", "new", "*"))
	return len(after) - len(before)
}

// TestMovingIn: an installation of Dovecot and Postfix with twenty accounts, in Maildirs, mdbox and sdbox, with aliases
// and a virtual map, moves in as docs/moving.md says: by files and by POP3. Clients notice nothing.
func TestMovingIn(t *testing.T) {
	peer(t, "mpop")
	base := t.TempDir()
	n := peertest.AsOrdinary(t, base)
	home := func(i int) string { return filepath.Join(base, "home", fmt.Sprint("user", i)) }
	kinds := []string{"maildir", "mdbox", "sdbox"}
	schemes := []string{"SHA512-CRYPT", "BLF-CRYPT", "SSHA256", "SHA256-CRYPT", "PBKDF2"}
	const accounts = 20
	each := max(moveMessages()/accounts, 2)
	var users, list strings.Builder
	for i := range accounts {
		rounds := "1000"
		if schemes[i%len(schemes)] == "BLF-CRYPT" {
			rounds = "5"
		}
		hash := doveadmHash(schemes[i%len(schemes)], fmt.Sprint("secret", i), "-r", rounds)
		location := map[string]string{"maildir": "maildir:~/Maildir", "mdbox": "mdbox:~/mdbox", "sdbox": "sdbox:~/sdbox"}[kinds[i%3]]
		fmt.Fprintf(&users, "user%d@old.test:%s::::%s::userdb_mail=%s\n", i, hash, home(i), location)
		fmt.Fprintf(&list, "user%d@old.test secret%[1]d\n", i)
		for _, sub := range []string{"tmp", "new", "cur"} {
			if err := os.MkdirAll(filepath.Join(home(i), "Maildir", sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for m := range each {
			put(t, fmt.Sprintf("Received: by old.test; Fri, 22 Nov 2024 12:%02d:%02d +0000\nFrom: a@elsewhere.test\nSubject: %d of %d\n\n.%s\n", m/60%60, m%60, m, i, strings.Repeat("text ", m%200)),
				home(i), "Maildir", "cur", fmt.Sprintf("17%08d.M%dP1.old:2,%s", m, m, []string{"", "S", "FS"}[m%3]))
		}
	}
	passwords := put(t, users.String(), base, "users")
	aliases := put(t, "postmaster: root\nroot: user0\nsales: user1, user2\n", base, "aliases")
	virtual := put(t, "info@old.test user3@old.test\nteam@old.test user4@old.test, user5@old.test, away@elsewhere.test\n", base, "virtual")
	n.Own(t, base)
	d := peertest.StartDovecot(t, n, filepath.Join(base, "dovecot"), fmt.Sprintf(dovecotAccounts, passwords)+"pop3_uidl_format = %v.%u\n")
	for i := range accounts {
		if kinds[i%3] != "maildir" { // from the Maildir into the kind of the account
			d.Admin(t, "", "backup", "-R", "-u", fmt.Sprintf("user%d@old.test", i), "maildir:"+home(i)+"/Maildir:LAYOUT=fs")
		}
	}
	dir := confDir(t, `{ "server_name": "mail.test", "data_dir": "data", "Domains": {"old.test": {}}, "Queue": {"deliver": true, "forward": true},
		"Listeners": [{"address": "127.0.0.4:0", "protocol": "pop3"}], "POP3": {"cleartext_auth": true} }`)
	logins := put(t, list.String(), dir, "list")
	client := t.TempDir()
	host, port, _ := strings.Cut(d.POP3, ":")
	if got := mpopNew(t, client, host, port, "user0@old.test", "secret0"); got != each {
		t.Fatalf("mpop fetches %d from Dovecot", got)
	}
	before := treeSum(t, filepath.Join(base, "home"))

	// What the page says.
	check := []string{"move", "check", "-c", dir, "--server", d.POP3, "--tls", "off", "--domain", "old.test", "--aliases", aliases, "--virtual", virtual, logins}
	must(t, "", "user", "import", "-c", dir, passwords)
	if err := os.MkdirAll(filepath.Join(dir, "data", "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	if code, said, _ := command(t, "", check...); code != exitError || !strings.Contains(said, "accounts   20 of 20\npasswords  20 of 20\nmailboxes  0 of 20\n") || !strings.Contains(said, "aliases    0 of 5\n") || !strings.Contains(said, "… and 14 more") {
		t.Errorf("before anything came:\n%s", said)
	}
	must(t, "", "alias", "import", "-c", dir, "--domain", "old.test", aliases)
	must(t, "", "alias", "import", "-c", dir, "--format", "virtual", virtual)
	for i := range accounts {
		address := fmt.Sprintf("user%d@old.test", i)
		from := filepath.Join(home(i), "Maildir")
		if i%2 == 1 {
			continue // comes by POP3
		}
		if kinds[i%3] != "maildir" {
			from = filepath.Join(base, "move", address)
			if err := os.MkdirAll(filepath.Dir(from), 0o700); err != nil {
				t.Fatal(err)
			}
			n.Own(t, filepath.Dir(from))
			d.Admin(t, "", "backup", "-u", address, "maildir:"+from+":LAYOUT=fs")
		}
		must(t, "", "import", "-c", dir, "--format", "maildir", "--uidl", "%v.%u", address, from)
	}
	must(t, "", "fetch", "-c", dir, "--server", d.POP3, "--tls", "off", logins)
	if out, _ := must(t, "", "fetch", "-c", dir, "--server", d.POP3, "--tls", "off", logins); strings.Count(out, ": 0 of ") != accounts {
		t.Errorf("a second time:\n%s", out)
	}
	out, errs := must(t, "", check...)
	if !strings.Contains(out, fmt.Sprintf("messages   %d of %[1]d\naliases    5 of 5\nnothing is left to do", each*accounts)) {
		t.Errorf("%s%s", out, errs)
	}
	if after := treeSum(t, filepath.Join(base, "home")); after != before {
		t.Error("something changed on the old side")
	}

	// Mail that comes to the old server behind the switch comes once.
	d.Admin(t, "Subject: late\n\nlate\n", "save", "-u", "user7@old.test")
	if code, said, _ := command(t, "", check...); code != exitError || !strings.Contains(said, "user7@old.test: 1 of") || !strings.Contains(said, "1 thing left to do") {
		t.Errorf("%s", said)
	}
	if out, _ := must(t, "", "fetch", "-c", dir, "--server", d.POP3, "--tls", "off", logins); strings.Count(out, ": 1 of ") != 1 {
		t.Errorf("behind the switch:\n%s", out)
	}
	must(t, "", check...)

	// A client that knows the old server's mail finds nothing new here.
	d.Stop()
	w := &world{t: t, dir: dir, addrs: make(map[string]string)}
	w.start()
	state := filepath.Join(client, "uidls")
	text, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, []byte(strings.ReplaceAll(string(text), host, w.host("pop3"))), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mpopNew(t, client, w.host("pop3"), w.port("pop3"), "user0@old.test", "secret0"); got != 0 {
		t.Errorf("mpop fetches %d messages again", got)
	}
}
