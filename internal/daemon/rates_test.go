package daemon

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/control"
)

// TestUserSendsTooMuch: a user's messages are counted over all sessions, and recipients
// over all messages; the one above is refused with the numbers, the log and the status
// tell of it, and the settings of an account come before those of all.
func TestUserSendsTooMuch(t *testing.T) {
	w := start(t, `"SMTP": {"messages_per_hour": 3, "recipients_per_hour": 5},
		"Domains": {"shop.test": {"Accounts": {"carol": `+strings.Replace(testAccount(t), "{", `{"messages_per_hour": 5, "recipients_per_hour": 1000, `, 1)+`}}},`)
	begin := func(user string) *talk {
		k := w.dial("127.0.0.2:0")
		k.play("S: 220\nC: EHLO c.test\nS: 250")
		k.startTLS("STARTTLS", "220")
		k.play("C: EHLO c.test\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+testPassword)) + "\nS: 235")
		return k
	}
	message := func(k *talk, from string, more ...string) {
		k.play("C: MAIL FROM:<" + from + ">\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\n" + strings.Join(more, "") +
			"C: DATA\nS: 354\nC: Subject: x\\r\\n\\r\\nx\\r\\n.\nS: 250")
	}
	one, other := begin("alice@mail.test"), begin("alice@mail.test")
	for _, k := range []*talk{one, other, one} {
		message(k, "alice@mail.test")
	}
	for _, k := range []*talk{one, other} {
		k.play("C: MAIL FROM:<alice@mail.test>\nS: 450 4.7.1 alice@mail.test may have 3 messages an hour, has sent 3 since ")
	}
	bob := begin("bob@mail.test")
	message(bob, "bob@mail.test", "C: RCPT TO:<alice@mail.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: RCPT TO:<team@mail.test>\nS: 250\n"+
		"C: RCPT TO:<nosuch@mail.test>\nS: 550\nC: RCPT TO:<carol@shop.test>\nS: 250\n"+
		"C: RCPT TO:<alice+x@mail.test>\nS: 450 4.7.1 bob@mail.test may have 5 recipients an hour, has named 5 since \n")
	bob.play("C: MAIL FROM:<bob@mail.test>\nS: 450 4.7.1 bob@mail.test may have 5 recipients an hour")
	carol := begin("carol@shop.test")
	for range 5 {
		message(carol, "carol@shop.test", "C: RCPT TO:<alice@mail.test>\nS: 250\n")
	}
	carol.play("C: MAIL FROM:<carol@shop.test>\nS: 450 4.7.1 carol@shop.test may have 5 messages an hour")
	world := w.dial("127.0.0.1:0") // which no user's bound is about
	world.play("S: 220\nC: EHLO c.test\nS: 250")
	for range 6 {
		message(world, "x@far.test")
	}

	var s Status
	if err := control.NewClient(w.state().settings.Admin.Socket).Call(t.Context(), "status", nil, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Senders) != 3 || s.Senders[0].User != "alice@mail.test" || s.Senders[0].Messages != 3 || s.Senders[1].Recipients != 5 || s.Senders[2].Messages != 5 {
		t.Errorf("status: %+v", s.Senders)
	}
	if n := strings.Count(w.logs.String(), `level=WARN msg="user sends too much" user=`); n != 3 {
		t.Errorf("%d lines in the log", n)
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
