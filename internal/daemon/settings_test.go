package daemon

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
)

// announced are the keywords a listener answers EHLO with.
func (k *talk) announced() map[string]bool {
	k.t.Helper()
	fmt.Fprint(k.c, "EHLO c.test\r\n")
	words := make(map[string]bool)
	for first, more := true, true; more; first = false {
		line, err := k.r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "250") {
			k.t.Fatalf("%v: %q", err, line)
		}
		more = line[3] == '-'
		if !first {
			words[strings.Fields(line[4:])[0]] = true
		}
	}
	return words
}

// TestAnnounced: every extension is announced where it works and nowhere
// else.
func TestAnnounced(t *testing.T) {
	w := start(t, "")
	always := []string{"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"}
	for _, c := range []struct {
		listener string
		tls      bool
		with     []string
		without  []string
	}{
		{"127.0.0.1:0", false, []string{"STARTTLS"}, []string{"AUTH", "XCLIENT", "REQUIRETLS"}},
		{"127.0.0.1:0", true, nil, []string{"AUTH", "STARTTLS"}},
		{"127.0.0.2:0", false, []string{"STARTTLS"}, []string{"REQUIRETLS"}},
		{"127.0.0.2:0", true, []string{"AUTH"}, []string{"STARTTLS"}},
	} {
		k := w.dial(c.listener)
		k.play("S: 220")
		if c.tls {
			k.play("C: EHLO c.test\nS: 250")
			k.startTLS("STARTTLS", "220")
		}
		words := k.announced()
		for _, word := range append(c.with, always...) {
			if !words[word] {
				t.Errorf("%s, TLS %v: %s is missing in %v", c.listener, c.tls, word, words)
			}
		}
		for _, word := range c.without {
			if words[word] {
				t.Errorf("%s, TLS %v: %s is announced", c.listener, c.tls, word)
			}
		}
	}
}

// TestListenersOwn: what a listener says for itself counts there, and there
// alone.
func TestListenersOwn(t *testing.T) {
	w := start(t, "")
	k := w.dial("127.0.0.8:0")
	k.play("S: 220 mail.test ESMTP own words\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<a@far.test>\nS: 530 5.7.0")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO c.test\nS: 250\nC: MAIL FROM:<a@far.test> SIZE=65537\nS: 552 5.3.4\nC: MAIL FROM:<a@far.test>\nS: 250")
	for range 100 {
		k.play("C: RCPT TO:<alice@mail.test>\nS: 250")
	}
	k.play("C: RCPT TO:<alice@mail.test>\nS: 452 4.5.3")
	w.dial("127.0.0.8:0").play("S: 220")
	w.dial("127.0.0.8:0").play("S: 421 4.7.0")
	k = w.dial("127.0.0.1:0")
	k.play("S: 220 mail.test ESMTP Postrider\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<a@far.test> SIZE=65537\nS: 250")

	k = w.dial("127.0.0.9:0")
	k.play("S: +OK own words\nC: STLS\nS: -ERR\nC: USER alice@mail.test\nS: -ERR")
}

// TestSettingsCount: a setting that is written down has its effect on the
// wire. A library's tests cannot see one that was never passed on.
func TestSettingsCount(t *testing.T) {
	t.Parallel()
	plain := base64.StdEncoding.EncodeToString([]byte("\x00alice@mail.test\x00" + testPassword))
	const hello, mail = "S: 220\nC: EHLO c.test\nS: 250\n", "C: MAIL FROM:<a@far.test>\nS: 250\n"
	for _, c := range []struct{ setting, listener, script string }{
		{`"SMTP": {"max_message_size": "100KiB"}`, "127.0.0.1:0", hello + "C: MAIL FROM:<a@far.test> SIZE=102401\nS: 552 5.3.4"},
		{`"SMTP": {"max_errors": 2}`, "127.0.0.1:0", hello + "C: FOO\nS: 500\nC: FOO\nS: 500\nS: 421"},
		{`"SMTP": {"greeting": "no advertisements"}`, "127.0.0.1:0", "S: 220 mail.test ESMTP no advertisements"},
		{`"POP3": {"xclient_from": ["127.0.0.0/8"]}`, "127.0.0.4:0", "S: +OK\nC: XCLIENT ADDR=192.0.2.1 PORT=5\nS: +OK"},
		{`"POP3": {"xclient_from": ["192.0.2.0/24"]}`, "127.0.0.4:0", "S: +OK\nC: XCLIENT ADDR=192.0.2.1 PORT=5\nS: -ERR unknown"},
		{`"SMTP": {"xclient_from": ["127.0.0.0/8"]}`, "127.0.0.1:0", hello + "C: XCLIENT ADDR=192.0.2.1\nS: 220"},
		{`"SMTP": {"cleartext_auth": true}`, "127.0.0.2:0", hello + "C: AUTH PLAIN " + plain + "\nS: 235"},
		{`"SMTP": {"max_auth_failures": 1, "cleartext_auth": true}`, "127.0.0.2:0", hello + "C: AUTH PLAIN AGEAYg==\nS: 535\nS: 421"},
		{`"Auth": {"mechanisms": ["SCRAM-SHA-256"]}, "SMTP": {"cleartext_auth": true}`, "127.0.0.2:0", hello + "C: AUTH PLAIN " + plain + "\nS: 504"},
		{`"POP3": {"greeting": "hello there"}`, "127.0.0.4:0", "S: +OK hello there"},
		{`"POP3": {"utf8": true}`, "127.0.0.4:0", "S: +OK\nC: UTF8\nS: +OK"},
		{`"POP3": {"cleartext_auth": true}`, "127.0.0.4:0", "S: +OK\nC: USER alice@mail.test\nS: +OK\nC: PASS " + testPassword + "\nS: +OK"},
		{`"POP3": {"max_errors": 1}`, "127.0.0.4:0", "S: +OK\nC: FOO\nS: -ERR"},
		{`"Domains": {"d.test": {"catch_all": "alice@mail.test"}}`, "127.0.0.1:0", hello + mail + "C: RCPT TO:<whoever@d.test>\nS: 250"},
		{`"Domains": {"d.test": {"plus": "-", "Aliases": {"x": "alice@mail.test"}}}`, "127.0.0.1:0", hello + mail + "C: RCPT TO:<x-y@d.test>\nS: 250\nC: RCPT TO:<x+y@d.test>\nS: 550"},
		{`"Domains": {"d.test": {"plus": "none", "Aliases": {"x": "alice@mail.test"}}}`, "127.0.0.1:0", hello + mail + "C: RCPT TO:<x+y@d.test>\nS: 550"},
		{`"postmaster": "bob@mail.test"`, "127.0.0.1:0", hello + mail + "C: RCPT TO:<postmaster>\nS: 250\nC: RCPT TO:<abuse@mail.test>\nS: 250"},
	} {
		t.Run(c.setting, func(t *testing.T) {
			w := start(t, c.setting+",")
			w.dial(c.listener).play(c.script)
		})
	}
}

