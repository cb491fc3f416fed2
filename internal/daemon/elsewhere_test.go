package daemon

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// entry is a person of a directory, whose password is his uid with "-secret".
func entry(uid, mail, more string) string {
	return "dn: uid=" + uid + ",ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nobjectClass: mailThings\ncn: " + uid + "\nsn: x\nuid: " + uid +
		"\n" + mail + "userPassword: " + uid + "-secret\n" + more + "\n"
}

// ssha512 is a password as Dovecot keeps it in this scheme, without its name.
func ssha512(password string) string {
	sum := sha512.Sum512([]byte(password + "salt"))
	return base64.StdEncoding.EncodeToString(append(sum[:], "salt"...))
}

// ldapConf names a directory in the settings; more are further settings of it.
func ldapConf(s *peertest.Slapd, more string) string {
	return fmt.Sprintf(`"Elsewhere": {"cache_time": "3s", "LDAP": [{"url": %q, "domains": ["example.com"], "service_dn": "cn=mail,dc=example,dc=com",
		"service_password": "service-secret", "timeout": "30s", "quota_attribute": "mailQuota", %s
		"base": "ou=people,dc=example,dc=com", "filter": "(&(objectClass=inetOrgPerson)(|(uid=%%n)(mail=%%u)(proxyAddresses=smtp:%%u)))"}]},`, s.URL, more)
}

// smtpLogin is a submission session after AUTH PLAIN, whose reply begins so.
func (w *testWorld) smtpLogin(user, password, want string) *talk {
	w.t.Helper()
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO c.test\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)) + "\nS: " + want)
	return k
}

// popLogin is a POP3 session after PASS, whose reply begins so.
func (w *testWorld) popLogin(user, password, want string) *talk {
	w.t.Helper()
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: USER " + user + "\nS: +OK\nC: PASS " + password + "\nS: " + want)
	if strings.HasPrefix(want, "+OK") { // the maildrop is for one at a time
		k.play("C: QUIT\nS: +OK")
	}
	return k
}

// rcpt is the reply to a recipient, from a stranger.
func (w *testWorld) rcpt(address string) string {
	w.t.Helper()
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO there.test\nS: 250\nC: MAIL FROM:<ann@there.test>\nS: 250\nC: RCPT TO:<" + address + ">")
	return strings.TrimSpace(k.reply())
}

