package daemon

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
)

// TestEnhancedCodes: every reply but greetings, EHLO's and intermediate ones
// has an enhanced code of its class (RFC 2034), and every refusal names the
// session, so that who complains can be found in the log.
func TestEnhancedCodes(t *testing.T) {
	w := start(t, `"SMTP": {"max_errors": 1000},`)
	lines := []string{
		"", "FOO", "MAIL FROM:<a@far.test>", "RCPT TO:<alice@mail.test>", "DATA", "BDAT", "HELP", "HELP MAIL", "NOOP", "NOOP x", "RSET", "RSET x",
		"EHLO", "HELO", "VRFY", "VRFY alice", "VRFY <alice@mail.test>", "EXPN", "EXPN team", "AUTH PLAIN", "STARTTLS x", "ETRN mail.test", "TURN", "XCLIENT ADDR=1.2.3.4",
		"EHLO c.test", "MAIL", "MAIL FROM:", "MAIL FROM:<a@", "MAIL FROM:<a@far.test> SIZE=999999999999", "MAIL FROM:<a@far.test> FOO=BAR", "MAIL FROM:<ä@far.test>",
		"MAIL FROM:<a@far.test>", "MAIL FROM:<b@far.test>", "RCPT", "RCPT TO:<>", "RCPT TO:<nobody@mail.test>", "RCPT TO:<x@far.test>", "RCPT TO:<alice@mail.test> FOO", "DATA",
		"RCPT TO:<alice@mail.test>", "DATA x", "BDAT x", "EHLO c.test", "QUIT",
	}
	k := w.dial("127.0.0.1:0")
	k.play("S: 220")
	enhanced := regexp.MustCompile(`^([245])\d\d[ -]([245])\.\d{1,3}\.\d{1,3} \S`)
	for _, line := range lines {
		fmt.Fprintf(k.c, "%s\r\n", line)
		for more := true; more; {
			reply, err := k.r.ReadString('\n')
			if err != nil {
				t.Fatalf("after %q: %v", line, err)
			}
			more = len(reply) > 3 && reply[3] == '-'
			if strings.HasPrefix(line, "EHLO ") || strings.HasPrefix(reply, "3") {
				continue
			}
			m := enhanced.FindStringSubmatch(reply)
			if m == nil || m[1] != m[2] {
				t.Errorf("%q is answered %q", line, reply)
			}
			if !more && reply[0] != '2' && !strings.Contains(reply, "(") {
				t.Errorf("%q is answered %q, which does not name the session", line, reply)
			}
		}
		if line == "BDAT" || line == "BDAT x" { // its octets could not be told from commands
			if _, err := k.r.Peek(1); err != nil {
				k = w.dial("127.0.0.1:0")
				k.play("S: 220\nC: EHLO c.test\nS: 250")
			}
		}
	}
}

// TestReceivedIsTrue: the trace field is in the grammar and says who, how and
// when (RFC 5321 section 4.4, RFC 3848).
func TestReceivedIsTrue(t *testing.T) {
	w := start(t, "")
	for _, c := range []struct{ listener, hello, with string }{
		{"127.0.0.1:0", "HELO", "SMTP"},
		{"127.0.0.1:0", "EHLO", "ESMTP"},
		{"127.0.0.1:0", "STARTTLS", "ESMTPS"},
		{"127.0.0.1:0", "SMTPUTF8", "UTF8SMTP"},
		{"lmtp", "LHLO", "LMTP"},
	} {
		k := w.dial(c.listener)
		hello, param := c.hello, ""
		k.play("S: 220")
		switch c.hello {
		case "STARTTLS":
			k.play("C: EHLO c.test\nS: 250")
			k.startTLS("STARTTLS", "220")
			hello = "EHLO"
		case "SMTPUTF8":
			hello, param = "EHLO", " SMTPUTF8"
		}
		said := k.play(fmt.Sprintf("C: %s c.test\nS: 250\nC: MAIL FROM:<a@far.test>%s\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\nC: X-With: %s\\r\\n\\r\\nx\\r\\n.\nS: 250", hello, param, c.with))
		var message string
		for _, m := range w.mailbox("alice@mail.test") {
			if strings.Contains(m, "X-With: "+c.with+"\r\n") {
				message = m
			}
		}
		parsed, err := rfc2822.ReadString(message)
		if err != nil {
			t.Fatal(err)
		}
		r, ok := rfc2822.ParseReceived(parsed.Header.Get("Received"))
		if !ok || r.From != "c.test" || r.By != "mail.test" || r.With != c.with || r.For != "alice@mail.test" || r.ID == "" || !strings.Contains(said, r.ID) ||
			time.Since(r.Date) > time.Minute || (r.TLS != "") != (c.with == "ESMTPS") {
			t.Errorf("%s: %v %+v of\n%s", c.hello, ok, r, message)
		}
		if loopback := netip.MustParseAddr("127.0.0.1"); c.listener != "lmtp" && r.FromIP != loopback {
			t.Errorf("%s: the client's address is %v", c.hello, r.FromIP)
		}
	}
}

// TestLogJSON: every line is an object; one sums up each session, one tells of the
// message's only copy, and all lines of a session have its id.
func TestLogJSON(t *testing.T) {
	w := start(t, `"Log": {"format": "json"},`)
	w.dial("127.0.0.1:0").play("S: 220\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: RCPT TO:<nobody@mail.test>\nS: 550\nC: DATA\nS: 354\nC: Subject: j\\r\\n\\r\\nx\\r\\n.\nS: 250\nC: QUIT\nS: 221")
	if n := len(w.mailbox("alice@mail.test")); n != 1 {
		t.Fatalf("%d messages", n)
	}
	w.stop()
	sessions := make(map[string][]string)
	for line := range strings.Lines(w.logs.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if id, ok := entry["session"].(string); ok {
			sessions[id] = append(sessions[id], fmt.Sprint(entry["msg"]))
		} else if entry["remote"] != nil {
			t.Errorf("a line of a session without its id: %s", line)
		}
	}
	summed := make(map[string]int)
	for _, lines := range sessions {
		for _, msg := range lines {
			summed[msg]++
		}
	}
	if len(sessions) != 2 || summed["smtp session"] != 1 || summed["pop3 session"] != 1 || summed["delivered"] != 1 || summed["message accepted"] != 0 {
		t.Errorf("of one SMTP and one POP3 session and one message the log says %v", sessions)
	}
}