// TestBareNewline: line endings that are not CRLF are refused, or made whole
// for all, or for those who are named.
func TestBareNewline(t *testing.T) {
	for setting, want := range map[string]string{
		`"bare_newline": "reject"`:             "550 5.",
		`"bare_newline": "normalise"`:          "250 2.0.0",
		`"normalise_from": ["127.0.0.0/8"]`:    "250 2.0.0",
		`"normalise_from": ["192.168.0.0/16"]`: "550 5.",
	} {
		w := start(t, `"SMTP": {`+setting+`},`)
		k := w.dial("127.0.0.1:0")
		k.play("S: 220\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354")
		fmt.Fprint(k.c, "Subject: b\r\n\r\none\ntwo\r\n.\r\n")
		k.play("S: " + want + "\nC: NOOP\nS: 250")
		if got := w.mailbox("alice@mail.test"); len(got) > 0 && !strings.HasSuffix(got[0], "\r\n\r\none\r\ntwo\r\n") {
			t.Errorf("%s: %q", setting, got)
		}
	}
}

// TestMinVersion: TLS 1.2 is refused where 1.3 is demanded.
func TestMinVersion(t *testing.T) {
	w := start(t, `"TLS": {"min_version": "1.3"},`)
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK\nC: STLS\nS: +OK")
	c := tls.Client(k.c, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if c.Handshake() == nil {
		t.Error("TLS 1.2 is spoken")
	}
}

// TestQuotaMessages: a mailbox may hold so many messages.
func TestQuotaMessages(t *testing.T) {
	w := start(t, `"Store": {"quota_messages": 1},`)
	const message = "C: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: %s\n"
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250\n" + fmt.Sprintf(message, "250") + "C: DATA\nS: 354\nC: x: y\\r\\n\\r\\n.\nS: 250\n" + fmt.Sprintf(message, "452 4.2.2"))
}

// TestInUse: a mailbox has one reader at a time, and the second hears why.
func TestInUse(t *testing.T) {
	w := start(t, "")
	login := func(want string) *talk {
		k := w.dial("127.0.0.4:0")
		k.play("S: +OK")
		k.startTLS("STLS", "+OK")
		k.play("C: USER alice@mail.test\nS: +OK\nC: PASS " + testPassword + "\nS: " + want)
		return k
	}
	first := login("+OK")
	login("-ERR [IN-USE]")
	first.play("C: QUIT\nS: +OK")
	login("+OK")
}

// TestDirectoryGone: a mailbox, or all of them, removed under the running
// daemon costs what was in it, and nothing else.
func TestDirectoryGone(t *testing.T) {
	w := start(t, "")
	send := func() {
		t.Helper()
		w.dial("127.0.0.1:0").play("S: 220\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\nC: x: y\\r\\n\\r\\n.\nS: 250\nC: QUIT\nS: 221")
	}
	send()
	for _, dir := range []string{"/data/mail/mail.test/alice", "/data/mail/mail.test"} {
		if err := os.RemoveAll(w.dir + dir); err != nil {
			t.Fatal(err)
		}
		if n := len(w.mailbox("alice@mail.test")); n != 0 {
			t.Errorf("%d messages in a mailbox that was removed", n)
		}
		if err := os.RemoveAll(w.dir + dir); err != nil {
			t.Fatal(err)
		}
		send()
		if n := len(w.mailbox("alice@mail.test")); n != 1 {
			t.Errorf("%s was removed, a message accepted after that, and %d are there", dir, n)
		}
	}
}