// TestDirectory: accounts of a directory send, are sent to, and fetch, as those of the settings do.
func TestDirectory(t *testing.T) {
	s := peertest.NewSlapd(t, entry("bob", "mail: bob@example.com\n", "proxyAddresses: smtp:robert@example.com\nmailQuota: 200KiB\n")+
		entry("nomail", "", "")+entry("two", "mail: two@example.com\nmail: zwei@example.com\n", "")+entry("far", "mail: far@elsewhere.test\n", "")+
		entry("thief", "mail: alice@mail.test\n", "")+entry("Carol", "mail: Carol.Smith@Example.COM\n", ""), 0)
	w := start(t, ldapConf(s, ""))

	// Ten spellings are one mailbox.
	for _, name := range []string{"bob@example.com", "BOB@example.com", "Bob@Example.Com", "robert@example.com", "Robert@EXAMPLE.com"} {
		w.smtpLogin(name, "bob-secret", "235").play("C: MAIL FROM:<bob@example.com>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354\nC: Subject: of " + name + "\nC: \nC: .\nS: 250")
		w.smtpLogin(name, "wrong", "535 5.7.8")
	}
	for _, name := range []string{" bob@example.com", "b\u00adob@example.com", "\uff42\uff4f\uff42@example.com", "bob @example.com", "bob@example.com."} { // the directory may take them for bob, or not
		k := w.submission()
		k.play("C: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00bob-secret")))
		if r := k.reply(); strings.HasPrefix(r, "235") {
			k.play("C: MAIL FROM:<bob@example.com>\nS: 250") // then he is bob, and nobody else
		} else if r[0] != '5' {
			t.Errorf("%q: %s", name, r)
		}
	}
	for _, address := range []string{"bob@example.com", "ROBERT@example.com", "bob+shop@example.com", "robert+shop@example.com"} {
		if r := w.rcpt(address); !strings.HasPrefix(r, "250") {
			t.Errorf("%s: %s", address, r)
		}
	}
	for _, address := range []string{"nobody@example.com", "nomail@example.com", "*@example.com", "b*@example.com"} {
		if r := w.rcpt(address); !strings.HasPrefix(r, "550") {
			t.Errorf("%s: %s", address, r)
		}
	}
	if all := w.mailboxBy("bob@example.com", "bob-secret"); len(all) != 5 {
		t.Errorf("%d messages", len(all))
	}
	if entries, err := os.ReadDir(filepath.Join(w.state().settings.MailDir, "example.com")); err != nil || len(entries) != 1 {
		t.Errorf("mailboxes: %v, %v", entries, err)
	}
	w.popLogin("carol@example.com", "Carol-secret", "+OK")
	w.popLogin("carol.smith@example.com", "Carol-secret", "+OK")

	// Programs that ask to act as whom they log in as may, by whatever name; and as nobody else.
	for authzid, want := range map[string]string{"robert@example.com": "235", "bob@example.com": "235", "carol@example.com": "535", "alice@mail.test": "535"} {
		w.submission().play("C: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte(authzid+"\x00robert@example.com\x00bob-secret")) + "\nS: " + want)
	}

	// He may send as himself, by any of his names, and as nobody else.
	k := w.smtpLogin("bob@example.com", "bob-secret", "235")
	k.play("C: MAIL FROM:<robert+x@example.com>\nS: 250\nC: RSET\nS: 250\nC: MAIL FROM:<carol.smith@example.com>\nS: 550 5.7.1\nC: MAIL FROM:<alice@mail.test>\nS: 550 5.7.1")
	// What the directory says of his mailbox holds.
	k.play("C: MAIL FROM:<bob@example.com> SIZE=300000\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 552")

	// Entries that cannot be used are nobody's password; they are said to be wrong in the log.
	for _, name := range []string{"two@example.com", "far@example.com"} {
		w.smtpLogin(name, strings.TrimSuffix(name, "@example.com")+"-secret", "454 4.7.0")
	}
	if r := w.rcpt("two@example.com"); !strings.HasPrefix(r, "451") {
		t.Errorf("an entry with two addresses: %s", r)
	}
	w.smtpLogin("nomail@example.com", "nomail-secret", "535")
	w.smtpLogin("thief@example.com", "alice-secret", "454") // its address is none of the directory's
	w.mailbox("alice@mail.test")                            // those of the settings are as they were

	// Only what an account of a directory can do is offered.
	k = w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: CAPA\nS: +OK")
	capabilities := ""
	for !strings.HasSuffix(capabilities, "\n.\r\n") {
		line, err := k.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		capabilities += line
	}
	if !strings.Contains(capabilities, "SASL PLAIN LOGIN\r\n") {
		t.Errorf("offered:\n%s", capabilities)
	}
	if strings.Contains(s.Log(), "nentries=3") || strings.Contains(w.logs.Take(), "-secret") {
		t.Error("a search with several entries, or a secret in the log")
	}
}

