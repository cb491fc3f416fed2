package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// loginsDoc are the pieces of docs/logins.md in a language.
func loginsDoc(t *testing.T, language string) (pieces []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/logins.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		pieces = append(pieces, m[1])
	}
	return pieces
}

// alice has an account elsewhere, in whatever form the examples want it.
const alice = `dn: uid=alice,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
objectClass: posixAccount
objectClass: mailThings
cn: Alice
sn: A
uid: alice
uidNumber: 1000
gidNumber: 1000
homeDirectory: /home/alice
mail: Alice@example.com
sAMAccountName: alice
userPrincipalName: alice@example.com
proxyAddresses: SMTP:a.l@example.com
mailQuota: 2GB
userPassword: alice's password

`

// loginAs tries a login by POP3, and returns the reply.
func (w *world) loginAs(user, secret string) string {
	w.t.Helper()
	c, err := tls.Dial("tcp", w.addrs["pop3s"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Minute))
	d := &dialogue{w.t, c, bufio.NewReader(c)}
	d.expect("+OK")
	d.ask("USER "+user, "+OK")
	reply := d.ask("PASS "+secret, "")
	if strings.HasPrefix(reply, "+OK") {
		d.ask("QUIT", "+OK")
	}
	return reply
}

// TestLoginsDocDirectories: each example for a directory is right for what it is for: alice logs in, and it is said where she is kept.
func TestLoginsDocDirectories(t *testing.T) {
	s := peertest.NewSlapd(t, alice, 0)
	pieces := loginsDoc(t, "jsonc")
	examples := 0
	for _, p := range pieces {
		if !strings.Contains(p, `"LDAP"`) {
			continue
		}
		examples++
		w := newWorldStopped(t)
		w.write("ldap.secret", "service-secret\n")
		p = regexp.MustCompile(`ldap://[a-z.]+`).ReplaceAllString(p, s.URL)
		p = regexp.MustCompile(`ldaps://[a-z0-9.]+[a-z](:6360)?`).ReplaceAllString(p, s.SecureURL)
		p = strings.NewReplacer("/etc/postrider/ldap-ca.pem", s.CAFile, "/etc/postrider/ldap.secret", "ldap.secret").Replace(p)
		w.write("40-logins.conf", "// as the page has it\n"+p)
		if _, said := must(t, "", "check", "-c", w.dir); strings.Contains(said, "LDAP") {
			t.Errorf("%s\ncheck said %s", p, said)
		}
		out, _ := must(t, "", "check", "-c", w.dir, "--login", "alice@example.com")
		for _, want := range []string{"settings: no account of this name", "uid=alice,ou=people,dc=example,dc=com, mail: Alice@example.com", "the account is alice@example.com, kept by LDAP ldap"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s\ncheck --login said\n%s\nwithout %q", p, out, want)
			}
		}
		if strings.Contains(p, "mailQuota") && !strings.Contains(out, "may hold: 2GB") {
			t.Errorf("the quota is not in\n%s", out)
		}
		if code, _, said := command(t, "", "check", "-c", w.dir, "--login", "nobody@example.com"); code != exitError || !strings.Contains(said, "nobody is nobody@example.com") {
			t.Errorf("nobody: %d, %s", code, said)
		}
		w.start()
		if reply := w.loginAs("alice@example.com", "alice's password"); !strings.HasPrefix(reply, "+OK") {
			t.Errorf("%s\n%s", p, reply)
		}
		if strings.Contains(p, "proxyAddresses") {
			if reply := w.loginAs("A.L@example.com", "alice's password"); !strings.HasPrefix(reply, "+OK") {
				t.Errorf("by an alias: %s", reply)
			}
		}
		for _, secret := range []string{"wrong", " "} {
			if reply := w.loginAs("alice@example.com", secret); !strings.HasPrefix(reply, "-ERR [AUTH]") {
				t.Errorf("by a wrong password: %s", reply)
			}
		}
		if list, _ := must(t, "", "user", "list", "-c", w.dir); !regexp.MustCompile(`(?m)^alice@example.com .*LDAP ldap`).MatchString(list) {
			t.Errorf("the list is\n%s", list)
		}
		if examples == 1 {
			w.away(s)
		}
		w.cmd.Process.Kill()
	}
	if examples != 4 {
		t.Errorf("%d examples", examples)
	}
}

// away: what is said once the directory is killed.
func (w *world) away(s *peertest.Slapd) {
	w.t.Helper()
	s.Kill()
	defer s.Start()
	if reply := w.loginAs("nobody@example.com", "x"); !strings.HasPrefix(reply, "-ERR [SYS/TEMP]") {
		w.t.Errorf("away: %s", reply)
	}
	if out, _ := must(w.t, "", "status", "-c", w.dir); !strings.Contains(out, s.URL+" is away since") {
		w.t.Errorf("status said %s", out)
	}
	if _, said := must(w.t, "", "check", "-c", w.dir); !strings.Contains(said, "note: here: LDAP "+s.URL) {
		w.t.Errorf("check said %s", said)
	}
	if code, _, said := command(w.t, "", "check", "-c", w.dir, "--login", "alice@example.com"); code != exitError || !strings.Contains(said, "cannot be found out") {
		w.t.Errorf("check --login: %d, %s", code, said)
	}
}

