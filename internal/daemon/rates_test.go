package daemon

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/desk"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// TestUserSendsTooMuch: a user's messages are counted over all sessions, and recipients
// over all messages; the one above is refused with the numbers, the log and the status
// tell of it, and the settings of an account come before those of all.
func TestUserSendsTooMuch(t *testing.T) {
	w := start(t, `"SMTP": {"messages_per_hour": 3, "recipients_per_hour": 5},
		"Domains": {"shop.test": {"Accounts": {"carol": `+strings.Replace(testAccount(t), "{", `{"messages_per_hour": 5, "recipients_per_hour": 1000, `, 1)+`}}},`)
	begin := w.loginAs
	message := func(k *talk, from string, more ...string) {
		k.play("C: MAIL FROM:<" + from + ">\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\n" + strings.Join(more, "") +
			"C: DATA\nS: 354\nC: Subject: x\\r\\n\\r\\nx\\r\\n.\nS: 250")
	}
	one, other := begin("alice@mail.test"), begin("alice@mail.test")
	for _, k := range []*talk{one, other, one} {
		message(k, "alice@mail.test")
	}
	for _, k := range []*talk{one, other} {
		k.play("C: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 450 4.7.1 alice@mail.test may have 3 messages an hour, has sent 3 since ")
	}
	bob := begin("bob@mail.test")
	message(bob, "bob@mail.test", "C: RCPT TO:<alice@mail.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: RCPT TO:<team@mail.test>\nS: 250\n"+
		"C: RCPT TO:<nosuch@mail.test>\nS: 550\nC: RCPT TO:<carol@shop.test>\nS: 250\n"+
		"C: RCPT TO:<alice+x@mail.test>\nS: 450 4.7.1 bob@mail.test may have 5 recipients an hour, and this message has more: send it to fewer at a time\n")
	bob.play("C: MAIL FROM:<bob@mail.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 450 4.7.1 bob@mail.test may have 5 recipients an hour")
	carol := begin("carol@shop.test")
	for range 5 {
		message(carol, "carol@shop.test", "C: RCPT TO:<alice@mail.test>\nS: 250\n")
	}
	carol.play("C: MAIL FROM:<carol@shop.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 450 4.7.1 carol@shop.test may have 5 messages an hour")
	world := w.dial("127.0.0.1:0") // which no user's bound is about
	world.play("S: 220\nC: EHLO c.test\nS: 250")
	for range 6 {
		message(world, "x@far.test")
	}

	var s Status
	if err := control.NewClient(w.state().settings.Admin.Socket).Call(t.Context(), "status", nil, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Limits) != 3 || s.Limits[0].Name != "alice@mail.test" || s.Limits[0].Sent.Messages != 3 || s.Limits[1].Sent.Recipients != 5 || s.Limits[2].Sent.Messages != 5 {
		t.Errorf("status: %+v", s.Limits)
	}
	if n := strings.Count(w.logs.String(), `level=WARN msg="too much is sent" whose=account name=`); n != 3 {
		t.Errorf("%d lines in the log", n)
	}
}

// loginAs begins a session of a user's.
func (w *testWorld) loginAs(user string) *talk {
	w.t.Helper()
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO c.test\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+testPassword)) + "\nS: 235")
	return k
}

// ask says something, and returns the reply without its line end.
func (k *talk) ask(line string) string {
	k.t.Helper()
	fmt.Fprintf(k.c, "%s\r\n", line)
	return strings.TrimSpace(k.reply())
}

// control calls the daemon as the command line does.
func askDaemon[T any](w *testWorld, action string, in any) (out T) {
	w.t.Helper()
	if err := control.NewClient(w.state().settings.Admin.Socket).Call(w.t.Context(), action, in, &out); err != nil {
		w.t.Fatal(action, err)
	}
	return out
}

// eventually waits until something is so.
func (w *testWorld) eventually(what string, so func() bool) {
	w.t.Helper()
	if !within(forEver, so) {
		w.t.Fatal("not yet: ", what)
	}
}

