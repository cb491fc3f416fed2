package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
)

// testSender is a program that people's programs send with. Each sends the subject "Grüße" with a text that has a line with a
// dot and long lines, and a file, from shop@example.com to bob@x.test.
type testSender struct {
	peer, needs string // the program, and a file of it that must be there; "" is none
	run         func(t *testing.T, s *sinkProcess, port, login string) (out string, err error)
}

const testText = "Zeile eins: äöü.\n.\n..two\nend"

// testSenders are given the login "user:password"; "" is none.
var testSenders = map[string]testSender{
	"PHPMailer": {"php", "/usr/share/php/libphp-phpmailer/src/PHPMailer.php", func(t *testing.T, _ *sinkProcess, port, login string) (string, error) {
		user, password, auth := strings.Cut(login, ":")
		return runPeer(t, t.TempDir(), fmt.Sprintf(`<?php
foreach (["Exception", "SMTP", "PHPMailer"] as $f) require "/usr/share/php/libphp-phpmailer/src/$f.php";
$m = new PHPMailer\PHPMailer\PHPMailer(true);
$m->isSMTP(); $m->Host = "127.0.0.1"; $m->Port = %s; $m->CharSet = "utf-8";
$m->SMTPAuth = %v; $m->Username = "%s"; $m->Password = "%s";
$m->SMTPOptions = ["ssl" => ["verify_peer" => false, "verify_peer_name" => false, "allow_self_signed" => true]];
$m->setFrom("shop@example.com", "Shop"); $m->addAddress("bob@x.test"); $m->addBCC("hidden@x.test");
$m->Subject = "Grüße"; $m->Body = %q; $m->addStringAttachment("one two three", "order.txt");
$m->send(); echo "sent";`, port, auth, user, password, testText), "php")
	}},
	"mail of Rails": {"ruby", "/usr/share/rubygems-integration/all/specifications/mail-2.7.1.gemspec", func(t *testing.T, _ *sinkProcess, port, login string) (string, error) {
		user, password, auth := strings.Cut(login, ":")
		settings := fmt.Sprintf(`address: "127.0.0.1", port: %s, openssl_verify_mode: OpenSSL::SSL::VERIFY_NONE, enable_starttls_auto: true`, port)
		if auth {
			settings += fmt.Sprintf(`, user_name: "%s", password: "%s", authentication: :plain`, user, password)
		}
		return runPeer(t, t.TempDir(), fmt.Sprintf(`
require "mail"
m = Mail.new do
  from "Shop <shop@example.com>"
  to "bob@x.test"
  bcc "hidden@x.test"
  subject "Grüße"
  body %q
  charset = "UTF-8"
  add_file filename: "order.txt", content: "one two three"
end
m.delivery_method :smtp, %s
m.deliver!
print "sent"`, testText, settings), "ruby", "-")
	}},
	"smtplib": {"python3", "", func(t *testing.T, _ *sinkProcess, port, login string) (string, error) {
		user, password, auth := strings.Cut(login, ":")
		steps := ""
		if auth {
			steps = fmt.Sprintf("s.login(%q, %q)", user, password)
		}
		return runPeer(t, t.TempDir(), fmt.Sprintf(`
import smtplib, ssl
from email.message import EmailMessage
m = EmailMessage()
m["From"], m["To"], m["Bcc"], m["Subject"] = "Shop <shop@example.com>", "bob@x.test", "hidden@x.test", "Grüße"
m.set_content(%q)
m.add_attachment(b"one two three", maintype="text", subtype="plain", filename="order.txt")
with smtplib.SMTP("127.0.0.1", %s) as s:
    s.ehlo()
    if s.has_extn("starttls"):
        c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
        s.starttls(context=c)
    %s
    s.send_message(m)
print("sent", end="")`, testText, port, steps), "python3", "-")
	}},
	"swaks": {"swaks", "", func(t *testing.T, _ *sinkProcess, port, login string) (string, error) {
		args := []string{"--silent", "2", "--server", "127.0.0.1:" + port, "--from", "shop@example.com", "--to", "bob@x.test,hidden@x.test", "--h-From", "Shop <shop@example.com>", "--h-To", "bob@x.test",
			"--tls-optional", "--h-Subject", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "--body", "-", "--attach-type", "text/plain", "--attach-name", "order.txt", "--attach", "one two three"}
		if user, password, auth := strings.Cut(login, ":"); auth {
			args = append(args, "--auth", "--auth-user", user, "--auth-password", password)
		}
		out, err := runPeer(t, t.TempDir(), testText, "swaks", args...)
		if err == nil {
			out = "sent"
		}
		return out, err
	}},
	"msmtp": {"msmtp", "", func(t *testing.T, _ *sinkProcess, port, login string) (string, error) {
		args := []string{"--host=127.0.0.1", "--port=" + port, "--from=shop@example.com", "--auth=off"}
		dir := t.TempDir()
		if user, password, auth := strings.Cut(login, ":"); auth {
			args[3] = "--auth=plain"
			args = append(args, "--user="+user, "--passwordeval=echo "+password)
		}
		out, err := runPeer(t, dir, "From: Shop <shop@example.com>\nTo: bob@x.test\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n"+testText+"\n--b\nContent-Disposition: attachment; filename=order.txt\n\none two three\n--b--\n",
			"msmtp", append(args, "bob@x.test", "hidden@x.test")...)
		if err == nil {
			out = "sent"
		}
		return out, err
	}},
}

