package queue

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// notice delivers one entry that fails, and returns the parts of what its
// sender gets.
func notice(t *testing.T, e *Entry, body string, answer Result, age time.Duration) (m *Notification, header mail.Header, parts []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.world.answer = func(*Delivery, Recipient) Result { return answer }
		f.run(t)
		defer f.stop(t)
		if err := f.Submit(t.Context(), e, strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(age)
		synctest.Wait()
		if len(f.notes.all) != 1 {
			t.Fatalf("notifications %q", f.notes.kinds())
		}
		m = f.notes.all[0]
	})
	msg, err := mail.ReadMessage(bytes.NewReader(m.Message))
	if err != nil {
		t.Fatal(err)
	}
	typ, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || typ != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("%s %v, %v", typ, params, err)
	}
	r := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return m, msg.Header, parts
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(p)
		if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "base64") {
			b, _ = base64.StdEncoding.DecodeString(strings.ReplaceAll(string(b), "\r\n", ""))
		}
		parts = append(parts, p.Header.Get("Content-Type")+"\n"+string(b))
	}
}

func contains(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in\n%s", w, text)
		}
	}
}

func TestBounce(t *testing.T) {
	e := entry("a", "bob@example.net")
	e.Params.EnvID, e.Params.Ret = "QQ+1", smtp.RetFull
	e.To[0].Params.ORcptType, e.To[0].Params.ORcpt = "rfc822", "robert@example.net"
	m, header, parts := notice(t, e, message, never5, 0)
	if m.To != address("ann@example.org") || m.Kind != Bounce || header.Get("To") == "" || header.Get("Auto-Submitted") == "" {
		t.Errorf("%+v %v", m, header)
	}
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	contains(t, parts[0], "text/plain", "bob@example.net")
	contains(t, parts[1], "message/delivery-status", "Reporting-MTA: dns; mail.example.org", "Original-Envelope-Id: QQ+1",
		"Final-Recipient: rfc822; bob@example.net", "Original-Recipient: rfc822; robert@example.net", "Action: failed", "Status: 5.1.1",
		"Remote-MTA: dns; mx.example.net", "Diagnostic-Code: smtp; 550 5.1.1 No such user")
	contains(t, parts[2], "message/rfc822", message)
}

