package main

import (
	"fmt"
	netsmtp "net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// deliver puts a message into mailboxes the plain way, with the standard
// library's client.
func (w *world) deliver(message string, to ...string) {
	w.t.Helper()
	c, err := netsmtp.Dial(w.addrs["smtp"])
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("sender@elsewhere.test"); err != nil {
		w.t.Fatal(err)
	}
	for _, rcpt := range to {
		if err := c.Rcpt(rcpt); err != nil {
			w.t.Fatal(err)
		}
	}
	d, err := c.Data()
	if err != nil {
		w.t.Fatal(err)
	}
	fmt.Fprint(d, message)
	if err := d.Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		w.t.Fatal(err)
	}
}

type fetchCase struct {
	client string
	name   string
	// run fetches the only message and returns its text, line endings as the
	// client leaves them.
	run func(w *world, t *testing.T) (message, output string, err error)
}

func curlFetch(listener, scheme string, extra ...string) func(*world, *testing.T) (string, string, error) {
	return func(w *world, t *testing.T) (string, string, error) {
		out := filepath.Join(t.TempDir(), "out")
		args := append([]string{"-sS", "--cacert", w.cert, "-u", user + ":" + password, "-o", out,
			scheme + "://" + w.addrs[listener] + "/1"}, extra...)
		said, err := runPeer(t, w.dir, "", "curl", args...)
		text, _ := os.ReadFile(out)
		return string(text), said, err
	}
}