// TestDirectoryAway: a directory that is killed or stands still is a temporary failure for logins and recipients, no guess, and soon said.
func TestDirectoryAway(t *testing.T) {
	t.Parallel()
	s := peertest.NewSlapd(t, entry("bob", "mail: bob@example.com\n", ""), 0)
	w := start(t, `"Auth": {"max_failures_per_address": 3, "max_failures_per_account": 3}, "POP3": {"max_auth_failures": 100}, `+strings.Replace(ldapConf(s, ""), `"timeout": "30s"`, `"timeout": "4s"`, 1))
	w.popLogin("bob@example.com", "bob-secret", "+OK")
	waitOver := func() { time.Sleep(3100 * time.Millisecond) } // what was known is over then
	for _, broken := range []struct {
		name       string
		down, back func()
	}{{"frozen", s.Freeze, s.Thaw}, {"killed", s.Kill, s.Start}} {
		waitOver()
		broken.down()
		for range 5 { // more than may fail
			w.smtpLogin("bob@example.com", "bob-secret", "454 4.7.0")
			w.smtpLogin("bob@example.com", "wrong", "454 4.7.0")
		}
		w.popLogin("bob@example.com", "bob-secret", "-ERR [SYS/TEMP]")
		w.smtpLogin("nobody@example.com", "wrong", "454 4.7.0")
		for _, address := range []string{"bob@example.com", "nobody@example.com"} {
			if r := w.rcpt(address); !strings.HasPrefix(r, "451 4.3.0") {
				t.Errorf("%s, %s: %s", broken.name, address, r)
			}
		}
		w.mailbox("alice@mail.test") // nobody else is concerned
		if st := w.status(time.Now()); len(st.Elsewhere) != 1 || !st.Elsewhere[0].Away || len(st.Warnings) == 0 || !strings.Contains(strings.Join(st.Warnings, "\n"), s.URL+" is away since") {
			t.Errorf("%s: status %+v, %q", broken.name, st.Elsewhere, st.Warnings)
		}
		broken.back()
		peertest.Await(t, "a login once it is back", func() bool {
			k := w.dial("127.0.0.4:0")
			k.play("S: +OK")
			k.startTLS("STLS", "+OK")
			k.play("C: USER bob@example.com\nS: +OK\nC: PASS bob-secret")
			ok := strings.HasPrefix(k.reply(), "+OK")
			k.play("C: QUIT\nS: +OK")
			return ok
		})
		if st := w.status(time.Now()); st.Elsewhere[0].Away || st.Elsewhere[0].Failed == 0 {
			t.Errorf("%s, and back: %+v", broken.name, st.Elsewhere)
		}
	}
	log := w.logs.Take()
	if strings.Contains(log, "cannot authenticate") || strings.Contains(log, "login could not be checked") {
		t.Errorf("strangers can fill the log while it is away:\n%s", log)
	}
	if strings.Contains(log, "login failed") || strings.Count(log, "who keeps accounts is away") != 2 || strings.Count(log, "who keeps accounts is back") != 2 {
		t.Errorf("the log:\n%s", log)
	}
	// Real guesses count.
	for range 3 {
		w.smtpLogin("bob@example.com", fresh(), "535")
	}
	w.smtpLogin("bob@example.com", fresh(), "454 4.7.0 Too many")
}

// fresh is a password that was not tried before.
func fresh() string { return fmt.Sprint("wrong", time.Now().UnixNano()) }

// TestDirectoryChanges: a new password counts at once, an old one and a closed account soon not.
func TestDirectoryChanges(t *testing.T) {
	t.Parallel()
	s := peertest.NewSlapd(t, entry("bob", "mail: bob@example.com\n", ""), 0)
	w := start(t, ldapConf(s, ""))
	w.popLogin("bob@example.com", "bob-secret", "+OK")
	w.popLogin("bob@example.com", "new-secret", "-ERR [AUTH]") // tried too early
	s.Change("dn: uid=bob,ou=people,dc=example,dc=com\nchangetype: modify\nreplace: userPassword\nuserPassword: new-secret\n")
	w.popLogin("bob@example.com", "new-secret", "+OK")
	w.popLogin("bob@example.com", "bob-secret", "-ERR [AUTH]")
	s.Change("dn: uid=bob,ou=people,dc=example,dc=com\nchangetype: modify\nreplace: userPassword\nuserPassword: third-secret\n")
	w.smtpLogin("bob@example.com", "wrong", "535")      // whatever is wrong has what is remembered looked at again
	w.smtpLogin("bob@example.com", "new-secret", "535") // well within its time
	s.Change("dn: uid=bob,ou=people,dc=example,dc=com\nchangetype: modify\nreplace: userPassword\nuserPassword: new-secret\n")
	s.Change("dn: uid=bob,ou=people,dc=example,dc=com\nchangetype: delete\n")
	time.Sleep(3100 * time.Millisecond)
	w.popLogin("bob@example.com", "new-secret", "-ERR [AUTH]")
	if r := w.rcpt("bob@example.com"); !strings.HasPrefix(r, "550") {
		t.Errorf("after he was removed: %s", r)
	}
	s.Change("dn: uid=new,ou=people,dc=example,dc=com\nchangetype: add\nobjectClass: inetOrgPerson\ncn: x\nsn: x\nuid: new\nmail: new@example.com\nuserPassword: s\n")
	if r := w.rcpt("new@example.com"); !strings.HasPrefix(r, "250") {
		t.Errorf("a new one: %s", r)
	}
}

