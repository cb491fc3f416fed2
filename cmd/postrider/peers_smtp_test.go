package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sample is a message with what goes wrong most: dots at line starts, 8-bit
// text, a long line, blanks at line ends, blank lines at the end.
var sample = strings.ReplaceAll(`From: Alice <alice@mail.test>
To: Bob <bob@mail.test>
Subject: =?UTF-8?Q?gr=C3=BC=C3=9Fe?=
Date: Fri, 20 Nov 2026 12:00:00 +0000
Message-ID: <sample@mail.test>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

.
..
.leading dot
grüße, mit Leerzeichen am Ende   
`+strings.Repeat("x", 900)+`
	tab

.
end

`, "\n", "\r\n")

// sendCase is one way in which a client can be told to send the sample.
type sendCase struct {
	client string // the program needed
	name   string
	// send submits file (CRLF) or text (LF) to bob as alice.
	run func(w *world, t *testing.T, file, text string) (string, error)
}

func curlSend(listener, scheme string, extra ...string) func(*world, *testing.T, string, string) (string, error) {
	return func(w *world, t *testing.T, file, _ string) (string, error) {
		args := []string{"-sS", "--cacert", w.cert, scheme + "://" + w.addrs[listener],
			"--mail-from", user, "--mail-rcpt", "bob@mail.test", "-T", file}
		return runPeer(t, w.dir, "", "curl", append(args, extra...)...)
	}
}