func mpopFetch(listener string, settings ...string) func(*world, *testing.T) (string, string, error) {
	return func(w *world, t *testing.T) (string, string, error) {
		dir := t.TempDir()
		rc, box := filepath.Join(dir, "mpoprc"), filepath.Join(dir, "box")
		for _, d := range []string{box, box + "/tmp", box + "/new", box + "/cur"} {
			if err := os.Mkdir(d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		lines := append([]string{"account default", "host " + w.host(listener), "port " + w.port(listener),
			"tls_trust_file " + w.cert, "delivery maildir " + box, "uidls_file " + filepath.Join(dir, "uidls"),
			"received_header off", "keep on"}, settings...)
		if err := os.WriteFile(rc, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		said, err := runPeer(t, w.dir, "", "mpop", "-C", rc)
		return onlyFile(t, filepath.Join(box, "new")), said, err
	}
}

func fetchmailFetch(listener string, options string) func(*world, *testing.T) (string, string, error) {
	return func(w *world, t *testing.T) (string, string, error) {
		dir := t.TempDir()
		rc, out := filepath.Join(dir, "fetchmailrc"), filepath.Join(dir, "out")
		quoted := strings.ReplaceAll(password, `"`, `\042`)
		text := fmt.Sprintf("poll %s service %s protocol pop3 uidl\n user %q there with password \"%s\"\n %s\n keep fetchall no rewrite\n mda \"cat >%s\"\n",
			w.host(listener), w.port(listener), user, quoted, strings.ReplaceAll(options, "CERT", w.cert), out)
		if err := os.WriteFile(rc, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		said, err := runPeer(t, dir, "", "fetchmail", "-f", rc, "--nodetach", "--nosyslog", "--invisible", "-v")
		got, _ := os.ReadFile(out)
		return string(got), said, err
	}
}

func pythonPOP3(listener, class string, stls bool, login string) func(*world, *testing.T) (string, string, error) {
	return func(w *world, t *testing.T) (string, string, error) {
		out := filepath.Join(t.TempDir(), "out")
		tlsArg, upgrade := "", ""
		if class == "POP3_SSL" {
			tlsArg = ", context=ctx"
		}
		if stls {
			upgrade = "c.stls(ctx)"
		}
		script := fmt.Sprintf(`
import poplib, ssl
ctx = ssl.create_default_context(cafile=%q)
c = poplib.%s(%q, %s%s)
%s
user, password = %q, %q
%s
count, size = c.stat()
assert count == 1, count
resp, lines, octets = c.retr(1)
text = b"".join(l + b"\r\n" for l in lines)
assert len(text) == size, (len(text), size)
assert c.list(1).split()[2] == str(size).encode()
assert c.uidl(1) == b"+OK 1 " + c.uidl()[1][0].split()[1]
head = c.top(1, 0)[1]
assert head[-1] == b"", head[-1]
open(%q, "wb").write(text)
c.quit()
`, w.cert, class, w.host(listener), w.port(listener), tlsArg, upgrade, user, password, login, out)
		said, err := runPeer(t, w.dir, "", "python3", "-c", script)
		got, _ := os.ReadFile(out)
		return string(got), said, err
	}
}

func perlPOP3(listener string) func(*world, *testing.T) (string, string, error) {
	return func(w *world, t *testing.T) (string, string, error) {
		// A base Debian has perl, and neither of these.
		if exec.Command("perl", "-MNet::POP3", "-MIO::Socket::SSL", "-e", "1").Run() != nil {
			missing(t, "perl's Net::POP3 or IO::Socket::SSL")
		}
		script := fmt.Sprintf(`
use strict; use Net::POP3;
my $c = Net::POP3->new(%q, Port => %s, SSL => 1, SSL_ca_file => %q) or die "connect: $@";
defined $c->login($ARGV[0], $ARGV[1]) or die "login: " . $c->message;
my $lines = $c->get(1) or die "get: " . $c->message;
binmode STDOUT; print @$lines;
$c->quit;
`, w.host(listener), w.port(listener), w.cert)
		out, err := runPeer(t, w.dir, "", "perl", "-e", script, user, password)
		return out, out, err
	}
}

func onlyFile(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		return fmt.Sprintf("%d files", len(entries))
	}
	text, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestClientsFetch: whatever client fetches a message, it gets the octets that
// were sent, below the trace fields.
func TestClientsFetch(t *testing.T) {
	w := newWorld(t)
	w.deliver(sample, user)
	stls := []string{"tls on", "tls_starttls on"}
	implicit := []string{"tls on", "tls_starttls off"}
	join := func(a, b []string) []string { return append(append([]string{}, a...), b...) }
	cases := []fetchCase{
		{"curl", "implicit", curlFetch("pop3s", "pop3s")},
		{"curl", "STLS", curlFetch("pop3", "pop3", "--ssl-reqd")},
		{"curl", "STLS PLAIN", curlFetch("pop3", "pop3", "--ssl-reqd", "--login-options", "AUTH=PLAIN")},
		{"curl", "STLS LOGIN", curlFetch("pop3", "pop3", "--ssl-reqd", "--login-options", "AUTH=LOGIN")},
		{"curl", "CRAM-MD5 in clear", curlFetch("pop3", "pop3", "--login-options", "AUTH=CRAM-MD5")},
		{"curl", "APOP in clear", curlFetch("pop3", "pop3", "--login-options", "AUTH=+APOP")},
		{"mpop", "STLS user", mpopFetch("pop3", join(stls, credentialsOf("user"))...)},
		{"mpop", "STLS plain", mpopFetch("pop3", join(stls, credentialsOf("plain"))...)},
		{"mpop", "STLS login", mpopFetch("pop3", join(stls, credentialsOf("login"))...)},
		{"mpop", "STLS cram-md5", mpopFetch("pop3", join(stls, credentialsOf("cram-md5"))...)},
		{"mpop", "STLS scram-sha-256", mpopFetch("pop3", join(stls, credentialsOf("scram-sha-256"))...)},
		{"mpop", "STLS strongest", mpopFetch("pop3", join(stls, credentialsOf("on"))...)},
		{"mpop", "implicit user", mpopFetch("pop3s", join(implicit, credentialsOf("user"))...)},
		{"mpop", "implicit strongest", mpopFetch("pop3s", join(implicit, credentialsOf("on"))...)},
		{"mpop", "clear apop", mpopFetch("pop3", join([]string{"tls off"}, credentialsOf("apop"))...)},
		{"fetchmail", "implicit", fetchmailFetch("pop3s", `ssl sslcertfile "CERT" sslcertck sslcommonname "mail.test"`)},
		{"fetchmail", "STLS", fetchmailFetch("pop3", `sslproto "TLS1.2+" sslcertfile "CERT" sslcertck sslcommonname "mail.test"`)},
		{"python3", "poplib implicit", pythonPOP3("pop3s", "POP3_SSL", false, "c.user(user); c.pass_(password)")},
		{"python3", "poplib STLS", pythonPOP3("pop3", "POP3", true, "c.user(user); c.pass_(password)")},
		{"python3", "poplib APOP", pythonPOP3("pop3", "POP3", false, "c.apop(user, password)")},
		{"perl", "Net::POP3 implicit", perlPOP3("pop3s")},
	}
	for _, c := range cases {
		t.Run(c.client+" "+c.name, func(t *testing.T) {
			peer(t, c.client)
			message, said, err := c.run(w, t)
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, said, tail(w.log))
			}
			got := strings.ReplaceAll(strings.ReplaceAll(message, "\r\n", "\n"), "\n", "\r\n")
			if body := untraced(t, got); body != sample {
				t.Errorf("%s\nclient: %s", difference(body, sample), said)
			}
		})
	}
}