// TestSinkSenders: what the libraries and programs send that people's programs send with comes as it was meant: without a login, with
// any, with one of a list, and under STARTTLS with a certificate that the sink has made; a wrong password is refused.
func TestSinkSenders(t *testing.T) {
	for name, sender := range testSenders {
		t.Run(name, func(t *testing.T) {
			peer(t, sender.peer)
			if _, err := os.Stat(sender.needs); sender.needs != "" && err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			for _, c := range []struct {
				args  []string
				login string
				fails bool
			}{
				{nil, "", false},
				{nil, "any:thing", false},
				{[]string{"--tls"}, "any:thing", false},
				{[]string{"--login", "u:p"}, "u:p", false},
				{[]string{"--login", "u:p"}, "u:wrong", true},
			} {
				if name == "msmtp" && c.login != "" {
					continue // it sends no password without TLS, and trusts no certificate made by itself
				}
				s := startSink(t, nil, c.args...)
				_, port, _ := net.SplitHostPort(s.smtp)
				out, err := sender.run(t, s, port, c.login)
				if failed := err != nil || !strings.HasSuffix(strings.TrimSpace(out), "sent"); failed != c.fails {
					t.Errorf("%q %q: %v %s", c.args, c.login, err, out)
				}
				if !c.fails {
					s.cameWhole(t, c.login, len(c.args) == 1)
				}
				s.stop(t)
			}
		})
	}
}

// cameWhole looks at the one message that a testSender has sent.
func (s *sinkProcess) cameWhole(t *testing.T, login string, underTLS bool) {
	t.Helper()
	var list struct{ Messages []struct{ ID string } }
	s.get(t, "/inboxes/hidden@x.test/messages", &list)
	if len(list.Messages) != 1 {
		t.Errorf("%d messages", len(list.Messages))
		return
	}
	var m struct {
		Subject, Text string
		From          struct{ Name, Address string }
		Envelope      struct {
			From, User string
			To         []string
			TLS        bool
		}
		Files   []struct{ FileName, PartID string }
		Defects []string
	}
	s.get(t, "/inboxes/-/messages/"+list.Messages[0].ID, &m)
	user, _, _ := strings.Cut(login, ":")
	if m.Subject != "Grüße" || m.From.Name != "Shop" || strings.TrimRight(m.Text, "\n") != testText || len(m.Files) != 1 || m.Files[0].FileName != "order.txt" || len(m.Defects) != 0 {
		t.Errorf("%+v", m)
	}
	if e := m.Envelope; e.From != "shop@example.com" || strings.Join(e.To, " ") != "bob@x.test hidden@x.test" || e.User != user || e.TLS != underTLS {
		t.Errorf("%+v", e)
	}
	resp, err := http.Get(s.http + "/api/v1/message/" + list.Messages[0].ID + "/part/" + m.Files[0].PartID)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); strings.TrimSpace(string(text)) != "one two three" {
		t.Errorf("the file is %q", text)
	}
}

// Mutt opens what --dir keeps while the sink runs; what it marks as read does no harm.
func TestSinkMutt(t *testing.T) {
	peer(t, "mutt")
	dir, out := t.TempDir(), t.TempDir()
	s := startSink(t, nil, "--dir", dir)
	for _, subject := range []string{"one", "two"} {
		if err := smtp.SendMail(t.Context(), s.smtp, "a@b.test", []string{"bob@x.test"}, strings.NewReader("From: a@b.test\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <"+subject+"@b.test>\r\nSubject: "+subject+"\r\n\r\nbody\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	conf := out + "/muttrc"
	if err := os.WriteFile(conf, []byte("set folder="+out+" mbox_type=Maildir confirmappend=no confirmcreate=no copy=no header_cache=\"\" wait_key=no timeout=1 sleep_time=0 quit=yes delete=no\npush \"<tag-pattern>~A<enter><tag-prefix-cond><copy-message>=saved<enter><end-cond><quit>\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := runPeer(t, out, "", "script", "-qec", "env TERM=xterm mutt -n -F "+conf+" -f "+dir, "/dev/null")
	if saved, _ := filepath.Glob(out + "/saved/*/*"); len(saved) != 2 {
		t.Fatalf("%v %q\n%q", err, said, saved)
	}
	for range 2 {
		var l struct {
			Messages []struct{ ID, Subject string }
		}
		s.get(t, "/inboxes/bob@x.test/messages", &l)
		if len(l.Messages) != 2 || l.Messages[0].Subject != "one" {
			t.Errorf("%+v", l)
		}
		for _, m := range l.Messages {
			var full struct{ Text string }
			if s.get(t, "/inboxes/-/messages/"+m.ID, &full); full.Text != "body\n" {
				t.Errorf("%+v", full)
			}
		}
		s.stop(t)
		s = startSink(t, nil, "--dir", dir)
	}
}