// TestStolenAccount: somebody has a password and sends as fast as he can. He gets as far as
// the default; user and postmaster have one notice each; what has not left is held, over a
// restart too, and shown; once the limit is lifted all of it leaves, the oldest first.
func TestStolenAccount(t *testing.T) {
	var open atomic.Bool
	got := make(chan string, 2000)
	sink, _ := sinkServer(t, func(s *smtp.Server) {
		s.CheckRcpt = func(context.Context, *smtp.Session, *smtp.Recipient) error {
			if !open.Load() {
				return smtp.ErrTryLater
			}
			return nil
		}
		s.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			m, err := rfc2822.Read(e.Data)
			if err == nil {
				got <- m.Header.Text("Subject")
			}
			return err
		})
	})
	w := start(t, fmt.Sprintf(`"postmaster": "bob@mail.test", "Queue": {"destination_concurrency": 1,
		"Routes": [{"domain": "*", "host": "127.0.0.1", "port": %d, "tls": "none"}]},`, sink.Port))
	most := conf.New().SMTP.MessagesPerHour

	taken, refused := 0, 0
	var k *talk
	for taken+refused < 10000 {
		if k == nil {
			k = w.loginAs("alice@mail.test")
		}
		if said := k.ask("MAIL FROM:<alice@mail.test>"); !strings.HasPrefix(said, "250") {
			t.Fatal(said)
		}
		switch said := k.ask(fmt.Sprintf("RCPT TO:<victim%d@far.test>", taken)); {
		case strings.HasPrefix(said, "250"):
			k.play(fmt.Sprintf("C: DATA\nS: 354\nC: Subject: spam %d\\r\\n\\r\\nx\\r\\n.\nS: 250", taken))
			taken++
		case strings.HasPrefix(said, fmt.Sprintf("450 4.7.1 alice@mail.test may have %d messages an hour, has sent %[1]d since ", most)):
			if refused++; refused > 40 { // the others would be told the same
				refused = 10000
			}
			k.ask("RSET")
		case strings.HasPrefix(said, "421"):
			k = nil
		default:
			t.Fatal(said)
		}
	}
	if taken != most {
		t.Errorf("%d messages were taken, want %d", taken, most)
	}
	held := func() (n int) {
		return askDaemon[post.Use](w, "limits/show", desk.LimitRequest{Account: "alice@mail.test"}).Held
	}
	w.eventually("all is held", func() bool { return held() == most })
	var notices []string
	w.eventually("user and postmaster are told", func() bool {
		notices = append(w.mailbox("alice@mail.test"), w.mailbox("bob@mail.test")...)
		return len(notices) == 2
	})
	for i, want := range []string{"You have sent as much as you may for now", "Too much mail: alice@mail.test"} {
		for _, want := range []string{"Subject: " + want, fmt.Sprintf("has met a limit of the mail server mail.test: %d messages an hour", most), "Auto-Submitted: auto-generated", "Return-Path: <>",
			fmt.Sprintf("%d messages in the queue that had not left for other hosts are held", most)} {
			if !strings.Contains(strings.ReplaceAll(notices[i], "\r\n", " "), want) && !strings.Contains(notices[i], want) {
				t.Errorf("a notice does not say %q:\n%s", want, notices[i])
			}
		}
	}
	u := askDaemon[post.Use](w, "limits/show", desk.LimitRequest{Account: "Alice@mail.test"})
	if u.Hour.Messages != most || u.Day.Recipients != most || u.Full != fmt.Sprintf("%d messages an hour", most) || u.Until.Before(time.Now()) {
		t.Errorf("shown: %+v", u)
	}
	if s := askDaemon[Status](w, "status", nil); len(s.Limits) != 1 || s.Limits[0].Name != "alice@mail.test" || !s.Limits[0].Held || s.Queue.Held != most {
		t.Errorf("status: %+v, %d held", s.Limits, s.Queue.Held)
	}
	if n := strings.Count(w.logs.String(), `msg="too much is sent"`); n != 1 {
		t.Errorf("%d lines in the log", n)
	}

	w.stop()
	// A day later nobody has done anything about it.
	sent := filepath.Join(w.dir, "data", "sent.json")
	text, err := os.ReadFile(sent)
	if err != nil {
		t.Fatal(err)
	}
	told := regexp.MustCompile(`"told":"[^"]*"`)
	if !told.Match(text) {
		t.Fatalf("%s", text)
	}
	if err := os.WriteFile(sent, told.ReplaceAll(text, []byte(`"told":"`+time.Now().Add(-25*time.Hour).Format(time.RFC3339)+`"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	w.again()
	w.eventually("user and postmaster are reminded", func() bool {
		notices = append(w.mailbox("alice@mail.test"), w.mailbox("bob@mail.test")...)
		return len(notices) == 4
	})
	for _, want := range []string{"Subject: Your mail is still held", "Subject: Mail is still held: alice@mail.test", fmt.Sprintf("%d messages of alice@mail.test are still held in the queue", most), "postrider user discard alice@mail.test"} {
		if !strings.Contains(strings.Join(notices, ""), want) {
			t.Errorf("no reminder says %q", want)
		}
	}
	w.logged("mail of a user is still held", "user=alice@mail.test", fmt.Sprintf("held=%d", most))
	k = w.loginAs("alice@mail.test")
	k.play("C: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<victim@far.test>\nS: 450 4.7.1 alice@mail.test may have")
	askDaemon[desk.LimitAnswer](w, "limits/restore", desk.LimitRequest{Account: "alice@mail.test"})
	if s := askDaemon[Status](w, "status", nil); len(s.Limits) != 1 || s.Limits[0].Limit != "" || !s.Limits[0].Held || len(s.problems()) == 0 {
		t.Errorf("that mail is held is forgotten: %+v", s.Limits)
	}
	open.Store(true)
	if n := held(); n != most {
		t.Errorf("%d are held after a restart", n)
	}
	lifted := askDaemon[desk.LimitAnswer](w, "limits/lift", desk.LimitRequest{Account: "alice@mail.test", Until: time.Now().Add(time.Hour)})
	if lifted.Messages != most {
		t.Errorf("%d were released", lifted.Messages)
	}
	for i := range most { // the oldest first, and each once
		if subject := receive(t, got); subject != fmt.Sprint("spam ", i) {
			t.Fatalf("message %d that leaves is %q", i, subject)
		}
	}
	k.play("C: RCPT TO:<victim@far.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: more\\r\\n\\r\\nx\\r\\n.\nS: 250")
	if subject := receive(t, got); subject != "more" {
		t.Errorf("%q leaves", subject)
	}
	askDaemon[desk.LimitAnswer](w, "limits/restore", desk.LimitRequest{Account: "alice@mail.test"})
	if s := askDaemon[Status](w, "status", nil); len(s.Limits) != 0 {
		t.Errorf("in the end: %+v", s.Limits)
	}
	if u := askDaemon[post.Use](w, "limits/show", desk.LimitRequest{Account: "alice@mail.test"}); !u.Lifted.IsZero() || u.Hour.Messages != 0 || u.Held != 0 {
		t.Errorf("in the end: %+v", u)
	}
}

// TestGuessedRecipientsInStatus: who asks for one name after another is named.
func TestGuessedRecipientsInStatus(t *testing.T) {
	w := start(t, `"SMTP": {"max_errors": 100},`)
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<x@far.test>\nS: 250")
	for range 21 {
		k.play("C: RCPT TO:<nosuch@mail.test>\nS: 550")
	}
	var s Status
	if err := control.NewClient(w.state().settings.Admin.Socket).Call(t.Context(), "status", nil, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Guessing) != 1 || s.Guessing[0].Network != "127.0.0.1/32" || s.Guessing[0].Unknown != 21 {
		t.Errorf("status: %+v", s.Guessing)
	}
}

// accept brings a message to one recipient.
func (k *talk) accept(from, to string) {
	k.t.Helper()
	k.play("C: MAIL FROM:<" + from + ">\nS: 250\nC: RCPT TO:<" + to + ">\nS: 250\nC: DATA\nS: 354\nC: Subject: x\\r\\n\\r\\nx\\r\\n.\nS: 250")
}

// refuse names a recipient that is refused.
func (k *talk) refuse(from, to, want string) {
	k.t.Helper()
	k.play("C: MAIL FROM:<" + from + ">\nS: 250\nC: RCPT TO:<" + to + ">\nS: " + want + "\nC: RSET\nS: 250")
}

// TestLimitsOfAccounts: the limit is the login's, whatever sender the mail names; a
// message that could never fit is told so, and stops nobody; a domain has one for all its
// users; a burst is there once a day; what was given up does not count.
func TestLimitsOfAccounts(t *testing.T) {
	account := func(more string) string { return strings.Replace(testAccount(t), "{", "{"+more+",", 1) }
	w := start(t, `"SMTP": {"recipients_per_hour": 250},
		"Domains": {
			"shop.test": {"Together": {"messages_per_hour": 3}, "Accounts": {"carol": `+account(`"burst": 1`)+`, "dave": `+account(`"burst": 2`)+`}},
			"club.test": {"recipients_per_hour": 2, "burst": 3, "catch_all": "bob@mail.test", "Accounts": {"eve": `+account(`"addresses": ["*@club.test"]`)+`}},
		},`)
	alice := w.loginAs("alice@mail.test")
	for range 2 { // the first one was given up, and does not count
		alice.play("C: MAIL FROM:<alice@mail.test>\nS: 250")
		for i := range 250 {
			alice.play(fmt.Sprintf("C: RCPT TO:<bob+%d@mail.test>\nS: 250", i))
		}
		alice.play("C: RCPT TO:<bob+250@mail.test>\nS: 450 4.7.1 alice@mail.test may have 250 recipients an hour, and this message has more: send it to fewer at a time\nC: RSET\nS: 250")
	}
	if s := askDaemon[Status](w, "status", nil); len(s.Limits) != 0 {
		t.Errorf("somebody was stopped: %+v", s.Limits)
	}
	alice.accept("alice@mail.test", "bob@mail.test")
	if u := askDaemon[post.Use](w, "limits/show", desk.LimitRequest{Account: "alice@mail.test"}); u.Hour.Amount != (post.Amount{Messages: 1, Recipients: 1}) {
		t.Errorf("alice: %+v", u.Hour)
	}

	carol, dave := w.loginAs("carol@shop.test"), w.loginAs("dave@shop.test")
	carol.accept("carol@shop.test", "bob@mail.test")
	dave.accept("dave@shop.test", "bob@mail.test")
	carol.accept("carol@shop.test", "bob@mail.test")
	dave.refuse("dave@shop.test", "bob@mail.test", "450 4.7.1 the domain shop.test may have 3 messages an hour, has sent 3 since ")

	eve := w.loginAs("eve@club.test")
	for i := range 5 { // two, and three beyond
		eve.accept(fmt.Sprintf("member%d@club.test", i), "bob@mail.test")
	}
	eve.refuse("eve@club.test", "bob@mail.test", "450 4.7.1 eve@club.test may have 2 recipients an hour and 3 beyond in a day, has named 5 since ")
	eve.refuse("member@club.test", "bob@mail.test", "450 4.7.1 eve@club.test may have 2 recipients an hour and 3 beyond in a day, has named 5 since ")
	alice.accept("alice@mail.test", "carol@shop.test")
	// The domain's limit is the postmaster's business, who is alice; eve's is hers as well.
	w.eventually("notices", func() bool { return len(w.mailbox("alice@mail.test"))+len(w.mailbox("eve@club.test")) == 3 })
}

// TestLimitsOfStrangers: mail in the name of one domain from one network, and for one
// mailbox, is refused for now when there was too much, with the time; others, users and
// clients that may relay are not touched; naming somebody and sending nothing counts
// nothing.
func TestLimitsOfStrangers(t *testing.T) {
	w := start(t, `"Rates": {"SenderDomain": {"messages_per_hour": 3}, "Mailbox": {"messages_per_hour": 5}}, "Verify": {"check": false},
		"SMTP": {"relay_from": ["192.0.2.9/32"]},`)
	begin := w.stranger
	k := begin("192.0.2.2")
	for range 10 {
		k.play("C: MAIL FROM:<x@far.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: RSET\nS: 250")
	}
	for range 3 {
		k.accept("x@far.test", "bob@mail.test")
	}
	far := "450 4.7.1 far.test from 192.0.2.0/24 may have 3 messages an hour, has sent 3 since "
	k.refuse("y@FAR.test", "alice@mail.test", far)
	begin("192.0.2.3").refuse("x@far.test", "bob@mail.test", far)
	begin("198.51.100.2").accept("x@far.test", "bob@mail.test") // who may be another one
	k.accept("x@other.test", "bob@mail.test")
	bob := "450 4.7.1 this mailbox may have 5 messages an hour, has got 5 since "
	k.refuse("x@other.test", "bob@mail.test", bob)
	k.refuse("", "bob+more@mail.test", bob)
	k.accept("x@other.test", "alice@mail.test")
	k.accept("", "alice@mail.test")
	w.loginAs("alice@mail.test").accept("alice@mail.test", "bob@mail.test")
	begin("192.0.2.9").accept("x@far.test", "bob@mail.test")
	here := w.dial("127.0.0.1:0") // a program of this host
	here.play("S: 220\nC: EHLO c.test\nS: 250")
	for range 3 {
		here.accept("x@far.test", "bob@mail.test")
	}
	lmtp := w.dial("lmtp")
	lmtp.play("S: 220\nC: LHLO c.test\nS: 250")
	lmtp.accept("x@far.test", "bob@mail.test")
	if n := len(w.mailbox("bob@mail.test")); n != 11 {
		t.Errorf("%d messages", n)
	}
	if s := askDaemon[Status](w, "status", nil); len(s.Limits) != 2 || s.Limits[0].Name != "far.test from 192.0.2.0/24" || s.Limits[1].Name != "bob@mail.test" {
		t.Errorf("status: %+v", s.Limits)
	}
	if n := strings.Count(w.logs.String(), `msg="too much is sent"`); n != 2 {
		t.Errorf("%d lines in the log", n)
	}
}

// TestOwnMailHasItsOwnLimit: bounces that leave count for no user, and wait above the
// server's own limit, which is one line in the log.
func TestOwnMailHasItsOwnLimit(t *testing.T) {
	sink, got := sinkServer(t)
	w := start(t, fmt.Sprintf(`"Rates": {"Own": {"messages_per_hour": 3}}, "SMTP": {"messages_per_hour": 30},
		"Accounts": {"carol@mail.test": %s},
		"Queue": {"Routes": [{"domain": "*", "host": "127.0.0.1", "port": %d, "tls": "none"}]},`,
		strings.Replace(testAccount(t), "{", `{"addresses": ["*@far.test"],`, 1), sink.Port))
	k := w.loginAs("carol@mail.test")
	for range 20 {
		k.accept("x@far.test", "no-such@far.test")
	}
	for range 3 {
		if m := receive(t, got); !strings.HasPrefix(m, "<> <x@far.test>") {
			t.Errorf("got %q", m)
		}
	}
	w.eventually("all were tried", func() bool { return askDaemon[Status](w, "status", nil).Queue.Failed == 20 })
	w.eventually("the others wait", func() bool { q := askDaemon[Status](w, "status", nil).Queue; return q.Entries == 17 && q.Active == 0 })
	select {
	case m := <-got:
		t.Errorf("more than allowed: %q", m)
	default:
	}
	if u := askDaemon[post.Use](w, "limits/show", desk.LimitRequest{Account: "carol@mail.test"}); u.Hour.Messages != 20 || u.Full != "" {
		t.Errorf("carol: %+v", u)
	}
	logs := w.logs.String()
	if n := strings.Count(logs, `level=WARN msg="too much is sent" whose=server name="" limit="3 messages an hour"`); n != 1 {
		t.Errorf("%d lines about it", n)
	}
	if strings.Contains(logs, "notification cannot be sent") {
		t.Error("that a notification waits is told as a fault")
	}
}

// TestHeldOnTheWayIn: what a user was about to send when he met his limit elsewhere is taken,
// and held with the rest.
func TestHeldOnTheWayIn(t *testing.T) {
	sink, got := sinkServer(t)
	w := start(t, fmt.Sprintf(`"SMTP": {"messages_per_hour": 2}, "Queue": {"Routes": [{"domain": "*", "host": "127.0.0.1", "port": %d, "tls": "none"}]},`, sink.Port))
	late, k := w.loginAs("alice@mail.test"), w.loginAs("alice@mail.test")
	late.play("C: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<late@far.test>\nS: 250\nC: DATA\nS: 354")
	k.accept("alice@mail.test", "first@far.test")
	receive(t, got)
	k.refuse("alice@mail.test", "x@far.test", "450 4.7.1")
	late.play("C: Subject: x\\r\\n\\r\\nx\\r\\n.\nS: 250")
	if u := askDaemon[post.Use](w, "limits/show", desk.LimitRequest{Account: "alice@mail.test"}); u.Held != 1 {
		t.Errorf("%d are held", u.Held)
	}
	k.refuse("alice@mail.test", "x@far.test", "450 4.7.1")
	if n := askDaemon[desk.LimitAnswer](w, "limits/lift", desk.LimitRequest{Account: "alice@mail.test", Until: time.Now().Add(time.Hour)}).Messages; n != 1 {
		t.Errorf("%d are released", n)
	}
	if m := receive(t, got); !strings.HasPrefix(m, "<alice@mail.test> <late@far.test>") {
		t.Errorf("got %q", m)
	}
}

// TestToldWithoutAQueue: where no mail leaves, users and the postmaster are told as well.
func TestToldWithoutAQueue(t *testing.T) {
	w := start(t, `"postmaster": "bob@mail.test", "SMTP": {"messages_per_hour": 1}, "Queue": {"deliver": false},`)
	k := w.loginAs("alice@mail.test")
	k.accept("alice@mail.test", "alice@mail.test")
	for range 5 {
		k.refuse("alice@mail.test", "bob@mail.test", "450 4.7.1")
	}
	w.eventually("both are told", func() bool { return len(w.mailbox("alice@mail.test")) == 2 && len(w.mailbox("bob@mail.test")) == 1 })
	if n := askDaemon[desk.LimitAnswer](w, "limits/lift", desk.LimitRequest{Account: "alice@mail.test", Until: time.Now().Add(time.Hour)}).Messages; n != 0 {
		t.Errorf("%d were released", n)
	}
	k.accept("alice@mail.test", "alice@mail.test")
}

// TestHeldByPage: an administrator lifts the limits of an account, which releases what is held, has them hold again, or throws away what
// is held once he has been asked whether he means it.
func TestHeldByPage(t *testing.T) {
	var open atomic.Bool
	sink, got := sinkServer(t, func(s *smtp.Server) {
		s.CheckRcpt = func(context.Context, *smtp.Session, *smtp.Recipient) error {
			if !open.Load() {
				return smtp.ErrTryLater
			}
			return nil
		}
	})
	w := start(t, withAdmin(t, fmt.Sprintf(`"SMTP": {"messages_per_hour": 3}, "Queue": {"Routes": [{"domain": "*", "host": "127.0.0.1", "port": %d, "tls": "none"}]},`, sink.Port)))
	v := w.admin()
	const page = "/admin/accounts/alice@mail.test"
	exceed := func() {
		t.Helper()
		k := w.loginAs("alice@mail.test")
		for range 3 {
			k.play("C: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<x@far.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: x\\r\\n\\r\\nx\\r\\n.\nS: 250")
		}
		k.play("C: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<x@far.test>\nS: 450")
		w.eventually("all is held", func() bool {
			_, text := v.see(page)
			return strings.Contains(text, "3 messages held")
		})
	}
	if _, text := v.see(page); strings.Contains(text, `value="discard"`) || strings.Contains(text, `value="lift"`) {
		t.Error("where nothing is held:", text)
	}
	exceed()
	if code, text := v.does(page, "discard"); code != 422 || !strings.Contains(text, "Throw away the mail of alice@mail.test that is held?") {
		t.Error("unasked:", code, text)
	}
	if code, text := v.does(page, "discard", "surely", "1"); code != 200 || !strings.Contains(text, "3 messages were thrown away.") || strings.Contains(text, "messages held") {
		t.Error(code, text)
	}
	open.Store(true)
	if code, text := v.does(page, "lift"); code != 200 || !strings.Contains(text, "without limits for 24 hours; 0 messages were released") {
		t.Error(code, text)
	}
	if code, text := v.does(page, "restore"); code != 200 || !strings.Contains(text, "hold again") {
		t.Error(code, text)
	}
	open.Store(false)
	exceed()
	open.Store(true)
	if code, text := v.does(page, "lift"); code != 200 || !strings.Contains(text, "3 messages were released") {
		t.Error(code, text)
	}
	for range 3 {
		receive(t, got)
	}
	if code, _ := v.post("/admin/accounts/nobody@mail.test", "do", "lift"); code != 404 {
		t.Error("of nobody:", code)
	}
	if log := w.logs.String(); !strings.Contains(log, `page=Account action=discard account=alice@mail.test messages=3`) || !strings.Contains(log, `action=lift account=alice@mail.test messages=3`) {
		t.Error(log)
	}
}