func TestRemoteMTA(t *testing.T) {
	for host, want := range map[string]string{
		"mx.example.net [192.0.2.1]:25": "mx.example.net", "192.0.2.1:2525": "[192.0.2.1]", "[2001:db8::1]:25": "[2001:db8::1]", "/run/lmtp": "/run/lmtp", "": "",
	} {
		if got := remoteMTA(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func TestBounceHeadersOnly(t *testing.T) {
	e := entry("a", "bob@example.net")
	e.Params.Ret = "HDRS"
	_, _, parts := notice(t, e, message, never5, 0)
	contains(t, parts[2], "text/rfc822-headers", "Subject: hello")
	if strings.Contains(parts[2], "body") {
		t.Errorf("the body is returned: %s", parts[2])
	}
	// A large message goes back as headers, whatever was asked.
	e.Params.Ret = "FULL"
	m, _, parts := notice(t, e, message+strings.Repeat("x\r\n", returnMost), never5, 0)
	if len(m.Message) > 10000 || !strings.Contains(parts[2], "Subject: hello") {
		t.Errorf("a bounce of %d octets", len(m.Message))
	}
}

func TestExpiredBounce(t *testing.T) {
	e := entry("a", "bob@example.net")
	e.To[0].Params.Notify = smtp.NotifyFailure // no warning before
	_, _, parts := notice(t, e, message, gone, 6*24*time.Hour)
	contains(t, parts[1], "Action: failed", "Status: 4.4.7", "connection refused")
}

func TestDelayAndSuccess(t *testing.T) {
	e := entry("a", "bob@example.net")
	m, _, parts := notice(t, e, message, grey, 6*time.Hour)
	contains(t, parts[1], "Action: delayed", "Status: 4.7.1", "Will-Retry-Until: ")
	if m.Kind != Delay || strings.Contains(string(m.Message), "\r\nbody\r\n") {
		t.Errorf("%s", m.Message)
	}
	e.To[0].Params.Notify = smtp.NotifySuccess
	m, _, parts = notice(t, e, message, ok, 0)
	contains(t, parts[1], "Action: relayed", "Status: 2.0.0")
	if m.Kind != Success {
		t.Error(m.Kind)
	}
	lmtp := ok
	lmtp.Final = true
	_, _, parts = notice(t, e, message, lmtp, 0)
	contains(t, parts[1], "Action: delivered")
}

// TestHostileReply: what another host says cannot add fields or parts.
func TestHostileReply(t *testing.T) {
	bad := never5
	bad.Text = "no\r\nAction: delivered\r\n\r\n--x\r\nSubject: y\x00\xff"
	bad.Host = "mx.example.net\r\nX: y [192.0.2.1]:25"
	_, header, parts := notice(t, entry("a", "bob@example.net"), message, bad, 0)
	if len(parts) != 3 || header.Get("X") != "" {
		t.Fatalf("%d parts, %v", len(parts), header)
	}
	for line := range strings.SplitSeq(parts[1], "\n") {
		if strings.HasPrefix(line, "Action: delivered") || strings.HasPrefix(line, "X:") {
			t.Errorf("%q", line)
		}
	}
}

// TestPythonReadsBounce: a parser that is not ours finds what a list manager
// looks for.
func TestPythonReadsBounce(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	m, _, _ := notice(t, entry("a", "bob@example.net"), message, never5, 0)
	cmd := exec.Command(python, "-c", `
import email, sys
from email import policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=policy.default)
parts = list(m.iter_parts())
status = parts[1].get_payload()
print(m.get_content_type(), m.defects, [p.get_content_type() for p in parts])
print(status[1]["Final-Recipient"], status[1]["Action"], status[1]["Status"])
print(parts[2].get_payload(0)["Subject"])
`)
	cmd.Stdin = bytes.NewReader(m.Message)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	contains(t, string(out), "multipart/report [] ['text/plain', 'message/delivery-status', 'message/rfc822']", "rfc822; bob@example.net failed 5.1.1", "hello")
}

// TestBounceOnce: a crash between a bounce and the note that it was sent does
// not send another one while the first is still in the queue; and the bounce
// that is repeated has the name of the first.
func TestBounceOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.Queue.Notify = nil
		f.world.answer = func(d *Delivery, r Recipient) Result {
			if r.Path.DomainName().String() == "example.org" {
				return grey // the bounce stays in the queue
			}
			return never5
		}
		dead := false
		f.spool.fail = func(op, id string) error {
			if dead = dead || op == "remove" && id == "a"; dead {
				return errors.New("the power is gone")
			}
			return nil
		}
		f.run(t)
		f.submit(t, entry("a", "bob@example.net", "carol@example.net"))
		synctest.Wait()
		f.spool.mu.Lock()
		f.spool.fail = nil
		f.spool.mu.Unlock()
		f.cancel()
		<-f.ended
		if f.spool.len() != 2 {
			t.Fatalf("%d entries after the crash, want the message and its bounce", f.spool.len())
		}
		n := newFixture()
		n.Queue.Notify, n.Queue.Spool, n.Queue.Transport, n.spool, n.world = nil, f.spool, f.world, f.spool, f.world
		n.run(t)
		defer n.stop(t)
		time.Sleep(time.Hour)
		synctest.Wait()
		if f.spool.len() != 1 || f.spool.state("a") != nil {
			t.Errorf("%d entries are left, want one bounce", f.spool.len())
		}
	})
}

func TestNoticeID(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"a", "b", NewID(time.Now()), strings.Repeat("x", 64), strings.Repeat("x", 63) + "y"} {
		for _, kind := range []Kind{Bounce, Delay, Success} {
			for _, to := range [][]int{{0}, {1}, {0, 1}, {0, 11}, {01, 1}} {
				n := noticeID(id, kind, to)
				if !ValidID(n) || !ValidID(n+"-1z141z3") || seen[n] {
					t.Errorf("%s %s %v: %q", id, kind, to, n)
				}
				seen[n] = true
			}
		}
	}
}