func swaksSend(listener string, extra ...string) func(*world, *testing.T, string, string) (string, error) {
	return func(w *world, t *testing.T, _, text string) (string, error) {
		// swaks puts a line ending of its own behind the file.
		file := filepath.Join(t.TempDir(), "sample")
		if err := os.WriteFile(file, []byte(strings.TrimSuffix(text, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"--server", w.addrs[listener], "--from", user, "--to", "bob@mail.test",
			"--data", "@" + file}
		return runPeer(t, w.dir, "", "swaks", append(args, extra...)...)
	}
}

func msmtpSend(listener string, settings ...string) func(*world, *testing.T, string, string) (string, error) {
	return func(w *world, t *testing.T, _, text string) (string, error) {
		rc := filepath.Join(t.TempDir(), "msmtprc")
		lines := append([]string{"account default", "host " + w.host(listener), "port " + w.port(listener),
			"from " + user, "domain client.test", "tls_trust_file " + w.cert}, settings...)
		if err := os.WriteFile(rc, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return runPeer(t, w.dir, text, "msmtp", "-C", rc, "bob@mail.test")
	}
}

// pythonSMTP sends with smtplib; auth is a Python expression on connection c.
func pythonSMTP(listener, class string, starttls bool, auth string) func(*world, *testing.T, string, string) (string, error) {
	return func(w *world, t *testing.T, file, _ string) (string, error) {
		upgrade := ""
		if starttls {
			upgrade = "c.starttls(context=ctx); c.ehlo()"
		}
		tlsArg := ""
		if class == "SMTP_SSL" {
			tlsArg = ", context=ctx"
		}
		script := fmt.Sprintf(`
import smtplib, ssl
ctx = ssl.create_default_context(cafile=%q)
c = smtplib.%s(%q, %s%s)
c.ehlo()
%s
c.user, c.password = %q, %q
%s
c.sendmail(%q, ["bob@mail.test"], open(%q, "rb").read(), mail_options=["BODY=8BITMIME"])
c.quit()
`, w.cert, class, w.host(listener), w.port(listener), tlsArg, upgrade, user, password, auth, user, file)
		return runPeer(t, w.dir, "", "python3", "-c", script)
	}
}

// credentialsOf are msmtp's and mpop's lines for a login. The password stands
// in a file of the world.
func credentialsOf(auth string) []string {
	return []string{"auth " + auth, "user " + user, "passwordeval cat password"}
}

// TestClientsSend: whatever client a message is sent with, the mailbox holds
// the same octets.
func TestClientsSend(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(w.dir, "sample.eml")
	w.write("sample.eml", sample)
	text := strings.ReplaceAll(sample, "\r\n", "\n")
	login := []string{"-u", user + ":" + password}
	with := func(base []string, more ...string) []string { return append(slices.Clone(base), more...) }
	swaksAuth := func(mech string) []string {
		return []string{"--auth", mech, "--auth-user", user, "--auth-password", password}
	}
	startTLS := []string{"tls on", "tls_starttls on"}
	implicit := []string{"tls on", "tls_starttls off"}
	cases := []sendCase{
		{"curl", "plain port 25", curlSend("smtp", "smtp")},
		{"curl", "STARTTLS port 25", curlSend("smtp", "smtp", "--ssl-reqd")},
		{"curl", "submission STARTTLS PLAIN", curlSend("submission", "smtp", with(login, "--ssl-reqd", "--login-options", "AUTH=PLAIN")...)},
		{"curl", "submission STARTTLS LOGIN", curlSend("submission", "smtp", with(login, "--ssl-reqd", "--login-options", "AUTH=LOGIN")...)},
		{"curl", "submission CRAM-MD5", curlSend("submission", "smtp", with(login, "--login-options", "AUTH=CRAM-MD5")...)},
		{"curl", "submissions PLAIN", curlSend("submissions", "smtps", with(login, "--login-options", "AUTH=PLAIN")...)},
		{"swaks", "plain port 25", swaksSend("smtp")},
		{"swaks", "pipelined port 25", swaksSend("smtp", "--pipeline")},
		{"swaks", "submission STARTTLS PLAIN", swaksSend("submission", with(swaksAuth("PLAIN"), "--tls")...)},
		{"swaks", "submission STARTTLS LOGIN", swaksSend("submission", with(swaksAuth("LOGIN"), "--tls")...)},
		{"swaks", "submission CRAM-MD5", swaksSend("submission", swaksAuth("CRAM-MD5")...)},
		{"swaks", "submissions PLAIN", swaksSend("submissions", with(swaksAuth("PLAIN"), "--tlsc")...)},
		{"msmtp", "plain port 25", msmtpSend("smtp", "auth off", "tls off")},
		{"msmtp", "STARTTLS plain", msmtpSend("submission", with(startTLS, credentialsOf("plain")...)...)},
		{"msmtp", "STARTTLS login", msmtpSend("submission", with(startTLS, credentialsOf("login")...)...)},
		{"msmtp", "STARTTLS cram-md5", msmtpSend("submission", with(startTLS, credentialsOf("cram-md5")...)...)},
		{"msmtp", "STARTTLS scram-sha-256", msmtpSend("submission", with(startTLS, credentialsOf("scram-sha-256")...)...)},
		{"msmtp", "STARTTLS strongest", msmtpSend("submission", with(startTLS, credentialsOf("on")...)...)},
		{"msmtp", "implicit plain", msmtpSend("submissions", with(implicit, credentialsOf("plain")...)...)},
		{"msmtp", "implicit strongest", msmtpSend("submissions", with(implicit, credentialsOf("on")...)...)},
		{"python3", "smtplib plain", pythonSMTP("smtp", "SMTP", false, "")},
		{"python3", "smtplib STARTTLS login()", pythonSMTP("submission", "SMTP", true, "c.login(c.user, c.password)")},
		{"python3", "smtplib STARTTLS PLAIN", pythonSMTP("submission", "SMTP", true, `c.auth("PLAIN", c.auth_plain)`)},
		{"python3", "smtplib STARTTLS PLAIN in two steps", pythonSMTP("submission", "SMTP", true, `c.auth("PLAIN", c.auth_plain, initial_response_ok=False)`)},
		{"python3", "smtplib STARTTLS LOGIN", pythonSMTP("submission", "SMTP", true, `c.auth("LOGIN", c.auth_login)`)},
		{"python3", "smtplib CRAM-MD5", pythonSMTP("submission", "SMTP", false, `c.auth("CRAM-MD5", c.auth_cram_md5)`)},
		{"python3", "smtplib implicit TLS", pythonSMTP("submissions", "SMTP_SSL", false, "c.login(c.user, c.password)")},
	}
	for _, c := range cases {
		t.Run(c.client+" "+c.name, func(t *testing.T) {
			peer(t, c.client)
			out, err := c.run(w, t, file, text)
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, out, tail(w.log))
			}
			got := w.fetchAll("bob@mail.test")
			if len(got) != 1 {
				t.Fatalf("%d messages arrived\n%s", len(got), tail(w.log))
			}
			if body := untraced(t, got[0]); body != sample {
				t.Error(difference(body, sample))
			}
		})
	}
}