// TestDirectoryReload: a reload keeps what is the same, and takes what is new.
func TestDirectoryReload(t *testing.T) {
	s := peertest.NewSlapd(t, entry("bob", "mail: bob@example.com\n", ""), 0)
	w := start(t, ldapConf(s, ""))
	w.popLogin("bob@example.com", "bob-secret", "+OK")
	before := w.state().elsewhere().Standing()[0].Asked
	file := filepath.Join(w.dir, "t.conf")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	change := func(text string) error {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return w.Reload()
	}
	if err := change(string(text)); err != nil || w.state().elsewhere().Standing()[0].Asked != before {
		t.Errorf("after a reload of the same: %v", err)
	}
	w.popLogin("bob@example.com", "bob-secret", "+OK")
	if err := change(strings.Replace(string(text), "(uid=%n)", "(uid=%n", 1)); err == nil {
		t.Error("a filter that is none is taken")
	}
	w.popLogin("bob@example.com", "bob-secret", "+OK")
	open := w.dial("127.0.0.4:0")
	open.play("S: +OK")
	open.startTLS("STLS", "+OK")
	open.play("C: USER bob@example.com\nS: +OK\nC: PASS bob-secret\nS: +OK\nC: NOOP\nS: +OK")
	if err := change(strings.Replace(string(text), `"Elsewhere"`, `"Domains": {"example.com": {"disabled": true}}, "Elsewhere"`, 1)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(open.c, "NOOP\r\n")
	if line, err := open.r.ReadString('\n'); err == nil && strings.HasPrefix(line, "+OK") {
		t.Errorf("a session goes on whose account was closed: %s", line)
	}
	if err := change(strings.Replace(string(text), "service-secret", "wrong", 1)); err != nil {
		t.Fatal(err)
	}
	w.popLogin("bob@example.com", "bob-secret", "-ERR [SYS/TEMP]")
	if err := change(strings.Replace(string(text), "Elsewhere", "Unknown", 1)); err == nil {
		t.Error("an unknown section is taken")
	}
}

// TestPasswdFile: accounts of Dovecot's file, which changes while the server runs.
func TestPasswdFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	const test = "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP" // "test"
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("bob:"+test+"::::::userdb_quota_rule=*:storage=200K", "nets@example.com:"+test+"::::::allow_nets=192.0.2.0/24", "weak:{PLAIN}test", "far@elsewhere.test:"+test, "shut:"+test+"::::::nologin")
	w := start(t, fmt.Sprintf(`"Elsewhere": {"PasswdFiles": [{"file": %q, "domains": ["example.com"]}]},`, file))
	for range 2 {
		w.popLogin("bob@example.com", "test", "+OK")
	}
	for _, name := range []string{"nets", "weak", "shut", "eve", "far"} {
		w.smtpLogin(name+"@example.com", "test", "535")
	}
	w.popLogin("bob@example.com", "tess", "-ERR [AUTH]")
	for _, name := range []string{"bob", "nets", "weak", "shut"} { // mail comes to whoever is there
		if r := w.rcpt(name + "@example.com"); !strings.HasPrefix(r, "250") {
			t.Errorf("%s: %s", name, r)
		}
	}
	w.smtpLogin("bob@example.com", "test", "235").play("C: MAIL FROM:<bob@example.com> SIZE=300000\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 552")
	if log := w.logs.Take(); strings.Count(log, "an account that others keep cannot be logged in to") != 1 {
		t.Errorf("the log:\n%s", log)
	}
	// A session goes on for as long as the password that opened it is that of the file.
	in := w.inSMTP("bob@example.com", "test")
	write("# changed otherwise", "bob:"+test)
	w.endSessions("")
	if !in.goesOn() {
		t.Error("a session was ended whose password is the same")
	}
	write("bob:{SSHA512}" + ssha512("another"))
	w.endSessions("")
	if in.goesOn() {
		t.Error("a session goes on whose password was changed")
	}

	write("eve:" + test)
	w.popLogin("eve@example.com", "test", "+OK")
	w.smtpLogin("bob@example.com", "test", "535")
	if r := w.rcpt("bob@example.com"); !strings.HasPrefix(r, "550") {
		t.Errorf("after he was removed: %s", r)
	}
	if err := os.Rename(file, file+".gone"); err != nil {
		t.Fatal(err)
	}
	w.smtpLogin("eve@example.com", "test", "454")
	if r := w.rcpt("eve@example.com"); !strings.HasPrefix(r, "451") {
		t.Errorf("without the file: %s", r)
	}
	if err := os.Rename(file+".gone", file); err != nil {
		t.Fatal(err)
	}
	w.popLogin("eve@example.com", "test", "+OK")
}