// TestBehind: the bounce of forwarded mail is addressed to who reads it, and
// goes to the sender that was forwarded with.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		s := srs()
		from, err := s.Forward(address("ann@far.example"), time.Now())
		must(t, err)
		f.Behind = func(from smtp.Path) smtp.Path {
			if back, err := s.Reverse(from, time.Now()); err == nil {
				return back
			}
			return from
		}
		f.world.answer = func(*Delivery, Recipient) Result { return never5 }
		f.run(t)
		defer f.stop(t)
		e := entry("a", "bob@example.net")
		e.From = from
		f.submit(t, e)
		synctest.Wait()
		if len(f.notes.all) != 1 || f.notes.all[0].To != from {
			t.Fatalf("%+v", f.notes.all)
		}
		m, err := mail.ReadMessage(bytes.NewReader(f.notes.all[0].Message))
		must(t, err)
		if got := m.Header.Get("To"); !strings.Contains(got, "ann@far.example") || strings.Contains(got, "SRS") {
			t.Errorf("To: %s", got)
		}
	})
}

// TestSameID: an entry that comes while another one of its id is being removed is
// not forgotten with that one.
func TestSameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		removing, submitted := make(chan bool), make(chan bool)
		f.Spool = &slowRemove{f.spool, removing, submitted}
		f.run(t)
		defer f.stop(t)
		f.submit(t, entry("a", "bob@example.net"))
		<-removing
		f.submit(t, entry("a", "carol@example.net"))
		close(submitted)
		time.Sleep(time.Minute)
		synctest.Wait()
		if f.world.count() != 2 || f.spool.len() != 0 || f.Counters().Entries != 0 {
			t.Errorf("%d attempts, %d left, %d known", f.world.count(), f.spool.len(), f.Counters().Entries)
		}
	})
}

// slowRemove takes its first entry away and is slow to say so.
type slowRemove struct {
	*memory
	removing, goOn chan bool
}

func (s *slowRemove) Remove(ctx context.Context, id string) error {
	err := s.memory.Remove(ctx, id)
	if s.removing != nil {
		s.removing <- true
		s.removing = nil
		<-s.goOn
	}
	return err
}

// TestDisbelieved: who reads a bounce learns in words that a host has not believed who the message is from,
// whatever code it has for that; other refusals are left as they are.
func TestDisbelieved(t *testing.T) {
	for _, c := range []struct {
		code     int
		enhanced string
		text     string
		says     string
	}{
		{550, "5.7.26", "This mail has been blocked because the sender is unauthenticated.", "could not make sure that the message is from example.org"},
		{550, "5.7.509", "Access denied, sending domain example.org does not pass DMARC verification and has a DMARC policy of reject.", "could not make sure"},
		{554, "5.7.1", "SPF check failed", "could not make sure"},
		{550, "5.7.20", "No passing signature", "could not make sure"},
		{550, "5.7.23", "Not permitted", "could not make sure"},
		{550, "5.7.25", "The IP address sending this message does not have a PTR record", "no right name for the address"},
		{550, "5.7.1", "Relaying denied", ""},
		{550, "5.7.1", "Message looks like SPFoo", ""},
		{550, "5.7.27", "Sender address has null MX", ""},
		{550, "5.1.1", "DMARC is nobody here", ""},
		{552, "5.2.2", "Full", ""},
	} {
		_, _, parts := notice(t, entry("a", "bob@example.net"), message, Result{Status: Failed, Code: c.code, Enhanced: c.enhanced, Text: c.text}, 0)
		said := strings.Contains(parts[0], "please tell the postmaster of example.org")
		if said != (c.says != "") || !strings.Contains(parts[0], c.says) || strings.Contains(parts[1], "postmaster of") {
			t.Errorf("%s %s:\n%s\n%s", c.enhanced, c.text, parts[0], parts[1])
		}
	}
}