// TestLoginsDocPasswdFile: the example for Dovecot's file, and what check says of its lines.
func TestLoginsDocPasswdFile(t *testing.T) {
	w := newWorldStopped(t)
	w.write("users", "alice:{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP:1000:1000::/home/alice::userdb_quota_rule=*:storage=1G\neve:{PLAIN}x\nfar@elsewhere.test:{PLAIN}x\n")
	w.write("40-logins.conf", "// as the page has it\n"+strings.ReplaceAll(loginsDoc(t, "jsonc")[0], "/etc/dovecot/users", "users"))
	_, said := must(t, "", "check", "-c", w.dir)
	for _, want := range []string{"eve@example.com cannot log in: line 2: passwd: refused: {PLAIN} keeps the password in clear", "line 3"} {
		if !strings.Contains(said, want) {
			t.Errorf("check said\n%s\nwithout %q", said, want)
		}
	}
	if out, _ := must(t, "", "check", "-c", w.dir, "--login", "alice@example.com"); !strings.Contains(out, "answer: line 1") || !strings.Contains(out, "may hold: 1GiB") {
		t.Errorf("check --login said\n%s", out)
	}
	if code, out, _ := command(t, "", "check", "-c", w.dir, "--login", "eve@example.com"); code != exitError || !strings.Contains(out, "with which nobody can log in") {
		t.Errorf("check --login of eve: %d\n%s", code, out)
	}
	if out, _ := must(t, "", "check", "-c", w.dir, "--login", "alice"); !strings.Contains(out, "settings: the account is there") { // that of the server's own domain
		t.Errorf("check --login said\n%s", out)
	}
	w.start()
	if reply := w.loginAs("alice@example.com", "test"); !strings.HasPrefix(reply, "+OK") {
		t.Error(reply)
	}
	if list, _ := must(t, "", "user", "list", "-c", w.dir); !regexp.MustCompile(`(?m)^alice@example.com +\{SSHA\} .*passwd-file .*users$`).MatchString(list) {
		t.Errorf("the list is\n%s", list)
	}
	if err := os.Chmod(filepath.Join(w.dir, "users"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, said := command(t, "", "check", "-c", w.dir); code != exitError || !strings.Contains(said, "chmod o=") {
		t.Errorf("open to others: %d, %s", code, said)
	}
}

// TestLoginsDocOpenID: the example for a provider, and what check says of it.
func TestLoginsDocOpenID(t *testing.T) {
	var url string
	p := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/keys") {
			fmt.Fprint(rw, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
			return
		}
		fmt.Fprintf(rw, `{"issuer":%q,"jwks_uri":%q}`, url, url+"/keys")
	}))
	defer p.Close()
	url = p.URL + "/realms/staff"
	w := newWorldStopped(t)
	var piece string
	for _, j := range loginsDoc(t, "jsonc") {
		if strings.Contains(j, `"OpenID"`) {
			piece = j
		}
	}
	w.write("40-logins.conf", "// as the page has it\n"+strings.ReplaceAll(piece, "https://login.example.com", p.URL))
	if _, said := must(t, "", "check", "-c", w.dir); strings.Contains(said, "OpenID") {
		t.Errorf("check said %s", said)
	}
	w.start()
	c, err := tls.Dial("tcp", w.addrs["submissions"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d := &dialogue{t, c, bufio.NewReader(c)}
	d.expect("220")
	if reply := d.ask("AUTH OAUTHBEARER bixhPXgsAQ==", ""); !strings.HasPrefix(reply, "5") { // offered, and malformed
		t.Error(reply)
	}
	p.Close()
	if _, said := must(t, "", "check", "-c", w.dir); !strings.Contains(said, "note: here: OpenID "+url) {
		t.Errorf("check said %s", said)
	}
}

// TestLoginsDocCertificates: the commands make certificates that log in.
func TestLoginsDocCertificates(t *testing.T) {
	peer(t, "openssl")
	w := newWorldStopped(t)
	var commands, piece string
	for _, s := range loginsDoc(t, "sh") {
		if strings.HasPrefix(s, "openssl") {
			commands = s
		}
	}
	for _, j := range loginsDoc(t, "jsonc") {
		if strings.Contains(j, `"Certificates"`) {
			piece = j
		}
	}
	work := t.TempDir()
	if out, err := runPeer(t, work, strings.ReplaceAll(commands, "example.com", "mail.test"), "bash", "-e"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.write("40-logins.conf", "// as the page has it\n"+strings.ReplaceAll(piece, "/etc/postrider/staff-ca.pem", filepath.Join(work, "staff-ca.pem")))
	must(t, "", "check", "-c", w.dir)
	w.start()
	c := exec.Command("openssl", "s_client", "-quiet", "-starttls", "pop3", "-connect", w.addrs["pop3"], "-cert", "alice.pem", "-key", "alice.key")
	c.Dir = work
	c.Stdin = strings.NewReader("AUTH EXTERNAL =\r\nSTAT\r\nQUIT\r\n")
	if out, err := c.Output(); err != nil || strings.Count(string(out), "+OK") < 3 {
		t.Errorf("%v\n%s", err, out)
	}
}
