package daemon

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// sinkServer is another host: it keeps what it takes and refuses "no-such".
func sinkServer(t *testing.T, options ...func(*smtp.Server)) (addr *net.TCPAddr, got chan string) {
	t.Helper()
	got = make(chan string, 10)
	s := &smtp.Server{
		Hostname: "far.test",
		CheckRcpt: func(_ context.Context, _ *smtp.Session, to *smtp.Recipient) error {
			if to.Path.Local == "no-such" {
				return smtp.ErrNoSuchUser
			}
			return nil
		},
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			text, err := io.ReadAll(e.Data)
			if err != nil {
				return err
			}
			var to []string
			for _, r := range e.To {
				to = append(to, r.Path.String())
			}
			got <- fmt.Sprintf("<%s> <%s>\n%s", e.From, strings.Join(to, ","), text)
			return nil
		}),
	}
	for _, o := range options {
		o(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().(*net.TCPAddr), got
}

func startRelaying(t *testing.T) (*testWorld, chan string) {
	t.Helper()
	sink, got := sinkServer(t)
	w := start(t, fmt.Sprintf(`
		"Domains": {"mail.test": {"catch_all": "bob@mail.test"}, "second.test": {}},
		"SMTP": {"relay_from": ["127.0.0.1/32"]},
		"Queue": {"forward": true, "Routes": [
			{"domain": "far.test", "host": "127.0.0.1", "port": %d, "tls": "none"},
			{"domain": "third.test", "host": "127.0.0.1", "port": %[1]d, "tls": "none"},
		]},
		"Aliases": {"away@mail.test": ["alice@mail.test", "Friend@far.test"], "gone@mail.test": "no-such@far.test", "only@mail.test": "friend@far.test"},
	`, sink.Port))
	return w, got
}

func receive(t *testing.T, got chan string) string {
	t.Helper()
	select {
	case m := <-got:
		return m
	case <-time.After(forEver):
		t.Fatal("nothing arrived")
		return ""
	}
}

// TestRelay: one message for a mailbox here and an address elsewhere reaches
// both, octet for octet, and only ours has a Return-Path.
func TestRelay(t *testing.T) {
	w, got := startRelaying(t)
	w.dial("127.0.0.1:0").play(`
		S: 220
		C: EHLO client.test
		S: 250
		C: MAIL FROM:<bob@mail.test>
		S: 250
		C: RCPT TO:<alice@mail.test>
		S: 250
		C: RCPT TO:<friend@far.test>
		S: 250
		C: DATA
		S: 354
		C: Subject: both\r\n\r\n..dot  \r\n.
		S: 250`)
	far := receive(t, got)
	if !strings.HasPrefix(far, "<bob@mail.test> <friend@far.test>\nReceived: from client.test ") || !strings.HasSuffix(far, "\r\nSubject: both\r\n\r\n.dot  \r\n") {
		t.Errorf("the other host got %q", far)
	}
	here := w.mailbox("alice@mail.test")
	if len(here) != 1 || !strings.HasPrefix(here[0], "Return-Path: <bob@mail.test>\r\nReceived: ") {
		t.Errorf("the mailbox here holds %q", here)
	}
}

// TestBounce: what the other host refuses comes back to the sender as a
// report that a program can read.
func TestBounce(t *testing.T) {
	w, _ := startRelaying(t)
	w.dial("127.0.0.1:0").play(`
		S: 220
		C: EHLO client.test
		S: 250
		C: MAIL FROM:<bob@mail.test>
		S: 250
		C: RCPT TO:<no-such@far.test>
		S: 250
		C: DATA
		S: 354
		C: Subject: lost\r\n\r\nx\r\n.
		S: 250`)
	var here []string
	waitFor(t, func() bool { return w.stored("bob@mail.test") > 0 })
	if here = w.mailbox("bob@mail.test"); len(here) != 1 {
		t.Fatalf("%d messages for the sender\n%s", len(here), w.logs)
	}
	for _, want := range []string{"Return-Path: <>\r\n", "multipart/report", "message/delivery-status",
		"Final-Recipient: rfc822; no-such@far.test", "Status: 5.1.1", "Action: failed", "Subject: lost"} {
		if !strings.Contains(strings.ReplaceAll(here[0], "rfc822;no", "rfc822; no"), want) {
			t.Errorf("the report lacks %q:\n%s", want, here[0])
		}
	}
}

// TestForward: an alias may lead here and elsewhere at once.
func TestForward(t *testing.T) {
	w, got := startRelaying(t)
	w.dial("127.0.0.1:0").play(`
		S: 220
		C: EHLO client.test
		S: 250
		C: MAIL FROM:<sender@third.test>
		S: 250
		C: RCPT TO:<away@mail.test>
		S: 250
		C: DATA
		S: 354
		C: Subject: f\r\n\r\nx\r\n.
		S: 250`)
	far := receive(t, got)
	if !strings.HasPrefix(far, "<SRS0=") || !strings.Contains(far, "=third.test=sender@mail.test> <Friend@far.test>\n") {
		t.Errorf("the other host got %q", far)
	}
	if n := len(w.mailbox("alice@mail.test")); n != 1 {
		t.Errorf("%d messages here", n)
	}
}
